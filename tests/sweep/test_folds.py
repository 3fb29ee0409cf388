"""Scores of training rows, fold by fold: no row is scored by a detector that has seen it, or one that equals it."""

from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.evaluation.conformal import conformal_threshold
from fanogan_mtl.sweep.cell import Cell, Comparison, build_detector, run_cell, split_of
from fanogan_mtl.sweep.folds import FOLDS, fold_scores, trains_quickly
from fanogan_mtl.sweep.parameters import comparison_parameters


def cell_of(
    data_dir: Path, detector: str, limit: int | None, seed: int = 0, normal: str = "3", dataset: str = "optdigits"
) -> Cell:
    (spec,) = parse_datasets(dataset)
    digest = load_dataset(spec, data_dir).digest
    parameters = comparison_parameters(detector, {})
    return Cell(Comparison(spec, digest, detector, parameters, (1,), limit), normal, seed)


def test_with_as_many_folds_as_rows_each_is_scored_by_a_detector_of_the_others(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, "pca", limit=12)
    split, rows_of = split_of(cell, tmp_path)
    rows = rows_of(split.train)
    assert len(rows) <= FOLDS
    expected = []
    for left_out in range(len(rows)):
        detector = build_detector(cell, "cpu")
        detector.fit(np.delete(rows, left_out, axis=0))
        expected.append(detector.decision_function(rows[left_out : left_out + 1])[0])
    np.testing.assert_array_equal(fold_scores(cell, tmp_path, "cpu").scores, expected)


def test_equal_rows_are_of_one_fold(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    images[1:5] = images[0]  # five copies, which go together into a part
    labels = np.repeat([0, 1], 30)
    np.savez(tmp_path / "copies.npz", x_train=images, y_train=labels, x_test=images[::-1], y_test=labels[::-1])
    cells = [cell_of(tmp_path, "knn", None, seed, "0", f"copies=npz:{tmp_path / 'copies.npz'}") for seed in range(4)]
    trained = 0
    for cell in cells:
        split, rows_of = split_of(cell, tmp_path)
        rows = rows_of(split.train)
        is_copy = (rows == rows[0]).all(axis=1)
        trained += is_copy.sum() == 5
        assert fold_scores(cell, tmp_path, "cpu").scores.min() > 0  # of copies apart, the nearest would be at 0
    assert trained


@pytest.mark.parametrize("detector", ["pca", "knn", "mahalanobis"])
def test_of_few_images_at_most_a_tenth_of_new_normal_ones_are_flagged(tmp_path: Path, detector: str) -> None:
    flagged = []
    for digit in map(str, range(10)):
        for seed in range(3):
            cell = cell_of(tmp_path, detector, 80, seed, digit)
            result = run_cell(cell, tmp_path, "cpu")
            assert result.of_normal is not None
            held_out = np.concatenate([result.of_normal.held_out, fold_scores(cell, tmp_path, "cpu").scores])
            flagged.append((result.of_normal.tested > conformal_threshold(held_out, 0.1)).mean())
    assert 0.04 < np.mean(flagged) < 0.12  # by PyOD's threshold it is all of them for two of these


def test_detectors_that_train_by_epochs_are_left_out(tmp_path: Path) -> None:
    assert [name for name in ("pca", "knn", "iforest", "vae", "fanogan", "deep_svdd", "dagmm")
            if trains_quickly(cell_of(tmp_path, name, 12))] == ["pca", "knn", "iforest"]  # fmt: skip
