"""Checks of the input that metrics and curves share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked(anomaly: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return both as arrays of shape (n,); `ValueError` for another shape, NaN or infinity, or one class only."""
    anomaly, scores = np.asarray(anomaly), np.asarray(scores, dtype=np.float64)
    if anomaly.dtype != np.bool_:
        raise ValueError(f"anomaly must be boolean, got {anomaly.dtype}")
    if anomaly.ndim != 1 or anomaly.shape != scores.shape:
        raise ValueError(f"anomaly and scores must have one shape (n,), got {anomaly.shape} and {scores.shape}")
    n_bad = np.count_nonzero(~np.isfinite(scores))
    if n_bad:
        raise ValueError(f"{n_bad} of {len(scores)} scores are NaN or infinity")
    if anomaly.all() or not anomaly.any():
        raise ValueError(f"needs normal and anomalous rows, got {anomaly.sum()} anomalous of {len(anomaly)}")
    return anomaly, scores


def checked_weights(weights: ArrayLike | None, length: int) -> NDArray[np.float64] | None:
    """Return weights of shape (n,); `ValueError` for another shape and for what is not above 0 and finite."""
    if weights is None:
        return None
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (length,):
        raise ValueError(f"weights must have shape ({length},), got {weights.shape}")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("weights must be finite and above 0")
    return weights
