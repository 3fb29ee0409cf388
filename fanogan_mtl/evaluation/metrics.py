"""Metrics of anomaly scores; the anomaly is the positive class, a higher score is more abnormal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)


def detection_metrics(
    anomaly: NDArray[np.bool_], scores: NDArray[np.floating], threshold: float
) -> dict[str, float]:
    """Compute all metrics of one scoring.

    Parameters
    ----------
    anomaly : bool array of shape (n,)
    scores : float array of shape (n,)
    threshold : float
        Scores above it are called anomalies.

    Returns
    -------
    dict
        `auroc`, `auprc`, `precision`, `recall`, `f1`, `balanced_accuracy`, `fpr_at_95_tpr`, `recall_at_1_fpr`,
        `recall_at_5_fpr`, each in [0, 1], and `threshold`.

    Raises
    ------
    ValueError
        If the rows are all normal or all anomalous, or a score is not finite.
    """
    _check(anomaly, scores)
    called = scores > threshold
    fpr, tpr, _ = roc_curve(anomaly, scores, drop_intermediate=False)
    return {
        "auroc": auroc(anomaly, scores),
        "auprc": float(average_precision_score(anomaly, scores)),
        "precision": float(precision_score(anomaly, called, zero_division=0.0)),
        "recall": float(recall_score(anomaly, called)),
        "f1": float(f1_score(anomaly, called)),
        "balanced_accuracy": float(balanced_accuracy_score(anomaly, called)),
        "fpr_at_95_tpr": float(fpr[tpr >= 0.95].min()),
        "recall_at_1_fpr": float(tpr[fpr <= 0.01].max()),
        "recall_at_5_fpr": float(tpr[fpr <= 0.05].max()),
        "threshold": float(threshold),
    }


def auroc(anomaly: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the chance that an anomaly scores higher than a normal row, ties counted half."""
    _check(anomaly, scores)
    return float(roc_auc_score(anomaly, scores))


def _check(anomaly: NDArray[np.bool_], scores: NDArray[np.floating]) -> None:
    if anomaly.all() or not anomaly.any():
        raise ValueError("metrics need normal and anomalous rows, these are all of one kind")
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite")
