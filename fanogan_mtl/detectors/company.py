"""Whether a detector's score of a row depends on the rows that it is scored with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MOST_ROWS = 8
TOLERANCE = 1e-5
"""The largest dependence that is rounding: a network's scores in float32 differ by 1e-6 from batch to batch."""


def company_dependence(detector: Any, rows: ArrayLike) -> float:
    """Largest change of a row's score when the row is scored alone, relative to the largest score.

    Parameters
    ----------
    detector : fitted detector
    rows : array-like of shape (n, n_features)
        At most 8 of them are scored, evenly spaced: together, in halves, and each alone.

    Returns
    -------
    float, at least 0
        Up to `TOLERANCE` where each row has a score of its own; infinity where the detector can't score so few.
    """
    rows = np.asarray(rows)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int))]
    try:
        together, *others = [
            np.concatenate([detector.decision_function(part) for part in np.array_split(chosen, n_parts)])
            for n_parts in sorted({1, min(2, len(chosen)), len(chosen)})
        ]
    except ValueError:
        return float("inf")
    change = max((float(np.abs(scores - together).max()) for scores in others), default=0.0)
    return change / (float(np.abs(together).max()) or 1.0)
