"""What a score means, learned on validation data: its rank among those of normal rows, and a probability.

Of ranks see `conformal`. The probability is Platt's sigmoid (Platt 1999) on a scale that detectors of any unit share:
the score's distance from the median of normal images in interquartile ranges, its large values compressed by asinh,
which is linear near 0 and logarithmic far out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.evaluation.checks import checked, checked_weights


@dataclass(frozen=True)
class Calibration:
    """From anomaly scores to probabilities, thresholds and p-values; its fields are plain JSON values.

    The probability is that of an anomaly where normal images and anomalies are equally frequent: how frequent they are
    in service is not known.

    Attributes
    ----------
    centre, width : float
        Median and interquartile range of the validation scores of normal images.
    slope : float
        At least 0: a higher score never makes an anomaly less probable. 0 where the detector ranks worse than chance.
    intercept : float
    normal_scores : tuple of float
        Those of the normal rows, ascending; empty in models of earlier versions.
    map_maxima : tuple of float
        The greatest value of each normal row's anomaly map, those of the folds among them, ascending; empty where the
        detector has no maps, and in models of earlier versions.
    fold_scores : tuple of float
        Those of the training's normal rows, each by a detector that had not seen it, ascending; empty where enough rows
        are held out.
    """

    centre: float
    width: float
    slope: float
    intercept: float
    normal_scores: tuple[float, ...] = ()
    map_maxima: tuple[float, ...] = ()
    fold_scores: tuple[float, ...] = ()

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities in [0, 1] of scores, of any shape."""
        from scipy.special import expit

        distances = _distances(np.asarray(scores, np.float64), self.centre, self.width)
        made: NDArray[np.float64] = expit(self.slope * distances + self.intercept)
        return made

    @cached_property
    def held_out(self) -> NDArray[np.float64]:
        """`normal_scores` as an array."""
        return np.array(self.normal_scores, np.float64)

    @cached_property
    def unseen(self) -> NDArray[np.float64]:
        """Scores of normal rows that their detector had not seen: those held out and those of the folds, ascending."""
        return np.sort(np.array([*self.normal_scores, *self.fold_scores], np.float64))


def fit_calibration(anomaly: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """Learn what scores mean from those of validation.

    Parameters
    ----------
    anomaly : array of shape (n,), bool
        Both kinds must be there.
    scores : array of shape (n,)
    weights : array of shape (n,), finite and above 0, optional
        How much each row counts among those of its kind; all the same by default. See `class_weights`.

    Raises
    ------
    ValueError
        For arrays of different lengths, only one kind, NaN or infinity, and weights that are not above 0.
    """
    from sklearn.linear_model import LogisticRegression

    is_anomaly, values = checked(anomaly, scores)
    low, centre, high = np.quantile(values[~is_anomaly], (0.25, 0.5, 0.75))
    width = float(high - low) or float(values.std()) or 1.0
    distances = _distances(values, float(centre), width)
    weights = checked_weights(weights, len(values))
    if weights is not None:
        sums = [weights[is_anomaly == kind].mean() for kind in (False, True)]
        weights = weights / np.where(is_anomaly, sums[1], sums[0])  # mean 1 in both kinds, for "balanced"
    model = LogisticRegression(class_weight="balanced").fit(distances[:, None], is_anomaly, weights)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < 0:
        slope, intercept = 0.0, 0.0
    normal_scores = np.sort(values[~is_anomaly])
    return Calibration(float(centre), width, slope, intercept, tuple(normal_scores.tolist()))


def _distances(scores: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.arcsinh((scores - centre) / width)
    return distances
