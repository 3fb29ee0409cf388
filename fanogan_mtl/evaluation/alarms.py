"""Checks whether a conformal threshold raises false alarms as rarely as it promises, on rows of the test.

It does where the test's normal rows come from where the held-out ones came from. Too many alarms say that they don't:
other lighting, another camera, copies among the held-out rows, or an extractor that has learned from those.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanogan_mtl.evaluation.conformal import rank_at

UNLIKELY = 0.001  # probability of so many false alarms, were the rate the one that is promised


@dataclass(frozen=True)
class FalseAlarms:
    """Normal rows that training hasn't seen, and those of them above a conformal threshold.

    Attributes
    ----------
    n_alarms, n_normal : int
    promised : float
        The threshold's false-alarm rate, in (0, 1).
    n_held_out : int
        Normal scores that the threshold was made from.
    """

    n_alarms: int
    n_normal: int
    promised: float
    n_held_out: int

    @property
    def rate(self) -> float:
        """Share of the normal rows above the threshold."""
        return self.n_alarms / self.n_normal

    @property
    def too_many(self) -> bool:
        """Whether the rate is twice the one that is promised or more, and no accident of few rows on either side."""
        from scipy.stats import betabinom

        rank = rank_at(self.n_held_out, self.promised)
        by_accident = float(betabinom.sf(self.n_alarms - 1, self.n_normal, self.n_held_out + 1 - rank, rank))
        return self.rate >= 2 * self.promised and by_accident < UNLIKELY
