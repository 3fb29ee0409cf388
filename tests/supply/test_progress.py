import numpy as np
import pytest

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.supply.progress import CellProgress
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.result import CellResult


def result(seconds: float) -> CellResult:
    metrics = {20: {"fit_seconds": seconds - 1, "score_seconds": 1.0}}
    return CellResult(metrics, np.zeros((1, 0)), np.zeros(0, bool), np.zeros(0, int), np.zeros(0, int))


@pytest.fixture
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    folder = str(tmp_path_factory.mktemp("cache"))
    return make_plan(
        BenchmarkOptions(dataset="optdigits,handwritten", detectors="vae,pca", classes="0,1,2", data_dir=folder)
    ).cells


def test_time_left_is_what_the_same_comparison_took_for_each_cell_to_come(cells: list[Cell]) -> None:
    seconds = {"vae": 30.0, "pca": 2.0}
    with CellProgress(cells, len(cells), workers=2) as progress:
        for cell in cells[:4]:  # one of each comparison
            progress.update(cell, result(seconds[cell.comparison.detector]), [])
        assert progress.seconds_left() == pytest.approx((4 * 30 + 4 * 2) / 2)


def test_a_detector_that_ran_elsewhere_is_guessed_by_that(cells: list[Cell]) -> None:
    with CellProgress(cells, len(cells), workers=1) as progress:
        for cell in cells[:2]:
            progress.update(cell, result({"vae": 30.0, "pca": 2.0}[cell.comparison.detector]), [])
        assert progress.seconds_left() == pytest.approx(5 * 30 + 5 * 2)


def test_a_failed_cell_counts_as_done_and_teaches_nothing(cells: list[Cell]) -> None:
    with CellProgress(cells, len(cells), workers=1) as progress:
        progress.update(cells[0], None, [])
        assert progress.seconds_left() == 0
