"""Marks of comparisons: found in what is recorded, kept in MLflow, told where figures are shown."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import Plan, make_plan
from fanogan_mtl.recording.marks import explained, mark_tags, rank
from fanogan_mtl.recording.pages import write_overview
from fanogan_mtl.recording.printed import print_results
from fanogan_mtl.recording.results import read_results
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.supply.models import _asked_for, log_models
from fanogan_mtl.sweep.cell import run_cell
from fanogan_mtl.sweep.result import CellResult
from fanogan_mtl.sweep.workers import Failure
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.schema import ComparisonRun


def planned(tmp_path: Path, **more: str) -> tuple[BenchmarkOptions, Plan]:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn", classes="0,1", seeds="0", epochs="2", data_dir=str(tmp_path / "data"),
        **more,
    )  # fmt: skip
    return options, make_plan(options)


def spoiled(result: CellResult, **checks: float) -> CellResult:
    assert result.checks is not None
    return replace(result, checks=replace(result.checks, **checks))


def recorded(tracking: Tracking, tmp_path: Path, spoil: dict[str, dict[str, float]]) -> tuple[Sweep, dict[str, Any]]:
    """Run and record a sweep in which a detector's checks come out otherwise."""
    options, plan = planned(tmp_path)
    sweep = Sweep.begin(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    for cell in plan.cells:
        result = run_cell(cell, plan.execution.data_dir)
        sweep.record(cell, spoiled(result, **spoil.get(cell.comparison.detector, {})), None)
    sweep.settle()
    results = read_results(tracking, plan.comparisons, sweep.comparison_runs)
    return sweep, {each.planned.comparison.detector: each for each in results.values()}


def test_a_marked_comparison_says_so_everywhere_and_is_not_the_winner(
    tracking: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, results = recorded(tracking, tmp_path, {"pca": {"spread": 0.0, "validation_auroc": 1.0}})
    run = tracking.client.get_run(results["pca"].run_id)
    assert run.data.tags["marks"] == "constant scores"
    assert "**constant scores**: all rows score the same" in run.data.tags["mlflow.note.content"]
    assert tracking.client.get_run(results["knn"].run_id).data.tags["marks"] == "none"
    assert list(results["pca"].marks) == ["constant scores"]
    assert results["knn"].marks == {}

    print_results(list(results.values()))
    printed = capsys.readouterr().out
    assert f"{100 * results['pca'].auroc[2]:.1f}" in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("pca")]
    assert row.endswith("*")
    assert "optdigits · pca: constant scores: all rows score the same" in printed
    assert "optdigits · knn:" not in printed

    pages = write_overview(list(results.values()), tmp_path)
    assert "constant scores" in pages[0].read_text()
    assert "constant scores" in pages[1].read_text()
    folder = Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/figures.html"))
    assert "all rows score the same but for rounding" in folder.read_text()

    better = {each.planned.comparison.key: each for each in results.values()}
    better[results["pca"].planned.comparison.key] = replace(results["pca"], validation_auroc=1.1)
    (chosen,) = _asked_for(sweep, better)
    assert chosen.comparison.detector == "knn"
    assert "pca validates better, marked constant scores" in capsys.readouterr().out


def test_where_all_are_marked_the_winner_is_said_to_be(
    tracking: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, results = recorded(tracking, tmp_path, {name: {"copies": 0.5} for name in ("pca", "knn")})
    (chosen,) = _asked_for(sweep, {each.planned.comparison.key: each for each in results.values()})
    assert f"is {chosen.label}, though marked copies in test" in capsys.readouterr().out


def test_what_depends_on_company_is_not_put_into_a_model(
    tracking: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, results = recorded(tracking, tmp_path, {name: {"company": 0.1} for name in ("pca", "knn")})
    by_key = {each.planned.comparison.key: each for each in results.values()}
    (chosen,) = _asked_for(sweep, by_key)
    with sweep.plan.execution.open_workers() as workers:
        log_models(sweep, by_key, workers, None)
    said = f"the model of optdigits · {chosen.label} is left out: {chosen.label}: a row's score changes with the rows"
    assert said in capsys.readouterr().out
    runs = [tracking.client.get_run(each.run_id) for each in results.values()]
    assert not any("model_uri" in run.data.tags for run in runs)


def test_failed_cells_are_a_mark_that_goes_when_they_are_done(tracking: Tracking, tmp_path: Path) -> None:
    options, plan = planned(tmp_path)
    given = {name: str(value) for name, value in asdict(options).items()}
    sweep = Sweep.begin(tracking, plan, given, "benchmark")
    for cell in plan.cells:
        if cell.comparison.detector == "knn" and cell.normal_class == "1":
            sweep.record(cell, None, Failure("7 of 9 scores are NaN", "", ValueError()))
        else:
            sweep.record(cell, run_cell(cell, plan.execution.data_dir), None)
    sweep.settle()
    sweep.close("FAILED")
    results = read_results(tracking, plan.comparisons, sweep.comparison_runs)
    marks = {each.planned.comparison.detector: each.marks for each in results.values()}
    assert marks["pca"] == {}
    assert "1 of 2 cells failed" in marks["knn"]["failed cells"]
    assert "7 of 9 scores are NaN" in marks["knn"]["failed cells"]

    _, again = planned(tmp_path, retry="true")
    sweep = Sweep.begin(tracking, again, given, "benchmark")
    (cell,) = sweep.pending
    sweep.record(cell, run_cell(cell, plan.execution.data_dir), None)
    sweep.settle()
    results = read_results(tracking, plan.comparisons, sweep.comparison_runs)
    assert [each.marks for each in results.values()] == [{}, {}]


def test_marks_too_long_for_one_tag_are_read_back_whole(tracking: Tracking) -> None:
    marks = {f"mark {number}": "why " * 700 for number in range(9)}
    run_id = records.start_run(tracking, "comparison", "a comparison", Record(tags=mark_tags(marks, "")))
    assert ComparisonRun(tracking.client.get_run(run_id)).marks == marks
    records.write(tracking, run_id, Record(tags=mark_tags({"one": "left"}, "")))
    assert ComparisonRun(tracking.client.get_run(run_id)).marks == {"one": "left"}


def test_fewest_marks_win_then_the_validation() -> None:
    assert rank({}, 0.6) > rank({"few tested": ""}, 0.99)
    assert rank({"few tested": ""}, 0.9) > rank({"few tested": ""}, 0.8)


def test_a_mark_of_all_methods_is_one_line() -> None:
    marks = {"few tested": "only 3 of a kind were tested"}
    lines = explained([("a", "pca", marks), ("a", "knn", marks), ("b", "pca", {})])
    assert lines == ["a · pca, knn: few tested: only 3 of a kind were tested"]
