"""Checks and marks: what is wrong is said, and what is sound is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.evaluation.sanity import (
    Checks,
    chance_error,
    confounds,
    copies,
    distinct,
    failed_cells,
    few_tested,
    marks,
    spread,
)

SOUND = Checks(spread=0.9, distinct=1.0, copies=0.0, validation_auroc=0.9, error=0.05)
RANDOM = np.random.default_rng(0)


def of(*cells: Checks) -> dict[str, Checks]:
    return {f"class {number}, seed 0": each for number, each in enumerate(cells)}


@pytest.mark.parametrize(
    ("mark", "wrong"),
    [
        ("constant scores", {"spread": 0.0}),
        ("constant scores", {"spread": 1e-12}),
        ("few distinct scores", {"distinct": 0.09}),
        ("copies in test", {"copies": 0.2}),
        ("worse than chance", {"validation_auroc": 0.2}),
        ("no better than untrained", {"untrained_auroc": 0.903, "moved": 0.5}),
        ("no better than untrained", {"untrained_auroc": 0.897, "moved": 0.5}),
        ("no better than untrained", {"untrained_auroc": 0.9, "moved": 0.5, "validation_auroc": 0.7}),
        ("no better than untrained", {"untrained_auroc": 0.4, "moved": 1e-9}),
        ("size explains it", {"size_auroc": 0.9}),
        ("size explains it", {"size_auroc": 0.97, "validation_auroc": 1.0}),
        ("mean grey explains it", {"confounds": {"mean grey": 0.96}}),
        ("depends on company", {"company": 0.1}),
    ],
)
def test_each_fault_has_its_mark_and_a_sentence(mark: str, wrong: dict[str, float]) -> None:
    found = marks(of(replace(SOUND, **wrong)))
    assert list(found) == [mark]
    assert len(found[mark].split()) > 5


def test_a_fault_of_one_cell_in_ten_is_named() -> None:
    found = marks(of(*[SOUND] * 4, replace(SOUND, spread=0.0), *[SOUND] * 5))
    assert "1 of 10 cells (class 4, seed 0)" in found["constant scores"]


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"untrained_auroc": 0.6, "moved": 0.1},
        {"untrained_auroc": 1.0, "moved": 0.1, "validation_auroc": 1.0},  # too easy to tell
        {"untrained_auroc": 0.94, "moved": 0.1},  # within the interval
        {"untrained_auroc": 0.52, "moved": 0.01, "validation_auroc": 0.51},  # both are chance
        {"size_auroc": 0.6},
        {"size_auroc": 0.675, "validation_auroc": 0.985},
        {"confounds": {"mean grey": 0.94}},
        {"confounds": {"mean grey": 0.96, "image size": 0.6}, "validation_auroc": 0.99},
        {"validation_auroc": 0.45},  # within its interval
        {"company": 1e-9},
    ],
)
def test_what_is_sound_has_no_mark(right: dict[str, float]) -> None:
    assert marks(of(replace(SOUND, **right))) == {}
    assert marks({}) == {}


def test_many_cells_below_chance_by_a_little_are_below_it_together() -> None:
    low = replace(SOUND, validation_auroc=0.45)
    assert marks(of(low)) == {}
    assert "worse than chance" in marks(of(*[low] * 10))


def test_chance_alone_marks_one_comparison_in_twenty_at_most() -> None:
    random = np.random.default_rng(1)
    anomaly = np.arange(100) >= 20
    drawn = []
    for _ in range(300):
        scores = random.normal(size=(10, 100))
        areas = [mannwhitneyu(each[anomaly], each[~anomaly]).statistic / (20 * 80) for each in scores]
        cells = [replace(SOUND, validation_auroc=area, error=chance_error(anomaly)) for area in areas]
        drawn.append("worse than chance" in marks(of(*cells)))
    assert np.mean(drawn) < 0.08


@given(st.integers(3, 60), st.integers(3, 60), st.integers(0, 2**32 - 1))
def test_the_error_under_chance_is_that_of_mann_and_whitney(n_normal: int, n_anomalous: int, seed: int) -> None:
    anomaly = np.arange(n_normal + n_anomalous) >= n_normal
    scores = np.random.default_rng(seed).permutation(len(anomaly))  # no ties
    test = mannwhitneyu(scores[anomaly], scores[~anomaly], use_continuity=False, method="asymptotic")
    area = test.statistic / (n_normal * n_anomalous)
    assert 2 * norm.sf(abs(area - 0.5) / chance_error(anomaly)) == pytest.approx(test.pvalue)


def test_spread_and_distinct_scores() -> None:
    assert spread(np.full(9, 3.0)) == spread(np.zeros(4)) == 0
    assert spread([1.0, 1.0 + 1e-15]) < 1e-9
    assert spread([-2.0, 2.0]) == 2
    assert spread([1e300, -1e300]) == 2
    assert distinct(np.arange(10) // 5, np.arange(10, dtype=np.uint64)) == 0.2
    assert distinct(np.zeros(10), np.zeros(10, np.uint64)) == 1, "copies can't score otherwise"


def test_copies_are_counted_to_the_byte() -> None:
    trained = RANDOM.integers(0, 255, (20, 4, 4)).astype(np.uint8)
    tested = np.concatenate([trained[:3], RANDOM.integers(0, 255, (7, 4, 4)).astype(np.uint8)])
    assert copies(content_hashes(tested), content_hashes(trained)) == 0.3


def test_size_alone_ranks_either_way_round_and_by_bytes_too() -> None:
    anomaly = np.arange(20) >= 10
    sizes, pixels = np.full((20, 3), 100), np.full((20, 4, 4), 9, np.uint8)
    assert confounds(anomaly, sizes, pixels) == {}
    for column in range(3):
        smaller = sizes.copy()
        smaller[anomaly, column] -= 7
        assert confounds(anomaly, smaller, pixels) == {"file size" if column == 2 else "image size": 1}


def test_mean_grey_alone_ranks_images_of_one_or_three_channels_and_no_vectors() -> None:
    anomaly, sizes = np.arange(20) >= 10, np.full((20, 3), 100)
    pixels = RANDOM.integers(0, 200, (20, 4, 4, 3)).astype(np.uint8)
    pixels[anomaly] = pixels[~anomaly] // 4  # darker, in the same order among themselves
    expected = roc_auc_score(~anomaly, pixels.reshape(20, -1).mean(axis=1))
    assert confounds(anomaly, sizes, pixels) == {"mean grey": pytest.approx(expected)}
    assert confounds(anomaly, sizes, pixels[..., 0]).keys() == {"mean grey"}
    assert confounds(anomaly, sizes, pixels.reshape(20, -1)) == {}


def test_sizes_on_both_sides_of_the_normal_ones_explain_too() -> None:
    anomaly = np.repeat([False, True, True], 20)
    side = np.repeat([40, 44, 36], 20) + np.random.default_rng(0).integers(-1, 2, 60)
    sizes = np.stack([side, side, side**2], axis=1)
    pixels = np.zeros((60, 4, 4), np.uint8)
    assert confounds(anomaly, sizes, pixels) == {"image size": 1.0, "file size": 1.0}


def test_grey_that_explains_a_handful_of_images_is_an_accident() -> None:
    seen = {"mean grey": 0.99}
    few, many = (replace(SOUND, error=error, confounds=seen) for error in (0.18, 0.05))
    assert "mean grey explains it" in marks({"a": many})
    assert "mean grey explains it" not in marks({"a": few})
    assert "mean grey explains it" in marks({str(number): few for number in range(10)})


def test_few_tested_and_failed_cells() -> None:
    assert few_tested({}) == few_tested({"good": 20, "bent": 31}) == {}
    assert "only 1 of class rare was tested" in few_tested({"good": 17, "rare": 1, "bent": 31})["few tested"]
    assert failed_cells({}, 10) == {}
    assert failed_cells({"a/0 pca seed 0": "3 scores are NaN"}, 10)["failed cells"].startswith("1 of 10 cells failed")
