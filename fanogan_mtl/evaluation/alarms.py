"""Whether a threshold raises false alarms as rarely as it is meant to.

It is set at a quantile of training scores. Of a detector that knows its training rows better than others (PCA with few
rows, neighbours with themselves among them), new normal rows score higher, and more of them lie above it.
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
