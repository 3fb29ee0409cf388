"""Curves and histograms of one scored test, as plain data for figures. An anomaly is the positive class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import auc, roc_curve

from fanogan_mtl.evaluation.checks import checked, checked_weights

ScoredTest = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike | None]
"""Anomaly (n,) bool, scores (n,), and weights (n,) where rows don't count the same: what `roc_data` takes."""


@dataclass(frozen=True)
class RocData:
    """Corners of a ROC curve: rates in [0, 1], both ascending from 0 to 1."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    auroc: float


MIDDLE = (0.005, 0.995)


@dataclass(frozen=True)
class HistogramData:
    """Normal and anomalous rows between `edges` (one more than there are bins), in score units.

    Rows beyond the outer edges are counted in the outer bins. Where rows have weights, a bin's is the sum of its rows'.
    """

    edges: NDArray[np.float64]
    normal: NDArray[np.int64] | NDArray[np.float64]
    anomalous: NDArray[np.int64] | NDArray[np.float64]


def roc_data(anomaly: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> RocData:
    """ROC curve without the points on its straight stretches; input and errors as in `detection_metrics`."""
    anomaly, scores = checked(anomaly, scores)
    fpr, tpr, _ = roc_curve(anomaly, scores, sample_weight=checked_weights(weights, len(scores)))
    return RocData(fpr, tpr, float(auc(fpr, tpr)))


def histogram_data(
    anomaly: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, bins: int = 40
) -> HistogramData:
    """Count both classes in equal bins over the middle 99 % of the scores, so that one far row hides nothing.

    Anomalies that are far off go into the outer bins, so that the middle 99 % of the normal rows take a ninth at least.
    Scores that don't differ, or only by rounding, lie in the middle of bins over half of their size.

    Raises
    ------
    ValueError
        As in `detection_metrics`, and for `bins` < 1.
    """
    anomaly, scores = checked(anomaly, scores)
    weights = checked_weights(weights, len(scores))
    with np.errstate(over="ignore"):  # of scores near the greatest number there is
        low, high = np.quantile(scores, MIDDLE)
        normal_low, normal_high = np.quantile(scores[~anomaly], MIDDLE)
        room = 4 * (normal_high - normal_low)
        if room > 0:
            low, high = max(low, normal_low - room), min(high, normal_high + room)
        if not high / 2 - low / 2 > bins * np.spacing(max(abs(low), abs(high))):  # bins would have no width
            half, greatest = max(0.5, abs(low) / 2), np.finfo(np.float64).max
            low, high = max(low - half, -greatest), min(low + half, greatest)
    share = np.linspace(0, 1, bins + 1)
    edges = low * (1 - share) + high * share  # unlike high - low, this stays finite
    inside = np.clip(scores, edges[0], edges[-1])
    heights = [
        np.histogram(inside[rows], edges, weights=None if weights is None else weights[rows])[0]
        for rows in (~anomaly, anomaly)
    ]
    return HistogramData(edges, *heights)
