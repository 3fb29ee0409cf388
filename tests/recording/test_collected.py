"""One file has the results of all cells of a complete comparison, and is believed only where it has exactly those."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from mlflow.artifacts import download_artifacts

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.recording.collected import COLLECTED_FILE, read_cells
from fanogan_mtl.recording.evidence import read_evidence
from fanogan_mtl.recording.state import RESULT_FILE, comparison_of, finished_cells
from fanogan_mtl.sweep.result import CellResult
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.schema import ComparisonRun
from fanogan_mtl.workflows.benchmark import benchmark

ARRAYS = ("scores", "anomaly", "labels", "rows", "normal_scores")


def sweep(tracking: Tracking, tmp_path: Path, **more: str) -> dict[str, ComparisonRun]:
    given = {"detectors": "knn,vae", "classes": "0,1", "epochs": "1,2", "limit": "60", "log_models": "none"} | more
    assert benchmark(BenchmarkOptions(dataset="optdigits", data_dir=str(tmp_path / "data"), **given)) == 0
    return {comparison_of(run).detector: run for run in records.find_comparisons(tracking)}


def file_of(run: ComparisonRun, name: str) -> Path:
    return Path(download_artifacts(f"{run.artifact_uri}/{name}"))


def test_it_has_the_same_bits_and_is_read_though_the_cells_own_are_gone(tracking: Tracking, tmp_path: Path) -> None:
    for run in sweep(tracking, tmp_path).values():
        comparison = comparison_of(run)
        finished = finished_cells(tracking, comparison)
        assert len(finished.cells) == 2
        for cell in finished.runs:
            Path(download_artifacts(f"{cell.artifact_uri}/{RESULT_FILE}")).unlink()
        cells, lost = read_cells(tracking, run, comparison, changed=False)
        assert not lost
        assert [each.cell for each in cells] == [each.cell for each in finished.cells]
        for ours, own in zip(cells, finished.cells, strict=True):
            for name in ARRAYS:
                array, expected = getattr(ours.result, name), getattr(own.result, name)
                np.testing.assert_array_equal(array, expected)
                assert array.dtype == expected.dtype
            assert ours.result.metrics == own.result.metrics
            assert ours.result.checks == own.result.checks
            assert ours.result.weighs_classes == own.result.weighs_classes
        assert len(read_cells(tracking, run, comparison, changed=True)[1]) == 2


@pytest.mark.parametrize("how", ["damaged", "gone", "another seed was recorded", "a cell was deleted"])
def test_it_is_not_believed_where_it_may_be_wrong(how: str, tracking: Tracking, tmp_path: Path) -> None:
    run = sweep(tracking, tmp_path, detectors="knn")["knn"]
    comparison, file = comparison_of(run), file_of(run, COLLECTED_FILE)
    before, expected = file.read_bytes(), 2
    if how == "damaged":
        file.write_bytes(before[:-100])
    elif how == "gone":
        file.unlink()
    elif how == "another seed was recorded":
        run, expected = sweep(tracking, tmp_path, detectors="knn", seeds="1")["knn"], 4
        file.write_bytes(before)  # as if it had been killed before it wrote the new one
    else:
        records.delete_run(tracking, finished_cells(tracking, comparison).runs[0].run_id)
        expected = 1
    (result,) = read_evidence(tracking, [run], tmp_path / "data").evidence.results
    assert len(result.cells) == expected


def test_no_part_of_a_result_is_forgotten() -> None:
    told = {"metrics", "checks", "weighs_classes"}
    left_out = {"examples", "where"}
    assert {each.name for each in fields(CellResult)} == {*ARRAYS, *told, *left_out}


def test_a_metric_that_is_newer_than_the_file_is_computed(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sweep(tracking, tmp_path, detectors="knn")["knn"]
    asked: list[CellResult] = []
    monkeypatch.setattr(CellResult, "add_metrics", asked.append)
    cells, _ = read_cells(tracking, run, comparison_of(run), changed=False)
    assert asked == [cell.result for cell in cells]
