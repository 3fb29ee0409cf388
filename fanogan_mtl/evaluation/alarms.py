"""Checks whether a conformal threshold raises false alarms as rarely as it promises, on rows of the test.

It does where the test's normal rows come from where the held-out ones came from. Too many alarms say that they don't:
other lighting, another camera, copies among the held-out rows, or an extractor that has learned from those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.evaluation.conformal import alarm_band, conformal_threshold, lowest_rate, rank_at

PROMISES = (0.01, 0.05, 0.1)  # the false-alarm rates that pages show
UNLIKELY = 0.001  # probability of so many false alarms, were the rate the one that is promised


@dataclass(frozen=True)
class NormalScores:
    """Scores that a detector gives normal rows that it hasn't learned from.

    Attributes
    ----------
    held_out : array of shape (n,)
        Those that thresholds are made from.
    tested : array of shape (m,)
        Those of the test.
    """

    held_out: NDArray[np.float64]
    tested: NDArray[np.float64]

    def promises(self, rate: float) -> bool:
        """Whether there are enough held-out rows for a false-alarm rate."""
        return lowest_rate(len(self.held_out)) <= rate

    def realised(self, rate: float) -> float:
        """Share of the tested rows above the threshold for a false-alarm rate."""
        return float((self.tested > conformal_threshold(self.held_out, rate)).mean())

    def too_many(self, rate: float) -> bool:
        """Whether that share is twice what is promised or more, and no accident of few rows on either side."""
        from scipy.stats import betabinom

        rank, n_alarms = rank_at(len(self.held_out), rate), round(self.realised(rate) * len(self.tested))
        by_accident = float(betabinom.sf(n_alarms - 1, len(self.tested), len(self.held_out) + 1 - rank, rank))
        return self.realised(rate) >= 2 * rate and by_accident < UNLIKELY

    def is_outside(self, rate: float) -> bool:
        """Whether that share is outside of its band: see `alarm_band`."""
        low, high = alarm_band(len(self.held_out), rate, len(self.tested))
        return not low <= self.realised(rate) <= high


@dataclass(frozen=True)
class KeptPromise:
    """What became of a false-alarm rate that was asked of several heads.

    Attributes
    ----------
    asked : float
    n_heads : int
        Those that can promise it.
    mean : float
        Of their realised rates.
    outside : tuple of int
        Positions of those whose realised rate is outside of its band, which one in twenty is by chance.
    """

    asked: float
    n_heads: int
    mean: float
    outside: tuple[int, ...]


def kept_promise(heads: Sequence[NormalScores], rate: float) -> KeptPromise | None:
    """Hold what came against what was asked for; None where no head can promise it."""
    able = [position for position, head in enumerate(heads) if head.promises(rate)]
    if not able:
        return None
    outside = tuple(position for position in able if heads[position].is_outside(rate))
    return KeptPromise(rate, len(able), fmean(heads[position].realised(rate) for position in able), outside)
