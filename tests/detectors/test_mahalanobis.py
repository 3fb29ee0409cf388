"""The Mahalanobis detector is scikit-learn's shrunk Gaussian, whatever the number of features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.detectors.mahalanobis import Mahalanobis


def made(n_rows: int, n_features: int, seed: int = 0) -> np.ndarray:
    """Rows of dependent features on very different scales."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_rows, n_features)) @ random.normal(size=(n_features, n_features))
    return rows * np.geomspace(1, 1e4, n_features) + 7


@pytest.mark.parametrize(("n_rows", "n_features"), [(300, 20), (25, 24), (24, 24), (10, 80), (3, 1)])
def test_scores_are_scikit_learns_distances_of_standardised_rows(n_rows: int, n_features: int) -> None:
    rows, others = np.split(made(n_rows + 40, n_features), [n_rows])
    scaler = StandardScaler().fit(rows)
    gaussian = LedoitWolf(assume_centered=True).fit(scaler.transform(rows))
    expected = np.sqrt(gaussian.mahalanobis(scaler.transform(others)))
    np.testing.assert_allclose(Mahalanobis().fit(rows).decision_function(others), expected, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 40), st.integers(1, 60), st.integers(0, 2**20))
def test_a_row_has_the_same_bits_alone_and_in_any_company(n_rows: int, n_features: int, seed: int) -> None:
    rows, others = np.split(made(n_rows + 13, n_features, seed), [n_rows])
    detector = Mahalanobis().fit(rows)
    scores, order = detector.decision_function(others), np.random.default_rng(seed).permutation(13)
    np.testing.assert_array_equal(np.concatenate([detector.decision_function(row[None]) for row in others]), scores)
    np.testing.assert_array_equal(detector.decision_function(others[order]), scores[order])


def test_wide_rows_have_the_same_bits_alone_and_in_any_company() -> None:
    rows, others = np.split(np.random.default_rng(1).normal(size=(1400, 1008)), [1300])
    detector = Mahalanobis().fit(rows)
    alone = np.concatenate([detector.decision_function(row[None]) for row in others])
    np.testing.assert_array_equal(alone, detector.decision_function(others))


def test_a_features_unit_changes_no_score() -> None:
    rows, others = np.split(made(240, 30), [200])
    units = np.geomspace(1e-6, 1e6, 30)
    scores = Mahalanobis().fit(rows).decision_function(others)
    np.testing.assert_allclose(Mahalanobis().fit(rows * units).decision_function(others * units), scores, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [8, 200])
def test_constant_features_matter_only_where_they_change(n_rows: int) -> None:
    rows = np.hstack([made(n_rows, 20), np.full((n_rows, 2), 0.1)])
    new = rows[:1].copy()
    detector = Mahalanobis().fit(rows)
    same = detector.decision_function(new)[0]
    new[0, -1] += 3
    assert detector.decision_function(new)[0] > same + 1
    assert np.isfinite(detector.decision_scores_).all()


def test_a_row_beyond_the_span_of_few_training_rows_is_far() -> None:
    random = np.random.default_rng(3)
    plane = random.normal(size=(2, 50))
    detector = Mahalanobis().fit(random.normal(size=(20, 2)) @ plane)
    inside, outside = random.normal(size=(5, 2)) @ plane, random.normal(size=(5, 50))
    assert detector.decision_function(inside).max() < detector.decision_function(outside).min()


def test_ten_thousand_features_of_few_rows_never_become_a_matrix_of_both() -> None:
    detector = Mahalanobis().fit(np.random.default_rng(4).normal(size=(30, 10_000)))
    assert detector.whitening_.size + detector.basis_.size < 1_000_000


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_equal_rows_make_the_distance_to_them_the_score(shape: tuple[int, int]) -> None:
    detector = Mahalanobis().fit(np.full(shape, 0.1))
    np.testing.assert_allclose(detector.decision_function(np.full((1, shape[1]), 2.1)), [2 * shape[1] ** 0.5])


@pytest.mark.parametrize("n_rows", [2, 40])
def test_a_row_beside_the_line_of_two_different_rows_is_no_normal_one(n_rows: int) -> None:
    """Of two rows, however often, Ledoit and Wolf shrink nothing: the variance beside their line would be zero."""
    rows = np.resize([[0.0, 0.0, 1.0], [2.0, 4.0, 1.0]], (n_rows, 3))
    detector = Mahalanobis().fit(rows)
    np.testing.assert_allclose(detector.decision_scores_, 1)
    np.testing.assert_allclose(detector.decision_function([[1, 2, 1], [1, 2, 4]]), [0, 3], atol=1e-9)
