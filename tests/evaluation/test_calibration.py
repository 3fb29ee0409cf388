"""Probabilities rise with the score, keep its ranking, and mean what they say."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fanogan_mtl.evaluation.calibration import Calibration, fit_calibration

SIZES = st.integers(2, 60)


@given(st.integers(0, 10**6), SIZES, SIZES, st.floats(-3, 3), st.floats(1e-6, 1e6))
def test_a_higher_score_never_is_less_probable(seed: int, n: int, m: int, shift: float, unit: float) -> None:
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(size=n), random.normal(shift, 2, m)]) * unit
    calibration = fit_calibration(np.arange(n + m) >= n, scores)
    probabilities = calibration.probabilities(np.sort(scores))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= 0).all()
    assert Calibration(**asdict(calibration)) == calibration


@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_the_unit_of_the_score_does_not_matter(seed: int, unit: float, zero: float) -> None:
    random = np.random.default_rng(seed)
    scores, anomaly = np.concatenate([random.normal(size=40), random.normal(2, 1, 300)]), np.arange(340) >= 40
    ours = fit_calibration(anomaly, scores).probabilities(scores)
    others = fit_calibration(anomaly, scores * unit + zero).probabilities(scores * unit + zero)
    np.testing.assert_allclose(ours, others, atol=1e-4)


def test_probabilities_are_frequencies_where_both_kinds_are_equally_frequent() -> None:
    random = np.random.default_rng(0)

    def drawn(normal: int, anomalies: int) -> tuple[np.ndarray, np.ndarray]:
        scores = np.concatenate([random.gamma(2.0, size=normal), random.gamma(6.0, size=anomalies)])
        return np.arange(normal + anomalies) >= normal, scores

    calibration = fit_calibration(*drawn(1000, 9000))
    anomaly, scores = drawn(20_000, 20_000)
    probabilities = calibration.probabilities(scores)
    for low in np.arange(0.1, 0.9, 0.2):
        inside = (probabilities >= low) & (probabilities < low + 0.2)
        assert abs(anomaly[inside].mean() - probabilities[inside].mean()) < 0.08


def test_enormous_scores_keep_the_ranking() -> None:
    scores = np.concatenate([np.linspace(1, 2, 20), np.geomspace(3, 1e12, 180)])
    anomaly = np.arange(200) >= 20
    probabilities = fit_calibration(anomaly, scores).probabilities(scores)
    assert np.isfinite(probabilities).all()
    assert roc_auc_score(anomaly, probabilities) == roc_auc_score(anomaly, scores) == 1


def test_a_detector_that_ranks_worse_than_chance_says_nothing() -> None:
    calibration = fit_calibration([False, False, True, True], [3.0, 4.0, 1.0, 2.0])
    np.testing.assert_array_equal(calibration.probabilities([0.0, 5.0]), 0.5)


def test_constant_scores() -> None:
    np.testing.assert_allclose(fit_calibration([False, True], [7.0, 7.0]).probabilities(7.0), 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("anomaly", "scores"), [([True, True], [1, 2]), ([True, False], [1, np.nan]), ([True], [1, 2])]
)
def test_what_cannot_be_learned_from_is_refused(anomaly: list[bool], scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fit_calibration(anomaly, scores)
