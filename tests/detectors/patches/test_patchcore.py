"""PatchCore is a nearest neighbour among patches, of a coreset that misses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import softmax

from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.patches import patchcore
from fanogan_mtl.detectors.patches.patchcore import greedy_coreset

GRID, CHANNELS = 4, 6


def maps(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, CHANNELS * GRID**2)).astype(np.float32)


def patches_of(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), CHANNELS, -1).transpose(0, 2, 1)


def test_maps_are_distances_to_the_nearest_training_patch() -> None:
    rows, new = maps(20), maps(7, seed=1)
    detector = make_detector("patchcore", grid=GRID, neighbourhood=1).fit(rows)  # so few that all are kept
    memory = patches_of(rows).reshape(-1, CHANNELS)
    expected = np.stack([cdist(own, memory).min(axis=1) for own in patches_of(new)])
    np.testing.assert_allclose(detector.anomaly_maps(new), expected.reshape(-1, GRID, GRID), rtol=1e-6)


def test_the_score_is_weighed_as_in_the_paper() -> None:
    rows, new = maps(20), maps(7, seed=1)
    detector = make_detector("patchcore", grid=GRID, neighbourhood=1, n_neighbors=4).fit(rows)
    memory = patches_of(rows).reshape(-1, CHANNELS)
    expected = []
    for own in patches_of(new):
        away = cdist(own, memory)
        worst = away.min(axis=1).argmax()
        nearest = away[worst].argmin()
        beside = np.argsort(cdist(memory[nearest][None], memory)[0])[:4]
        weight = 1 - softmax(away[worst][beside])[list(beside).index(nearest)]
        expected.append(weight * away[worst, nearest])
    np.testing.assert_allclose(detector.decision_function(new), expected, rtol=1e-5)
    unweighed = make_detector("patchcore", grid=GRID, neighbourhood=1, n_neighbors=1).fit(rows)
    np.testing.assert_array_equal(unweighed.decision_function(new), unweighed.anomaly_maps(new).max(axis=(1, 2)))


def test_a_patch_is_the_mean_of_its_neighbourhood() -> None:
    row = np.zeros((1, GRID, GRID), np.float32)
    row[0, 1, 2] = 9
    detector = make_detector("patchcore", grid=GRID, neighbourhood=3)
    averaged = detector._averaged(row.reshape(1, -1)).reshape(GRID, GRID)
    expected = np.zeros((GRID, GRID))
    expected[:3, 1:] = 1
    np.testing.assert_allclose(averaged, expected, atol=1e-6)


def test_training_images_are_scored_without_their_own_patches() -> None:
    rows = maps(20)
    detector = make_detector("patchcore", grid=GRID).fit(rows)
    for row in (0, 19):
        alone = make_detector("patchcore", grid=GRID).fit(np.delete(rows, row, axis=0))
        assert detector.decision_scores_[row] == pytest.approx(
            alone.decision_function(rows[row : row + 1])[0], rel=1e-5
        )
    assert (detector.decision_function(rows) < detector.decision_scores_).all()


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(1, 60))
def test_the_coreset_is_greedy_and_within_twice_the_best(seed: int, number: int, asked: int) -> None:
    patches = np.random.default_rng(seed).normal(size=(number, 3)).astype(np.float32)
    chosen = greedy_coreset(patches, min(asked, number))
    assert len(set(chosen.tolist())) == len(chosen) == min(asked, number)
    for at in range(1, len(chosen)):
        away = cdist(patches, patches[chosen[:at]]).min(axis=1)
        assert away[chosen[at]] == pytest.approx(away.max(), abs=1e-3)


def test_copies_are_chosen_last() -> None:
    patches = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    assert len(np.unique(patches[greedy_coreset(patches, 4)], axis=0)) == 4
    assert sorted(greedy_coreset(patches, 20)) == list(range(20))


def test_a_coreset_finds_a_rare_kind_of_patch_that_a_random_draw_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchcore, "LEAST_MEMORY", 1)
    rows = maps(60)
    rows.reshape(60, CHANNELS, -1)[7, :, 3] += 30
    detector = make_detector("patchcore", grid=GRID, neighbourhood=1, coreset=0.02).fit(rows)
    assert len(detector.memory_) == round(0.02 * 60 * GRID**2)
    assert (detector.memory_ > 20).all(axis=1).sum() == 1


def test_of_very_many_patches_some_are_candidates_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchcore, "MOST_CANDIDATES", 50)
    monkeypatch.setattr(patchcore, "LEAST_MEMORY", 1)
    rows = maps(20)
    first, second = (make_detector("patchcore", grid=GRID, coreset=0.9).fit(rows).memory_ for _ in range(2))
    assert len(first) == 45
    np.testing.assert_array_equal(first, second)


def test_an_even_neighbourhood_is_refused() -> None:
    with pytest.raises(ValueError, match="neighbourhood=2 is even"):
        make_detector("patchcore", neighbourhood=2).fit(maps(5))
