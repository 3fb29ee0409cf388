"""Checks whether a threshold raises false alarms as rarely as it is meant to.

A threshold is a quantile of the training scores. Some detectors give their own training rows lower scores than new
normal rows (PCA with few rows, nearest neighbours that count the row itself), so more of the new rows lie above it.
"""

from __future__ import annotations

from dataclasses import dataclass

UNLIKELY = 0.001  # probability of so many false alarms, were the rate the one that is meant


@dataclass(frozen=True)
class FalseAlarms:
    """Normal rows that training hasn't seen, and those of them above the threshold.

    Attributes
    ----------
    n_alarms, n_normal : int
    meant : float
        The rate that the threshold was set for, in (0, 1): PyOD's `contamination`.
    """

    n_alarms: int
    n_normal: int
    meant: float

    @property
    def rate(self) -> float:
        """Share of the normal rows above the threshold."""
        return self.n_alarms / self.n_normal

    @property
    def too_many(self) -> bool:
        """Whether the rate is twice the one that is meant or more, and no accident of few rows."""
        from scipy.stats import binom

        by_accident = float(binom.sf(self.n_alarms - 1, self.n_normal, self.meant))
        return self.rate >= 2 * self.meant and by_accident < UNLIKELY
