"""Whether new scores still look like those of held-out normal rows, with a stated probability of a false alarm.

Two tests share the error rate, as each sees what the other doesn't. Kolmogorov and Smirnov's two-sample test compares
all new scores with the held-out ones, whatever their order. A conformal test martingale takes them one by one, and
sees a change that comes late, and when it came (Vovk, Nouretdinov and Gammerman 2003, *Testing exchangeability
on-line*).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from warnings import catch_warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.seeds import derived_seed

BLOCK = 512  # scores that are ranked at once
JUMP = 0.01  # of the stakes, moved to other bets before each score
MOST_GAIN = 2  # no score multiplies the martingale by more


@dataclass(frozen=True)
class Drift:
    """What the two tests say of new scores.

    Attributes
    ----------
    n_normal : int
        Held-out scores.
    higher : float
        Share of pairs in which the new score is above the held-out one; equal ones count half.
    statistic, p_value : float
        Of Kolmogorov and Smirnov's two-sample test.
    p_values : array of shape (m,)
        Online conformal p-values, see `online_p_values`.
    log_martingale : array of shape (m,)
        Its path: natural logarithm of the value after each score.
    error_rate : float
        Probability of an alarm, at most, where new scores and held-out ones are exchangeable.
    """

    n_normal: int
    higher: float
    statistic: float
    p_value: float
    p_values: NDArray[np.float64]
    log_martingale: NDArray[np.float64]
    error_rate: float

    @property
    def p_value_limit(self) -> float:
        """A p-value of at most this is an alarm: half of the error rate."""
        return self.error_rate / 2

    @property
    def martingale_limit(self) -> float:
        """A martingale that ever reaches this is an alarm; by Ville's inequality half of the error rate is its own."""
        return 2 / self.error_rate

    @cached_property
    def first_alarm(self) -> int | None:
        """Position of the score at which the martingale reaches its limit; None where it never does."""
        reached = np.flatnonzero(self.log_martingale >= math.log(self.martingale_limit))
        return int(reached[0]) if len(reached) else None

    @property
    def log_greatest(self) -> float:
        """Natural logarithm of the greatest value of the martingale, its 1 at the start included."""
        return max(0.0, float(self.log_martingale.max()))

    @property
    def is_alarm(self) -> bool:
        """Whether either test says that the new scores are no longer like the held-out ones."""
        return self.first_alarm is not None or self.p_value <= self.p_value_limit


def detect_drift(normal: ArrayLike, scores: ArrayLike, error_rate: float, seed: int = 0) -> Drift:
    """Hold new scores against those of held-out normal rows.

    The Kolmogorov-Smirnov test is that of two samples: conformal p-values of the new scores all share the held-out ones
    and depend on each other, so a test of them against the uniform distribution would raise false alarms. With ties it
    is conservative.

    Parameters
    ----------
    normal : array of shape (n,)
        Scores of held-out normal rows, at least one.
    scores : array of shape (m,)
        New ones, at least one, in the order in which they came.
    error_rate : float, in (0, 1)
        Probability of a false alarm, at most, on average over held-out rows.
    seed : int
        Of the random order of ties.

    Raises
    ------
    ValueError
        In one line, for scores of another shape, none, NaN or infinity, and for another error rate.
    """
    from scipy.stats import ks_2samp

    held_out, new = _checked("held-out", normal), _checked("new", scores)
    if not 0 < error_rate < 1:  # NaN neither
        raise ValueError(f"an error rate lies between 0 and 1, got {error_rate}")
    below = [np.searchsorted(np.sort(held_out), new, side=side).mean() for side in ("left", "right")]
    with catch_warnings(action="ignore", category=RuntimeWarning):  # of equally many that don't differ: p rounds over 1
        statistic, p_value = ks_2samp(held_out, new)
    values = online_p_values(held_out, new, seed)
    return Drift(
        n_normal=len(held_out),
        higher=float(sum(below)) / 2 / len(held_out),
        statistic=float(statistic),
        p_value=float(p_value),
        p_values=values,
        log_martingale=log_martingale(values),
        error_rate=error_rate,
    )


def online_p_values(normal: ArrayLike, scores: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """Rank each new score among the held-out ones and the new ones before it, ties broken at random.

    (number of higher scores + U · number of equal ones) / number of scores, this one included, with U uniform in
    [0, 1). Where all scores are exchangeable, these are independent and uniform.

    Parameters
    ----------
    normal : array of shape (n,)
    scores : array of shape (m,)
        In the order in which they came.

    Returns
    -------
    array of shape (m,), in [0, 1]
    """
    seen, new = np.sort(np.asarray(normal, np.float64)), np.asarray(scores, np.float64)
    random = np.random.default_rng(derived_seed(seed, "drift"))
    values = np.empty(len(new))
    for start in range(0, len(new), BLOCK):
        block = new[start : start + BLOCK]
        higher = len(seen) - np.searchsorted(seen, block, side="right")
        equal = len(seen) - np.searchsorted(seen, block, side="left") - higher
        higher += np.tril(block > block[:, None]).sum(axis=1)
        equal += np.tril(block == block[:, None]).sum(axis=1)  # with the score itself
        values[start : start + BLOCK] = higher + random.random(len(block)) * equal
        seen = np.sort(np.concatenate([seen, block]), kind="stable")  # which merges what is sorted
    ranked: NDArray[np.float64] = values / (len(seen) - len(new) + 1 + np.arange(len(new)))
    return ranked


def log_martingale(p_values: ArrayLike) -> NDArray[np.float64]:
    """Bet against independent uniform p-values, and give the logarithm of the wealth after each, from 1 at first.

    The simple jumper (Vovk 2021, *Testing randomness online*) with bets 1 ± (p − 1/2), for scores that move up or down,
    and with 1 ± (6 (p − 1/2)² − 1/2), for scores that spread or lie closer together, as those of a covered camera.
    All are between 0 and 2, so a few anomalies among many images move it little; the mixture of power martingales of
    2003 takes each for drift, and is blind to scores that fall.

    Parameters
    ----------
    p_values : array of shape (m,), in [0, 1]

    Returns
    -------
    array of shape (m,)
    """
    side = np.asarray(p_values, np.float64) - 0.5
    outer = 6 * side**2 - 0.5
    bets = 1 + np.stack([np.zeros_like(side), side, -side, outer, -outer], axis=1)
    n_bets = bets.shape[1]
    stakes, gains = np.full(n_bets, 1 / n_bets), np.empty(len(bets))
    for at, bet in enumerate(bets):
        stakes = ((1 - JUMP) * stakes + JUMP / n_bets) * bet
        gains[at] = stakes.sum()
        stakes /= gains[at]
    path: NDArray[np.float64] = np.cumsum(np.log(gains))
    return path


def fewest_scores(n_normal: int, error_rate: float) -> int:
    """How many new scores it takes, whatever they are, before there can be an alarm at all."""
    for_martingale = math.ceil(math.log(2 / error_rate) / math.log(MOST_GAIN))
    apart = (m for m in range(1, for_martingale) if 2 / math.comb(n_normal + m, m) <= error_rate / 2)
    return next(apart, for_martingale)  # the least p-value is that of samples of which one lies above the other


def _checked(what: str, scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{what} scores must have shape (n,), at least one, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} {what} scores are NaN or infinity")
    return values
