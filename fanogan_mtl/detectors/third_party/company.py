"""Measures whether a detector's score of a row depends on the other rows scored with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MOST_ROWS = 8
TOLERANCE = 1e-5
"""The largest dependence that is rounding: a network's scores in float32 differ by 1e-6 from batch to batch."""


def company_dependence(detector: Any, rows: ArrayLike, scores: ArrayLike | None = None) -> float:
    """Largest change of a row's score when other rows are scored with it, relative to the largest score.

    Parameters
    ----------
    detector : fitted detector
    rows : array-like of shape (n, n_features)
        At most 8 of them, evenly spaced, are scored again: together, in halves, and each alone.
    scores : array-like of shape (n,), optional
        Of all rows scored together, where they are known already.

    Returns
    -------
    float, at least 0
        At most `TOLERANCE` where a row's score depends on that row alone; infinity where the detector can't score so
        few rows.
    """
    rows = np.asarray(rows)
    chosen = np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int))
    in_company = np.asarray(detector.decision_function(rows) if scores is None else scores)[chosen]
    try:
        others = [
            np.concatenate([detector.decision_function(rows[part]) for part in np.array_split(chosen, n_parts)])
            for n_parts in {1, min(2, len(chosen)), len(chosen)}
        ]
    except ValueError:
        return float("inf")
    change = max(float(np.abs(scores_again - in_company).max()) for scores_again in others)
    return change / (float(np.abs(in_company).max()) or 1.0)
