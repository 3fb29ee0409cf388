"""PaDiM is a Gaussian at each position, and scores its training images as if they were new."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from sklearn.metrics import roc_auc_score

from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.patches.padim import leave_one_out

GRID, CHANNELS = 3, 5


def maps(number: int, seed: int = 0) -> np.ndarray:
    """Rows of maps whose channels are correlated, in another way at each position."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(GRID**2, CHANNELS, CHANNELS))
    patches = (
        np.einsum("npc,pcd->npd", random.normal(size=(number, GRID**2, CHANNELS)), mixing) + np.arange(GRID**2)[:, None]
    )
    return patches.transpose(0, 2, 1).reshape(number, -1).astype(np.float32)


def gaussians(rows: np.ndarray, share: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the positions, by the definition."""
    patches = rows.reshape(len(rows), CHANNELS, -1).transpose(2, 0, 1).astype(np.float64)
    covariances = np.stack([np.cov(own.T) for own in patches])
    variance = np.mean([np.trace(each) for each in covariances]) / CHANNELS
    return patches.mean(axis=1), covariances + share * variance * np.eye(CHANNELS)


def distances(rows: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    away = rows.reshape(len(rows), CHANNELS, -1).transpose(0, 2, 1) - means
    return np.sqrt(np.einsum("npc,pcd,npd->np", away, np.linalg.inv(covariances), away))


def test_maps_are_mahalanobis_distances_and_the_score_is_the_greatest() -> None:
    rows, new = maps(40), maps(12, seed=1) * 2
    detector = make_detector("padim", grid=GRID).fit(rows)
    expected = distances(new, *gaussians(rows))
    np.testing.assert_allclose(detector.anomaly_maps(new), expected.reshape(-1, GRID, GRID), rtol=1e-4)
    np.testing.assert_array_equal(detector.decision_function(new), detector.anomaly_maps(new).max(axis=(1, 2)))


@given(st.integers(0, 1000), st.integers(4, 30), st.floats(1e-3, 1))
def test_a_training_row_scores_as_if_it_had_been_left_out(seed: int, number: int, share: float) -> None:
    rows = maps(number, seed)
    means, covariances = gaussians(rows, share)
    found = leave_one_out(distances(rows, means, covariances), number)
    diagonal = covariances - np.stack(
        [np.cov(own.T) for own in rows.reshape(number, CHANNELS, -1).transpose(2, 0, 1).astype(np.float64)]
    )
    for row in (0, number - 1):
        others = np.delete(rows, row, axis=0)
        own_means, own_covariances = gaussians(others, share=0)
        kept = own_covariances + diagonal * (number - 1) / (number - 2)  # the diagonal of all rows' scatter
        np.testing.assert_allclose(found[row], distances(rows[row : row + 1], own_means, kept)[0], rtol=1e-6)


def test_its_threshold_holds_for_new_images_where_there_are_hardly_more_than_channels() -> None:
    random = np.random.default_rng(0)
    rows, new = random.normal(size=(2, 60, 40 * GRID**2)).astype(np.float32)
    detector = make_detector("padim", grid=GRID).fit(rows)
    assert 0.02 < (detector.decision_function(new) > detector.threshold_).mean() < 0.25  # 0.1 is meant


def test_channels_are_drawn_by_the_seed_and_more_than_there_are_are_all() -> None:
    rows = maps(30)
    drawn = [
        make_detector("padim", grid=GRID, n_channels=2, random_state=seed).fit(rows).channels_ for seed in range(6)
    ]
    assert {len(each) for each in drawn} == {2}
    assert len({tuple(each) for each in drawn}) > 1
    every = [make_detector("padim", grid=GRID, n_channels=n).fit(rows).decision_scores_ for n in (None, 5, 100)]
    np.testing.assert_array_equal(every[0], every[1])
    np.testing.assert_array_equal(every[0], every[2])


def test_with_a_context_the_means_around_a_patch_are_channels_as_its_own_are() -> None:
    rows, new = maps(60), maps(12, seed=1) * 2
    around, new_around = (
        uniform_filter(each.reshape(-1, CHANNELS, GRID, GRID), (1, 1, 3, 3), mode="nearest").reshape(len(each), -1)
        for each in (rows, new)
    )
    with_context = make_detector("padim", grid=GRID, context=3).fit(rows)
    by_hand = make_detector("padim", grid=GRID).fit(np.concatenate([rows, around], axis=1))
    expected = by_hand.anomaly_maps(np.concatenate([new, new_around], axis=1))
    np.testing.assert_array_equal(with_context.anomaly_maps(new), expected)
    np.testing.assert_array_equal(with_context.decision_scores_, by_hand.decision_scores_)
    drawn = make_detector("padim", grid=GRID, context=3, n_channels=4).fit(rows)
    np.testing.assert_array_equal(drawn.decision_function(new[3:4]), drawn.decision_function(new)[3:4])


def test_a_wide_anomaly_stands_out_by_its_context() -> None:
    random = np.random.default_rng(0)
    rows, normal, shaded = random.normal(size=(3, 200, 8 * 8)).astype(np.float32)
    shaded += 0.6
    new, anomaly = np.concatenate([normal, shaded]), np.repeat([0, 1], len(normal))
    alone, in_context = (
        roc_auc_score(anomaly, make_detector("padim", grid=8, context=context).fit(rows).decision_function(new))
        for context in (1, 5)
    )
    assert in_context > alone + 0.1


def test_a_context_without_a_middle_is_one_line() -> None:
    with pytest.raises(ValueError, match="context=4 is even, and has no middle; choose an odd number"):
        make_detector("padim", grid=GRID, context=4).fit(maps(8))


def test_units_change_nothing() -> None:
    rows, new = maps(30), maps(9, seed=1)
    plain, scaled = (
        make_detector("padim", grid=GRID).fit(rows * by).decision_function(new * by) for by in (1, 2.0**12)
    )
    np.testing.assert_allclose(scaled, plain, rtol=1e-5)


@pytest.mark.parametrize("name", ["padim", "patchcore"])
def test_rows_that_are_no_maps_of_the_grid_are_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"takes maps of 4x4 positions: rows of 45 features"):
        make_detector(name, grid=4).fit(maps(8))


def test_equal_training_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="needs training rows that differ"):
        make_detector("padim", grid=GRID).fit(np.ones((6, 45), np.float32))
