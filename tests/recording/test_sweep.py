"""A sweep's record among those of others that work on the same comparisons."""

from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.recording import sweep as sweep_module
from fanogan_mtl.recording.state import State, finished_cells, read_state
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.sweep.cell import Cell, run_cell
from fanogan_mtl.sweep.workers import Failure
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.outbox import tidy_comparison
from fanogan_mtl.tracking.schema import FINISHED_CELLS, CellRun
from fanogan_mtl.workflows.benchmark import benchmark


def begin(tracking: Tracking, key: str) -> str:
    """Begin a comparison as another sweep does."""
    return records.create_run(tracking, "0" * 32, "a comparison", {"level": "comparison", "comparison_key": key})


def test_an_interrupted_sweep_ends_only_its_comparisons_that_still_run(tracking: Tracking, tmp_path: Path) -> None:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn,ocsvm,lof", classes="0,1", seeds="0", data_dir=str(tmp_path / "data")
    )
    plan = make_plan(options)
    sweep = Sweep.begin(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    for cell in plan.cells[:3]:  # one of two of each comparison but the last
        sweep.record(cell, None, Failure("it was cut short", "", ValueError()))
    sweep.settle()
    keys = {planned.comparison.detector: planned.comparison.key for planned in plan.comparisons}
    run_ids = {detector: sweep.comparison_runs[keys[detector]] for detector in ("pca", "knn", "ocsvm")}
    records.finish(tracking, run_ids["pca"])  # by another sweep
    records.delete_run(tracking, run_ids["knn"])  # merged into another's
    run_ids["lof"] = begin(tracking, keys["lof"])
    sweep.close("KILLED")
    statuses = {detector: tracking.client.get_run(run_id).info.status for detector, run_id in run_ids.items()}
    assert statuses == {"pca": "FINISHED", "knn": "RUNNING", "ocsvm": "KILLED", "lof": "RUNNING"}
    assert tracking.client.get_run(sweep.run_id).info.status == "KILLED"


def test_of_a_comparison_that_was_begun_twice_the_run_that_will_stay_is_taken(
    tracking: Tracking, tmp_path: Path
) -> None:
    plan = make_plan(BenchmarkOptions(dataset="optdigits", detectors="pca", data_dir=str(tmp_path / "data")))
    key = plan.comparisons[0].comparison.key
    for _ in range(2):
        begin(tracking, key)
    taken = read_state(tracking, plan).comparisons[key]
    assert taken.run_id == tidy_comparison(tracking, key).run_id


def begun(tracking: Tracking, folder: Path) -> Sweep:
    options = BenchmarkOptions(dataset="optdigits", detectors="knn", classes="0,1", limit="60", data_dir=str(folder))
    typed = {name: str(value) for name, value in asdict(options).items()}
    return Sweep.begin(tracking, make_plan(options), typed, "benchmark")


def test_no_comparison_is_made_of_fewer_cells_because_another_sweep_removed_one(
    tracking: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = begun(tracking, tmp_path / "data")
    first, second = sweep.pending
    results = {cell: run_cell(cell, tmp_path / "data") for cell in (first, second)}
    sweep.record(first, results[first], None)
    sweep.settle()
    (removed,) = records.find_cells(tracking)
    records.delete_run(tracking, removed.run_id)
    sweep.record(second, results[second], None)
    sweep.settle()
    (comparison,) = records.find_comparisons(tracking)
    assert (comparison.status, comparison.run.data.metrics) == ("RUNNING", {})
    assert sweep.take_up_lost()
    assert "optdigits/0 knn seed 0: the run was removed meanwhile; trained again" in capsys.readouterr().out
    assert sweep.pending == [first]
    sweep.record(first, results[first], None)
    sweep.settle()
    assert not sweep.take_up_lost()
    (comparison,) = records.find_comparisons(tracking)
    assert comparison.status == "FINISHED"
    of_cells = [run.metric("auroc") for run in records.find_cells(tracking)]
    assert len(of_cells) == 2
    assert comparison.metric("auroc") == pytest.approx(fmean(of_cells))


def test_a_cell_that_another_process_ends_as_this_one_begins_stays(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begun(tracking, tmp_path / "data")
    key = other.pending[0].key
    comparison = begin(tracking, other.pending[0].comparison.key)
    tags = {"level": "cell", "cell_key": key, "comparison_key": other.pending[0].comparison.key}
    ended, left = (records.create_run(tracking, comparison, "cell", tags) for _ in range(2))

    def read(*given: Any) -> State:
        state = read_state(*given)
        records.finish(tracking, ended)
        return state

    monkeypatch.setattr(sweep_module, "read_state", read)
    begun(tracking, tmp_path / "data")
    assert [run.run_id for run in records.find_cells(tracking)] == [ended]
    assert left != ended


@pytest.fixture
def complete(tracking: Tracking, tmp_path: Path) -> list[Cell]:
    """The cells of a sweep that has ended."""
    sweep = begun(tracking, tmp_path / "data")
    cells = list(sweep.pending)
    for cell in cells:
        sweep.record(cell, run_cell(cell, tmp_path / "data"), None)
    sweep.settle()
    sweep.close("FINISHED")
    return cells


def test_a_complete_comparison_says_what_is_done(
    tracking: Tracking, tmp_path: Path, complete: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(records, "find_cells")  # not a look at any cell
        assert begun(tracking, tmp_path / "data").pending == []
    (comparison,) = records.find_comparisons(tracking)
    assert comparison.finished_cells == {cell.key for cell in complete}
    records.reopen(tracking, comparison.run_id)
    (comparison,) = records.find_comparisons(tracking)
    assert comparison.finished_cells == frozenset()
    assert begun(tracking, tmp_path / "data").pending == []


def test_a_comparison_of_an_older_version_is_told_once_what_is_done(
    tracking: Tracking, tmp_path: Path, complete: list[Cell]
) -> None:
    (comparison,) = records.find_comparisons(tracking)
    tracking.client.delete_tag(comparison.run_id, FINISHED_CELLS)
    assert begun(tracking, tmp_path / "data").pending == []
    (comparison,) = records.find_comparisons(tracking)
    assert comparison.finished_cells == {cell.key for cell in complete}


def test_cells_that_somebody_deleted_are_not_done(tracking: Tracking, tmp_path: Path, complete: list[Cell]) -> None:
    first, second = records.find_cells(tracking)
    records.delete_run(tracking, first.run_id)
    assert [cell.key for cell in begun(tracking, tmp_path / "data").pending] == [first.key]
    tracking.client.restore_run(first.run_id)
    (comparison,) = records.find_comparisons(tracking)
    records.finish(tracking, comparison.run_id)
    assert begun(tracking, tmp_path / "data").pending == []
    records.delete_run(tracking, second.run_id)
    store: Any = tracking.client._tracking_client.store
    store._hard_delete_run(second.run_id)  # as `mlflow gc` does: nothing tells of it any more
    sweep = begun(tracking, tmp_path / "data")
    assert sweep.pending == []
    (planned,) = sweep.plan.comparisons
    assert sweep.lose(planned, finished_cells(tracking, planned.comparison))
    assert sweep.take_up_lost()
    assert [cell.key for cell in sweep.pending] == [second.key]


def test_of_a_comparison_that_grows_only_new_seeds_are_looked_for(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="knn", classes="0,1", limit="60", log_models="none",
        data_dir=str(tmp_path / "data"),
    )  # fmt: skip
    assert benchmark(options) == 0
    more = make_plan(replace(options, seeds="0,1"))
    (planned,) = more.comparisons
    recorded = {cell.key for cell in planned.cells if cell.seed == 0}
    looked_for: list[int | None] = []
    find = records.find_cells

    def told(tracking: Tracking, seed: int | None = None, **tags: str) -> list[CellRun]:
        looked_for.append(seed)
        return find(tracking, seed, **tags)

    monkeypatch.setattr(records, "find_cells", told)
    assert read_state(tracking, more).done == recorded
    assert looked_for == [1]
    Sweep.begin(tracking, more, {"dataset": "optdigits"}, "benchmark").close("KILLED")  # opens the comparison again
    assert read_state(tracking, more).done == recorded
    first = find(tracking)[0]
    records.delete_run(tracking, first.run_id)
    looked_for.clear()
    assert read_state(tracking, more).done == recorded - {first.key}
    assert looked_for == [None]
    assert benchmark(replace(options, seeds="0,1")) == 0
    assert {run.key for run in find(tracking)} == {cell.key for cell in planned.cells}
