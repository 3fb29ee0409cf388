import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.persistence import load_detector, save_detector

SHAPES = pytest.mark.parametrize(("n_rows", "n_features"), [(300, 12), (13, 12), (12, 12), (8, 12), (50, 1), (3, 40)])


def correlated_rows(n_rows, n_features, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n_rows, n_features)) @ random.normal(size=(n_features, n_features)) + 5


def fitted(rows):
    return make_detector("mahalanobis").fit(rows)


def scikit_learns(rows, new):
    scaler = StandardScaler().fit(rows)
    return np.sqrt(LedoitWolf().fit(scaler.transform(rows)).mahalanobis(scaler.transform(new)))


@SHAPES
def test_scores_equal_scikit_learns_in_and_out_of_the_rows_span(n_rows, n_features):
    rows = correlated_rows(n_rows, n_features)
    inside = rows.mean(axis=0) + 3 * (rows[:2] - rows[1:3])
    new = np.concatenate([rows, inside, correlated_rows(10, n_features, seed=1) * 9])
    np.testing.assert_allclose(fitted(rows).decision_function(new), scikit_learns(rows, new), rtol=1e-6)


def test_step_out_of_the_span_counts_by_the_variance_there_alone():
    rows = correlated_rows(4, 30)
    detector = fitted(rows)
    centred = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    outwards = np.linalg.svd(centred)[2][-1]  # the rows' span has four dimensions at most
    near, far = (
        detector.decision_function((rows.mean(axis=0) + step * rows.std(axis=0) * outwards)[None]) for step in (1, 7)
    )
    assert near == pytest.approx(1 / np.sqrt(detector.rest_variance_))
    assert far == pytest.approx(7 * near)


@SHAPES
def test_feature_shares_are_each_features_part_of_the_squared_score(n_rows, n_features):
    rows = correlated_rows(n_rows, n_features)
    new = np.concatenate([rows[:3], correlated_rows(10, n_features, seed=1) * 9])
    scaled, theirs = StandardScaler().fit(rows).transform(new), LedoitWolf().fit(StandardScaler().fit_transform(rows))
    shares = fitted(rows).feature_shares(new)
    expected = scaled * (scaled @ theirs.precision_)
    np.testing.assert_allclose(shares, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(shares.sum(axis=1), fitted(rows).decision_function(new) ** 2, rtol=1e-6)


@SHAPES
def test_training_rows_have_the_same_bits_as_in_training(n_rows, n_features):
    rows = correlated_rows(n_rows, n_features)
    detector = fitted(rows)
    np.testing.assert_array_equal(detector.decision_function(rows), detector.decision_scores_)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([(70, 33), (20, 33), (5, 257), (400, 130)]), st.booleans())
def test_score_has_the_same_bits_alone_in_any_batch_order_and_layout(data, shape, columns_first):
    rows = correlated_rows(*shape)
    detector = fitted(rows)
    new = correlated_rows(50, shape[1], seed=2)
    scores = detector.decision_function(new)
    chosen = data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=80))
    batch = np.asfortranarray(new[chosen]) if columns_first else new[chosen]
    np.testing.assert_array_equal(detector.decision_function(batch), scores[chosen])
    np.testing.assert_array_equal(detector.decision_function(new[chosen[:1]]), scores[chosen[:1]])


@pytest.mark.parametrize("n_rows", [9, 200])
def test_scores_do_not_depend_on_units(n_rows):
    rows, units = correlated_rows(n_rows, 20), np.logspace(-6, 6, 20)
    new = correlated_rows(30, 20, seed=3)
    np.testing.assert_allclose(
        fitted(rows * units).decision_function(new * units), fitted(rows).decision_function(new), rtol=1e-9
    )


@pytest.mark.parametrize("n_rows", [9, 200])
def test_constant_feature_is_taken_as_it_is(n_rows):
    rows = np.insert(correlated_rows(n_rows, 20), 3, 0.1, axis=1)  # 0.1: its mean over the rows is not quite 0.1
    detector, moved = fitted(rows), rows + np.eye(21)[3]
    assert detector.scale_[3] == 1
    assert detector.decision_scores_.max() < 2 * np.sqrt(21)
    np.testing.assert_allclose(
        detector.decision_function(moved) ** 2 - detector.decision_scores_**2, 1 / detector.rest_variance_
    )


def test_rows_that_are_all_equal_are_one_clear_error():
    with pytest.raises(ValueError, match=r"^Mahalanobis needs training rows that differ: all 7 are equal$"):
        fitted(np.full((7, 4), 0.1))


@pytest.mark.parametrize("times", [1, 20], ids=["fewer rows than features", "more"])
def test_two_distinct_rows_give_finite_scores(times):
    """Ledoit and Wolf's formula asks for no shrinkage of them, so that nothing would have an inverse."""
    rows = np.repeat(correlated_rows(2, 12), times, axis=0)
    detector = fitted(rows)
    np.testing.assert_allclose(detector.decision_scores_, 1, rtol=1e-6)
    middle, near, far = detector.decision_function(
        np.stack([rows.mean(axis=0), rows[0] + np.eye(12)[0], rows[0] + 9 * np.eye(12)[0]])
    )
    assert middle < 1 < near < far < np.inf


def test_copies_of_features_and_rows_score_as_scikit_learn_does():
    rows = np.tile(correlated_rows(30, 5), (2, 3))
    new = np.tile(correlated_rows(10, 5, seed=4), 3)
    np.testing.assert_allclose(fitted(rows).decision_function(new), scikit_learns(rows, new), rtol=1e-6)


def test_few_rows_of_many_features_take_no_matrix_of_features_by_features():
    import tracemalloc

    rows = np.random.default_rng(0).random((50, 10_000))
    tracemalloc.start()
    try:
        fitted(rows)
        assert tracemalloc.get_traced_memory()[1] < 20 * rows.nbytes  # that matrix alone has 200 times as many bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_rows", [9, 200])
def test_saved_and_loaded_has_the_same_bits_in_the_same_memory_order(n_rows, tmp_path):
    detector = fitted(correlated_rows(n_rows, 20))
    save_detector(detector, tmp_path / "detector")
    loaded, new = load_detector(tmp_path / "detector"), correlated_rows(30, 20, seed=5)
    np.testing.assert_array_equal(loaded.decision_function(new), detector.decision_function(new))
    for name in ("mean_", "scale_", "basis_", "factor_"):
        ours, its = getattr(detector, name), getattr(loaded, name)
        np.testing.assert_array_equal(its, ours)
        assert ours.dtype == its.dtype == np.float64
        assert ours.flags.c_contiguous
        assert its.flags.c_contiguous
