"""Metrics of one scored test, under scikit-learn's names. An anomaly is the positive class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from fanogan_mtl.evaluation.checks import checked, checked_weights

ROUNDING = 1e-9  # of sums of weights: far less than a row is of any test


def detection_metrics(
    anomaly: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> dict[str, float]:
    """Rank and threshold metrics of one test.

    Parameters
    ----------
    anomaly : (n,) bool, both values present
    scores : (n,) real, finite; the higher the more abnormal
    threshold : finite; rows that score above it (not at it) count as found, as in PyOD
    weights : (n,), finite and above 0, optional
        How much each row counts (scikit-learn's `sample_weight`); all the same by default. See `class_weights`.

    Returns
    -------
    dict
        In [0, 1]: `auroc`; `auprc` (average precision); `precision` (0 where nothing is found), `recall`, `f1`,
        `balanced_accuracy` and `false_alarm_rate` (the share of normal rows found) at the threshold; `fpr_at_95_tpr`,
        the smallest false-positive rate with at least 95 % of the anomalies found; `recall_at_1_fpr` and
        `recall_at_5_fpr`, the greatest recall with at most 1 % and 5 % false positives (nothing interpolated). In score
        units: `threshold`.

    Raises
    ------
    ValueError
        For another shape, values that are not finite, one class only, or weights that are not above 0.
    """
    anomaly, scores = checked(anomaly, scores)
    weights = checked_weights(weights, len(scores))
    if not np.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}")
    found = scores > threshold
    fpr, tpr, _ = roc_curve(anomaly, scores, sample_weight=weights, drop_intermediate=False)
    return {
        "auroc": auroc(anomaly, scores, weights),
        "auprc": float(average_precision_score(anomaly, scores, sample_weight=weights)),
        "precision": float(precision_score(anomaly, found, sample_weight=weights, zero_division=0)),
        "recall": float(recall_score(anomaly, found, sample_weight=weights)),
        "f1": float(f1_score(anomaly, found, sample_weight=weights)),
        "balanced_accuracy": float(balanced_accuracy_score(anomaly, found, sample_weight=weights)),
        "false_alarm_rate": float(recall_score(~anomaly, found, sample_weight=weights)),
        "fpr_at_95_tpr": float(fpr[tpr >= 0.95 - ROUNDING].min()),
        "recall_at_1_fpr": _greatest_recall(fpr, tpr, 0.01),
        "recall_at_5_fpr": _greatest_recall(fpr, tpr, 0.05),
        "threshold": float(threshold),
    }


def auroc(anomaly: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the share of pairs of an anomaly and a normal row that are ranked right, ties half.

    Input and errors as in `detection_metrics`.
    """
    anomaly, scores = checked(anomaly, scores)
    return float(roc_auc_score(anomaly, scores, sample_weight=checked_weights(weights, len(scores))))


def _greatest_recall(fpr: NDArray[np.float64], tpr: NDArray[np.float64], most: float) -> float:
    return float(tpr[fpr <= most + ROUNDING].max())
