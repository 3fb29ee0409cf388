"""Seeded defects, each put into a real cell: every one is marked, or fails with its reason; sound cells are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyod.models.knn import KNN
from test_cell import cell_of, digits

from fanogan_mtl.data.splits import Split
from fanogan_mtl.evaluation import sanity
from fanogan_mtl.sweep import cell as cells
from fanogan_mtl.sweep.cell import Cell, run_cell
from fanogan_mtl.sweep.result import CellResult

Scores = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], np.ndarray[Any, Any]]
DEEP = ["fanogan", "vae", "deep_svdd", "dagmm"]


class Faulty(KNN):  # type: ignore[misc]
    """A good detector whose scores are spoiled on their way out."""

    spoil: Scores

    def decision_function(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return self.spoil(super().decision_function(X), X)


def marks_of(*results: CellResult) -> list[str]:
    checks = {f"class {number}": result.checks for number, result in enumerate(results)}
    return list(sanity.marks({name: each for name, each in checks.items() if each}))


def spoiled(monkeypatch: pytest.MonkeyPatch, spoil: Scores) -> None:
    def make(name: str, **parameters: object) -> Faulty:
        detector = Faulty()
        detector.spoil = spoil
        return detector

    monkeypatch.setattr(cells, "make_detector", make)


@pytest.mark.parametrize(
    ("mark", "spoil"),
    [
        ("constant scores", lambda scores, rows: np.zeros(len(scores))),
        ("constant scores", lambda scores, rows: np.full(len(scores), 7.0)),
        ("constant scores", lambda scores, rows: 1 + 1e-16 * scores),
        ("constant scores", lambda scores, rows: 1e6 + 1e-6 * scores),
        ("few distinct scores", lambda scores, rows: (scores > np.median(scores)).astype(float)),
        ("few distinct scores", lambda scores, rows: np.digitize(scores, [2, 3, 4, 5, 6])),
        ("few distinct scores", lambda scores, rows: np.clip(scores, None, scores.min())),
        ("worse than chance", lambda scores, rows: -scores),
        ("worse than chance", lambda scores, rows: 1 / scores),
    ],
)
def test_spoiled_scores_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, spoil: Scores) -> None:
    spoiled(monkeypatch, spoil)
    found = marks_of(run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "knn"), tmp_path))
    assert mark in found or (mark, found) == ("few distinct scores", ["constant scores"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_fail_the_cell_with_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    spoiled(monkeypatch, lambda scores, rows: np.where(np.arange(len(scores)) == 3, value, scores))
    with pytest.raises(ValueError, match=r"1 of .* scores are NaN or infinity"):
        run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "knn"), tmp_path)


def test_one_upside_down_class_of_three_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "knn")
    right = [run_cell(replace(cell, normal_class=name), tmp_path) for name in "01"]
    assert marks_of(*right) == []
    spoiled(monkeypatch, lambda scores, rows: -scores)
    assert marks_of(*right, run_cell(replace(cell, normal_class="2"), tmp_path)) == ["worse than chance"]


@pytest.mark.parametrize("detector", DEEP)
def test_a_training_that_moves_no_weight_is_marked(tmp_path: Path, detector: str) -> None:
    cell = replace(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, detector, (3,)), untrained=True)
    rates = {name: 1e-30 for name in ("learning_rate", "encoder_learning_rate") if name in cell.comparison.chosen}
    dead = with_parameters(cell, rates)
    assert "no better than untrained" in marks_of(run_cell(dead, tmp_path))


def test_a_training_that_makes_it_worse_is_marked(tmp_path: Path) -> None:
    cell = replace(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "vae", (1,)), untrained=True)
    result = run_cell(cell, tmp_path)
    assert result.checks is not None
    better = replace(result.checks, untrained_auroc=0.95, validation_auroc=0.5, error=0.05, moved=0.1)
    assert marks_of(replace(result, checks=better)) == ["no better than untrained"]


@pytest.mark.parametrize("detector", DEEP)
def test_a_training_as_it_should_be_has_no_mark(tmp_path: Path, detector: str) -> None:
    cell = replace(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, detector, (20,)), untrained=True)
    result = run_cell(cell, tmp_path)
    assert result.checks is not None
    assert result.checks.untrained_auroc is not None
    assert "no better than untrained" not in marks_of(result)
    assert detector == "fanogan" or marks_of(result) == []  # f-AnoGAN needs more steps than 20 epochs of so few images
    assert run_cell(replace(cell, untrained=False), tmp_path).metrics[20]["auroc"] == result.metrics[20]["auroc"]
    assert replace(cell, untrained=False).key == cell.key


@pytest.mark.parametrize("side", ["width", "height", "bytes"])
def test_normal_images_of_another_size_are_marked(tmp_path: Path, side: str) -> None:
    random = np.random.default_rng(0)
    for name in ("good", "bad"):
        for part, count in (("train", 60), ("test", 30)):
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                shape = [28 + (side == "height") * 8 * (name == "bad"), 28 + (side == "width") * 8 * (name == "bad")]
                pixels = random.integers(0, 255, shape).astype(np.uint8)
                level = 9 * (name == "bad" and side == "bytes")
                pixels = pixels // 128 * 128 if side == "bytes" else pixels
                Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=level)
    assert "size explains it" in marks_of(run_cell(folder_cell(tmp_path), tmp_path))


def folder_cell(tmp_path: Path) -> Cell:
    return replace(cell_of(f"folder:{tmp_path / 'set'}", tmp_path, "iforest"), normal_class="good")


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_copies_of_training_images_in_the_test_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    cell = cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "knn")
    split_of = cells.split_of

    def leaking(*arguments: Any) -> tuple[Split, Any]:
        split, rows_of = split_of(*arguments)
        pixels = split.test.pixels.copy()
        n_copies = round(share * len(pixels))
        pixels[:n_copies] = np.resize(split.train.pixels, (n_copies, *pixels.shape[1:]))
        return replace(split, test=replace(split.test, pixels=pixels)), rows_of

    monkeypatch.setattr(cells, "split_of", leaking)
    assert "copies in test" in marks_of(run_cell(cell, tmp_path))


def test_checks_survive_the_file_and_are_absent_from_older_ones(tmp_path: Path) -> None:
    result = run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "pca"), tmp_path)
    for each in (result, replace(result, checks=None)):
        each.save(tmp_path / "cell.npz")
        assert CellResult.load(tmp_path / "cell.npz").checks == each.checks


def with_parameters(cell: Cell, chosen: dict[str, float]) -> Cell:
    from fanogan_mtl.sweep.parameters import comparison_parameters

    parameters = comparison_parameters(cell.comparison.detector, chosen)
    return replace(cell, comparison=replace(cell.comparison, parameters=parameters))
