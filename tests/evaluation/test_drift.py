"""Alarms come where scores have changed, and where they haven't as rarely as the error rate says."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp, kstest, spearmanr

from fanogan_mtl.evaluation.drift import (
    BLOCK,
    JUMP,
    MOST_GAIN,
    detect_drift,
    fewest_scores,
    log_martingale,
    online_p_values,
)

SHAPES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "heavy tails": lambda random, shape: random.standard_cauchy(shape),
    "ties": lambda random, shape: random.integers(0, 4, shape).astype(float),
    "one value": lambda random, shape: np.full(shape, 3.0),
}
CHANGES = {
    "higher": lambda normal: normal + 1,
    "lower": lambda normal: normal - 1,
    "higher by and by": lambda normal: normal + np.linspace(0, 2, len(normal)),
    "lower by and by": lambda normal: normal - np.linspace(0, 2, len(normal)),
    "higher at the end": lambda normal: normal + 2 * (np.arange(len(normal)) >= 0.85 * len(normal)),
    "lower at the end": lambda normal: normal - 2 * (np.arange(len(normal)) >= 0.85 * len(normal)),
    "closer together": lambda normal: 0.3 * normal,
    "further apart": lambda normal: 2.5 * normal,
    "all the same": lambda normal: 0 * normal,
}
Array = NDArray[Any]
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("error_rate", [0.01, 0.2])
@pytest.mark.parametrize(("n", "m"), [(10, 60), (100, 200)])
def test_false_alarms_are_as_rare_as_the_error_rate(shape: str, error_rate: float, n: int, m: int) -> None:
    random, repeats = np.random.default_rng(11), 300
    streams = SHAPES[shape](random, (repeats, n + m))
    found = [detect_drift(each[:n], each[n:], error_rate, seed) for seed, each in enumerate(streams)]
    for alarms, rate in (
        (sum(each.is_alarm for each in found), error_rate),
        (sum(each.first_alarm is not None for each in found), error_rate / 2),
        (sum(each.p_value <= each.p_value_limit for each in found), error_rate / 2),
    ):
        assert alarms <= binom.ppf(1 - 1e-4, repeats, rate)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(change: str) -> None:
    random = np.random.default_rng(3)
    alarms = sum(
        detect_drift(random.normal(size=200), CHANGES[change](random.normal(size=400)), 0.01).is_alarm
        for _ in range(20)
    )
    assert alarms >= 19


def test_the_martingale_sees_what_comes_late_and_the_two_samples_a_small_change_among_few() -> None:
    random, late, small = np.random.default_rng(5), [0, 0], [0, 0]
    for _ in range(60):
        normal, new = random.normal(size=100), random.normal(size=200)
        for counts, changed in ((late, CHANGES["higher at the end"](new)), (small, new[:100] + 0.6)):
            drift = detect_drift(normal, changed, 0.02)
            counts[0] += drift.first_alarm is not None
            counts[1] += drift.p_value <= drift.p_value_limit
    assert late[0] > 2 * late[1]
    assert small[1] > 1.3 * small[0]


def test_the_first_alarm_comes_after_the_change_and_higher_says_which_way_it_went() -> None:
    random = np.random.default_rng(0)
    new = np.concatenate([random.normal(size=300), random.normal(size=100) + 3])
    drift = detect_drift(random.normal(size=300), new, 0.01)
    assert drift.first_alarm is not None
    assert 300 < drift.first_alarm < 330
    assert drift.higher > 0.5
    assert detect_drift([1.0, 2.0, 3.0], [2.0, 2.0], 0.1).higher == 0.5
    assert detect_drift([1.0, 2.0, 3.0], [0.0, 1.0], 0.1).higher == pytest.approx(0.5 / 6)


def test_a_few_anomalies_are_no_drift() -> None:
    random, alarms = np.random.default_rng(1), 0
    for _ in range(50):
        new = random.normal(size=400) + 5 * (random.random(400) < 0.03)
        alarms += detect_drift(random.normal(size=200), new, 0.01).is_alarm
    assert alarms <= 2


@given(scores, scores, st.integers(0, 9))
def test_p_values_are_the_ranks_among_what_came_before(normal: list[int], new: list[int], seed: int) -> None:
    values = online_p_values(normal, new, seed)
    for at, score in enumerate(new):
        before = [*normal, *new[:at]]
        higher, equal = sum(each > score for each in before), sum(each == score for each in before)
        assert higher / (len(before) + 1) <= values[at] <= (higher + equal + 1) / (len(before) + 1)


def test_p_values_are_the_same_whether_ranked_in_blocks_or_one_by_one() -> None:
    random = np.random.default_rng(2)
    normal, new = random.integers(0, 500, 70), random.integers(0, 500, 2 * BLOCK + 9)
    values = online_p_values(normal, new)
    before = [np.concatenate([normal, new[:at]]) for at in range(len(new))]
    higher = np.array([(seen > score).sum() for seen, score in zip(before, new, strict=True)])
    equal = np.array([(seen == score).sum() + 1 for seen, score in zip(before, new, strict=True)])
    randomness = (values * (np.arange(len(new)) + 71) - higher) / equal
    assert randomness.min() >= -1e-9
    assert randomness.max() < 1
    assert kstest(randomness, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_p_values_are_uniform_and_independent_whatever_the_scores(shape: str) -> None:
    random = np.random.default_rng(4)
    streams = SHAPES[shape](random, (400, 6 + 40))
    values = np.array([online_p_values(each[:6], each[6:], seed) for seed, each in enumerate(streams)])
    assert kstest(values.ravel(), "uniform").pvalue > 1e-3
    assert spearmanr(values[:, :-1].ravel(), values[:, 1:].ravel()).pvalue > 1e-3


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_the_martingale_is_the_mean_over_every_way_to_jump(p_values: list[float]) -> None:
    bets = [
        lambda p: 1.0,
        lambda p: 1 + (p - 0.5),
        lambda p: 1 - (p - 0.5),
        lambda p: 1 + (6 * (p - 0.5) ** 2 - 0.5),
        lambda p: 1 - (6 * (p - 0.5) ** 2 - 0.5),
    ]
    total = 0.0
    for way in product(range(5), repeat=len(p_values)):
        moves = [(1 - JUMP) * (now == before) + JUMP / 5 for before, now in pairwise(way)]
        total += 1 / 5 * math.prod(moves) * math.prod(bets[bet](p) for bet, p in zip(way, p_values, strict=True))
    assert log_martingale(p_values)[-1] == pytest.approx(math.log(total), abs=1e-9)


def test_every_bet_is_fair_and_bounded() -> None:
    p_values = (np.arange(20_000) + 0.5) / 20_000
    after: Array = np.array([log_martingale([0.01, 0.02, 0.5, 0.97, p])[-1] for p in p_values])
    before = log_martingale([0.01, 0.02, 0.5, 0.97])[-1]
    assert np.exp(after - before).mean() == pytest.approx(1, abs=1e-6)
    assert np.diff(log_martingale(np.zeros(500))).max() <= math.log(MOST_GAIN)


def test_a_long_stream_is_neither_slow_nor_out_of_range() -> None:
    random = np.random.default_rng(6)
    drift = detect_drift(random.normal(size=5000), random.normal(size=100_000) + np.linspace(0, 50, 100_000), 0.01)
    assert drift.log_greatest > 1000  # whose exponential is no float
    assert np.isfinite(drift.log_martingale).all()


@given(scores, scores, st.integers(0, 9))
def test_only_the_order_of_scores_counts(normal: list[int], new: list[int], seed: int) -> None:
    one = detect_drift(normal, new, 0.05, seed)
    other = detect_drift(np.exp(np.asarray(normal) / 2), np.exp(np.asarray(new) / 2), 0.05, seed)
    for name in ("p_values", "log_martingale", "p_value", "statistic", "higher"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_more_scores_leave_the_path_so_far_as_it_was() -> None:
    random = np.random.default_rng(8)
    normal, new = random.integers(0, 9, 30), random.integers(0, 9, 2 * BLOCK + 100)
    whole = detect_drift(normal, new, 0.01).log_martingale
    for number in (1, 40, BLOCK, BLOCK + 7):
        np.testing.assert_array_equal(detect_drift(normal, new[:number], 0.01).log_martingale, whole[:number])


@pytest.mark.filterwarnings("error")
def test_equal_samples_are_no_drift_and_no_warning() -> None:
    drift = detect_drift([1, 2, 3, 4, 5], [1, 2, 3, 4, 4], 0.1)
    assert drift.p_value == pytest.approx(1)
    assert not drift.is_alarm


def test_the_same_scores_give_the_same_bits_and_another_seed_breaks_ties_otherwise() -> None:
    normal, new = [1.0, 2.0, 2.0, 3.0], [2.0, 2.0, 5.0, 1.0]
    one, two = detect_drift(normal, new, 0.01), detect_drift(normal[::-1], new, 0.01)
    assert one.p_values.tobytes() == two.p_values.tobytes()
    assert one.log_martingale.tobytes() == two.log_martingale.tobytes()
    assert one.p_value == two.p_value == ks_2samp(normal, new).pvalue
    assert one.p_values.tolist() != detect_drift(normal, new, 0.01, 1).p_values.tolist()


@given(st.integers(1, 300), st.sampled_from([0.5, 0.05, 0.01, 1e-4]))
def test_with_fewer_scores_there_is_no_alarm_whatever_they_are(n: int, error_rate: float) -> None:
    needed = fewest_scores(n, error_rate)
    assert needed >= 1
    if needed > 1:
        assert not detect_drift(np.zeros(n), np.arange(1.0, needed), error_rate).is_alarm
    if needed < math.ceil(math.log2(2 / error_rate)):  # that of the two samples, which is exact
        assert detect_drift(np.zeros(n) - 1, np.arange(1.0, needed + 1), error_rate).is_alarm


@pytest.mark.parametrize(
    ("normal", "new", "error_rate", "words"),
    [
        ([], [1.0], 0.1, "held-out scores must have shape"),
        ([1.0], [], 0.1, "new scores must have shape"),
        ([1.0], [[1.0]], 0.1, "new scores must have shape"),
        ([1.0], [1.0, math.nan], 0.1, "1 of 2 new scores are NaN or infinity"),
        ([math.inf], [1.0], 0.1, "1 of 1 held-out scores are NaN or infinity"),
        ([1.0], [1.0], 0, "an error rate lies between 0 and 1, got 0"),
        ([1.0], [1.0], math.nan, "an error rate lies between 0 and 1, got nan"),
    ],
)
def test_what_can_not_be_tested_is_one_line(normal: list[Any], new: list[Any], error_rate: float, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}[^\n]*$"):
        detect_drift(normal, new, error_rate)
