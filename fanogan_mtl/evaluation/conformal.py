"""Decisions with a false-alarm rate that was asked for, from the scores of normal rows that training hasn't seen.

A detector's own training scores can't set a threshold: it may fit its training rows more closely than any new one.
Scores of held-out normal rows can, whatever the detector: where new normal rows come from where those came from, every
rank of a new score among them is as likely as any other. This is split-conformal prediction for anomaly detection
(Laxhammar 2014; Bates, Candès, Lei, Romano and Sesia 2023, *Testing for outliers with conformal p-values*).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

FINEST = 10**9  # denominators of rates: 0.1 is a tenth, and 1 / 39 a thirty-ninth, whatever the nearest float is
_ROUNDING = 1e-12


def lowest_rate(n: int) -> float:
    """The lowest false-alarm rate that n held-out normal scores can promise: 1 / (n + 1)."""
    return 1 / (n + 1)


@lru_cache(maxsize=1024)  # a served answer asks for the same again and again
def rank_at(n: int, rate: float) -> int:
    """Which of n held-out normal scores, in ascending order from 1, is the threshold for a false-alarm rate.

    It is the ⌈(1 − rate)(n + 1)⌉-th.

    Parameters
    ----------
    n : int, at least 1
    rate : float, in (0, 1)

    Raises
    ------
    ValueError
        In one line, for a rate outside of (0, 1), and for one below `lowest_rate`.
    """
    if not 0 < rate < 1:  # NaN neither
        raise ValueError(f"a false-alarm rate lies between 0 and 1, got {rate}")
    exact = (1 - Fraction(rate).limit_denominator(FINEST)) * (n + 1)
    rank = -int(-exact // 1)
    if rank > n:
        raise ValueError(
            f"{n:,} held-out normal score{'s' * (n != 1)}: "
            f"the lowest false-alarm rate that can be promised is {lowest_percent(n)} %, not {told_rate(rate)} %"
        )
    return rank


def lowest_percent(n: int) -> str:
    """`lowest_rate` in percent, rounded up, so that it can be asked for as it is shown."""
    digits = 1 if n < 1000 else 3
    return f"{-(-100 * 10**digits // (n + 1)) / 10**digits:g}"


def told_kept_rates(rates: Mapping[float, int]) -> str:
    """Rates in percent for people, `10` or `10 to 11.2`, each given with the number of held-out scores that promise it.

    One that is the lowest for them is rounded up.
    """
    least, most = (lowest_percent(rates[each]) if each <= lowest_rate(rates[each]) else told_rate(each)
                   for each in (min(rates), max(rates)))  # fmt: skip
    return least if least == most else f"{least} to {most}"


def conformal_threshold(normal: ArrayLike, rate: float) -> float:
    """Give the threshold that at most the share `rate` of new normal rows lies above, on average over held-out rows.

    On average it is also at least `rate` − 1 / (n + 1), where no two scores are equal. Of one set of held-out rows the
    share varies around that: see `alarm_band`.

    Parameters
    ----------
    normal : array of shape (n,)
        Scores of held-out normal rows, finite, at least one.
    rate : float, in (0, 1)

    Raises
    ------
    ValueError
        As `rank_at`.

    Examples
    --------
    >>> conformal_threshold(range(1, 20), 0.1)  # at most a tenth of the 20 ranks, so 2, are above 18
    18.0
    """
    scores = np.sort(np.asarray(normal, np.float64))
    return float(scores[rank_at(len(scores), rate) - 1])


def kept_rate(n: int, rate: float) -> float:
    """The rate that was asked for, or the lowest that n held-out scores can promise where that is greater."""
    return max(rate, lowest_rate(n))


def p_values(normal: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Conformal p-values (1 + number of held-out normal scores that are as high or higher) / (n + 1).

    Of a new normal row, a p-value of at most `a` has a probability of at most `a`.

    Parameters
    ----------
    normal : array of shape (n,)
        Scores of held-out normal rows, at least one.
    scores : array of any shape

    Returns
    -------
    array of the shape of `scores`, float64, in [1 / (n + 1), 1]
    """
    return p_values_among(np.sort(np.asarray(normal, np.float64)), np.asarray(scores, np.float64))


def p_values_among(ascending: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the `p_values` of scores where the held-out ones are sorted already, which takes as long as all the rest."""
    n = len(ascending)
    values: NDArray[np.float64] = (1 + n - ascending.searchsorted(scores)) / (n + 1)
    return values


def alarm_band(n: int, rate: float, n_new: int, level: float = 0.95) -> tuple[float, float]:
    """Between which shares false alarms among new normal rows lie, for one threshold out of n held-out scores.

    The share above the r-th of n scores is Beta(n + 1 − r, r) distributed where scores have no ties, so the number of
    alarms among `n_new` rows is beta-binomial.

    Parameters
    ----------
    n : int
    rate : float, in (0, 1)
    n_new : int, at least 1
    level : float
        With which probability they lie there, at least.

    Returns
    -------
    tuple of two floats in [0, 1]
    """
    from scipy.stats import betabinom

    rank = rank_at(n, rate)
    low, high = betabinom.interval(level, n_new, n + 1 - rank, rank)
    return float(max(low, 0)) / n_new, float(high) / n_new


def discovery_threshold(normal: ArrayLike, scores: ArrayLike, rate: float) -> float:
    """Give the threshold for a false-discovery rate: on average at most that share of the rows above it are normal.

    Benjamini and Hochberg's procedure on `p_values` (Benjamini and Hochberg 1995; that it holds for conformal p-values,
    which share the held-out rows, is shown by Bates et al. 2023).

    Parameters
    ----------
    normal : array of shape (n,)
        Scores of held-out normal rows, at least one.
    scores : array of shape (m,)
        Of all rows among which anomalies are looked for, normal ones and anomalies.
    rate : float, in (0, 1)

    Returns
    -------
    float
        Rows that score above it (not at it) are discoveries; infinity where there are none.
    """
    from scipy.stats import false_discovery_control

    held_out, of_rows = np.asarray(normal, np.float64), np.asarray(scores, np.float64)
    if not len(of_rows):
        return float("inf")
    found = of_rows[false_discovery_control(p_values(held_out, of_rows)) <= rate * (1 + _ROUNDING)]
    return float(held_out[held_out < found.min()].max()) if len(found) else float("inf")


def fewest_discoveries(n: int, m: int, rate: float) -> int:
    """How many of m rows there are at least in whatever `discovery_threshold` finds by n held-out scores.

    No p-value is lower than 1 / (n + 1), and k rows are found only by p-values of at most k × rate / m.
    """
    return ceil(m * lowest_rate(n) / (rate * (1 + _ROUNDING)))


def told_rate(rate: float) -> str:
    """A rate in percent for people, without needless digits: `1`, `0.25`, `2.63`."""
    return f"{100 * rate:.3g}"
