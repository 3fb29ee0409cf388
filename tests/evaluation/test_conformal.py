"""The false-alarm rate that was asked for is the one that comes, whatever the scores are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, false_discovery_control

from fanogan_mtl.evaluation.conformal import (
    alarm_band,
    conformal_threshold,
    discovery_threshold,
    fewest_discoveries,
    kept_rate,
    lowest_percent,
    lowest_rate,
    p_values,
    rank_at,
    told_kept_rates,
    told_rate,
)

rates = st.sampled_from([0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7])
SHAPES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "heavy tails": lambda random, shape: random.standard_cauchy(shape),
    "ties": lambda random, shape: random.integers(0, 4, shape).astype(float),
    "two heaps": lambda random, shape: random.normal(size=shape) + 100 * random.integers(0, 2, shape),
    "one value": lambda random, shape: np.full(shape, 3.0),
}


def exact_rate(n: int, rate: float) -> float:
    """The mean rate of rows above the threshold, where no scores are equal."""
    return 1 - rank_at(n, rate) / (n + 1)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=40)
@given(st.integers(5, 5000), rates, st.integers(0, 2**32 - 1))
def test_the_rate_is_kept_on_average_over_held_out_rows(shape: str, n: int, rate: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    rate = kept_rate(n, rate)
    repeats, n_new = max(4, 100_000 // n), 50
    alarms = 0
    for scores in SHAPES[shape](random, (repeats, n + n_new)):
        alarms += int((scores[n:] > conformal_threshold(scores[:n], rate)).sum())
    realised = alarms / (repeats * n_new)
    spread = np.sqrt(rate * (1 - rate) * (1 / (repeats * n_new) + 1 / (repeats * (n + 2))))  # rows, and held-out rows
    assert realised <= rate + 4.5 * spread
    if shape in ("normal", "heavy tails", "two heaps"):
        assert realised >= rate - 1 / (n + 1) - 4.5 * spread


@given(st.integers(1, 100_000), st.integers(1, 10**6))
def test_the_rank_is_exact_for_rates_of_six_decimals(n: int, millionths: int) -> None:
    rate = Fraction(millionths, 10**6)
    expected = -int(-((1 - rate) * (n + 1)) // 1)
    if rate == 1 or expected > n:
        with pytest.raises(ValueError, match=r"between 0 and 1|can be promised"):
            rank_at(n, float(rate))
    else:
        assert rank_at(n, millionths / 10**6) == expected


@given(st.integers(1, 1_000_000))
def test_the_lowest_rate_can_be_asked_for_as_it_is_and_as_it_is_shown(n: int) -> None:
    assert rank_at(n, lowest_rate(n)) == n
    shown = float(lowest_percent(n)) / 100
    assert n < 3 or rank_at(n, shown) <= n
    assert lowest_rate(n) <= shown + 1e-12 <= lowest_rate(n) + 0.001 + 1e-12


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.lists(st.integers(-4, 4), max_size=30), rates)
def test_a_row_is_above_the_threshold_where_its_p_value_is_at_most_the_rate(
    normal: list[int], scores: list[int], rate: float
) -> None:
    rate = kept_rate(len(normal), rate)
    above = np.asarray(scores) > conformal_threshold(normal, rate)
    by_hand = np.array([(1 + sum(each >= score for each in normal)) / (len(normal) + 1) for score in scores])
    np.testing.assert_allclose(p_values(normal, scores), by_hand, rtol=1e-15)
    np.testing.assert_array_equal(above, by_hand <= rate + 1e-12)


@settings(max_examples=30)
@given(st.integers(20, 400), st.sampled_from([0.05, 0.1, 0.3]), st.integers(20, 500), st.integers(0, 2**32 - 1))
def test_so_many_of_single_thresholds_lie_in_their_band(n: int, rate: float, n_new: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    low, high = alarm_band(n, rate, n_new)
    assert 0 <= low < rate < high <= 1
    repeats = 400
    scores = random.normal(size=(repeats, n + n_new))
    realised = [(each[n:] > conformal_threshold(each[:n], rate)).mean() for each in scores]
    inside = sum(low <= each <= high for each in realised)
    assert inside >= binom.ppf(1e-5, repeats, 0.95)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_so_many_discoveries_are_false_on_average(share: float, rate: float) -> None:
    random = np.random.default_rng(7)
    n_rows, repeats = 300, 400
    n_anomalies = int(share * n_rows)
    false_shares, found = [], 0
    for _ in range(repeats):
        normal, scores = random.normal(size=500), random.normal(size=n_rows)
        scores[:n_anomalies] += 4
        discoveries = scores > discovery_threshold(normal, scores, rate)
        found += int(discoveries[:n_anomalies].sum())
        false_shares.append(discoveries[n_anomalies:].sum() / max(1, discoveries.sum()))
    spread = np.std(false_shares) / np.sqrt(repeats)
    assert np.mean(false_shares) <= rate * (1 - share) + 3.5 * spread
    if share >= 0.1:
        assert found > 0.8 * repeats * n_anomalies


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.integers(-1, 12), max_size=40),
    st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]),
)
def test_discoveries_are_those_of_scipys_procedure(normal: list[int], scores: list[int], rate: float) -> None:
    found: NDArray[Any] = np.asarray(scores) > discovery_threshold(normal, scores, rate)
    if scores:
        np.testing.assert_array_equal(found, false_discovery_control(p_values(normal, scores)) <= rate + 1e-12)


@given(st.integers(1, 60), st.integers(1, 80), st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5, 0.9]))
def test_the_fewest_that_stand_out_are_found_and_one_less_is_not(n: int, m: int, rate: float) -> None:
    fewest = fewest_discoveries(n, m, rate)
    for standing_out in {min(fewest, m), min(fewest, m) - 1}:
        scores = [1.0] * standing_out + [-1.0] * (m - standing_out)
        found = int((np.asarray(scores) > discovery_threshold([0.0] * n, scores, rate)).sum())
        assert found == (standing_out if standing_out >= fewest else 0)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_one_line(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^a false-alarm rate lies between 0 and 1, got [^\n]*$"):
        conformal_threshold([1.0, 2.0], rate)


def test_what_can_be_promised_is_said_in_one_line() -> None:
    message = "^38 held-out normal scores: the lowest false-alarm rate that can be promised is 2.6 %, not 1 %$"
    with pytest.raises(ValueError, match=message):
        conformal_threshold(np.arange(38.0), 0.01)
    assert conformal_threshold(np.arange(38.0), 0.026) == 37
    assert [told_rate(rate) for rate in (0.1, 0.01, 0.0025, 1 / 38)] == ["10", "1", "0.25", "2.63"]


def test_a_rate_that_is_the_lowest_is_told_so_that_it_can_be_asked_for() -> None:
    assert told_kept_rates({0.1: 100}) == "10"
    assert told_kept_rates({1 / 9: 8}) == "11.2"
    assert told_kept_rates({0.1: 100, 1 / 9: 8}) == "10 to 11.2"
