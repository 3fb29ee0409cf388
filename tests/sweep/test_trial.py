"""A trial: the validation values of its cells, reached together, from training and validation data alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.sweep import cell as cells_module
from fanogan_mtl.sweep.cell import Cell, Comparison, run_cell
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.trial import ReachedBudget, Trial, TrialResult, run_trial

BUDGETS = (1, 2, 4)


def shapes(path: Path, poison: Any = None) -> str:
    """Write a small set of three shapes, with some training images among the test images, too."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 40), ("test", 12)):
        labels = np.repeat(np.arange(3), count)
        images = random.integers(0, 60, (len(labels), 28, 28))
        for label in range(3):
            images[labels == label, 8 * label : 8 * label + 10, 6:20] += 150
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    arrays["x_test"][::4] = arrays["x_train"][::14][: len(arrays["x_test"][::4])]  # copies: the test loses them
    if poison:
        arrays["x_test"], arrays["y_test"] = poison(arrays["x_test"], arrays["y_test"])
    np.savez(path, **arrays)
    return f"shapes=npz:{path}"


def trial_of(spec: str, data_dir: Path, detector: str = "vae", seeds: tuple[int, ...] = (0, 1), **more: Any) -> Trial:
    (dataset,) = parse_datasets(spec)
    digest = load_dataset(dataset, data_dir).digest
    comparison = Comparison(dataset, digest, detector, comparison_parameters(detector, {}), BUDGETS, **more)
    return Trial(7, tuple(Cell(comparison, name, seed) for name in "02" for seed in seeds))


def run(trial: Trial, data_dir: Path) -> TrialResult:
    return run_trial(trial, data_dir, "cpu", lambda report: False)


@pytest.mark.parametrize("detector", ["vae", "fanogan", "knn"])
def test_its_values_are_those_of_the_cells_to_the_bit(tmp_path: Path, detector: str) -> None:
    trial = trial_of(shapes(tmp_path / "a.npz"), tmp_path, detector)
    result = run(trial, tmp_path)
    assert [report.budget for report in result.reports] == ([4] if detector == "knn" else [1, 2, 4])
    alone = [run_cell(cell, tmp_path, "cpu").metrics for cell in trial.cells]
    for report in result.reports:
        assert report.number == 7
        assert list(report.values) == [metrics[report.budget]["validation_auroc"] for metrics in alone]
    assert not result.pruned


def flipped(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(1).integers(0, 256, images.shape).astype(np.uint8)
    return noise, 2 - labels


def gone(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[:1], labels[:1]


@pytest.mark.parametrize("poison", [flipped, gone])
@pytest.mark.parametrize("limit", [None, 30])
def test_what_is_tested_changes_no_bit(tmp_path: Path, poison: Any, limit: int | None) -> None:
    good = trial_of(shapes(tmp_path / "good.npz"), tmp_path, limit=limit)
    bad = trial_of(shapes(tmp_path / "bad.npz", poison), tmp_path, limit=limit)
    assert good.cells[0].comparison.data_digest != bad.cells[0].comparison.data_digest
    assert run(good, tmp_path).reports == run(bad, tmp_path).reports


def test_no_test_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_of(shapes(tmp_path / "a.npz"), tmp_path)

    class Untouchable(np.ndarray):
        def __getitem__(self, key: Any) -> Any:
            assert not len(key), "a test image was read"
            return np.zeros((0, 28, 28), np.uint8)

    def load(spec: Any, data_dir: Path) -> Any:
        dataset = load_dataset(spec, data_dir)
        return replace(dataset, test=replace(dataset.test, pixels=np.zeros(3).view(Untouchable)))

    monkeypatch.setattr(cells_module, "load_dataset", load)
    run(trial, tmp_path)
    with pytest.raises(AssertionError, match="a test image was read"):
        run_cell(trial.cells[0], tmp_path, "cpu")


def test_all_cells_reach_a_budget_before_it_is_reported_and_a_hopeless_trial_ends_there(tmp_path: Path) -> None:
    trial = trial_of(shapes(tmp_path / "a.npz"), tmp_path)
    told: list[ReachedBudget] = []

    def is_hopeless(report: ReachedBudget) -> bool:
        told.append(report)
        return report.budget == 2

    result = run_trial(trial, tmp_path, "cpu", is_hopeless)
    assert result.pruned
    assert list(result.reports) == told
    assert [report.budget for report in told] == [1, 2]
    assert {len(report.values) for report in told} == {len(trial.cells)}
    told.clear()
    assert len(run_trial(trial, tmp_path, "cpu", lambda report: bool(told.append(report))).reports) == 3
    assert [report.budget for report in told] == [1, 2]  # at the last budget there is nothing to prune
