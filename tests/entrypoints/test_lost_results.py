"""Finished cells whose results are gone from the artifact store: trained again, or named in one line."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from mlflow.entities import Run
from project_runs import cell_numbers, comparison_numbers, recorded, run_inside

OPTIONS = ("--dataset", "optdigits", "--detectors", "pca", "--epochs", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a sweep of two cells has left."""
    assert benchmark(tmp_path).returncode == 0
    return tmp_path


def benchmark(
    folder: Path, *more: str, classes: str = "0,8", log_models: str = "none"
) -> subprocess.CompletedProcess[str]:
    return run_inside(folder, "benchmark", *OPTIONS, "--classes", classes, "--log_models", log_models, *more)


def result_of(folder: Path, normal_class: str) -> Path:
    (run,) = [run for run in recorded(folder).cells if run.data.params["normal_class"] == normal_class]
    return artifacts_of(run) / "cell.npz"


def artifacts_of(run: Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_the_same_command_trains_it_again_where_a_comparison_needs_it(folder: Path) -> None:
    numbers = cell_numbers(folder)
    result_of(folder, "0").unlink()
    again = benchmark(folder, classes="0,8,9")
    assert again.returncode == 0, again.stderr
    (line,) = [line for line in again.stdout.splitlines() if "is gone" in line]
    assert line.startswith("the result of optdigits/0 pca seed 0 (run ")
    assert line.endswith("is gone from MLflow's artifacts, or damaged: trained again")
    runs = recorded(folder)
    assert {run.info.status for run in [*runs.cells, *runs.comparisons]} == {"FINISHED"}
    assert len(runs.cells) == 3
    assert cell_numbers(folder).items() >= numbers.items()
    assert {"auroc_class_0", "auroc_class_8", "auroc_class_9"} <= set(runs.comparisons[0].data.metrics)
    assert result_of(folder, "0").is_file()


def test_a_model_that_needs_it_is_made_after_it_was_trained_again(folder: Path) -> None:
    result_of(folder, "8").write_bytes(result_of(folder, "8").read_bytes()[:100])
    again = benchmark(folder, log_models="best")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("optdigits/8 pca seed 0 (run ") == 1
    assert "model_uri" in recorded(folder).comparisons[0].data.tags
    assert len(recorded(folder).cells) == 2


def test_retry_looks_for_all(folder: Path) -> None:
    numbers = cell_numbers(folder), comparison_numbers(folder)
    for name in "08":
        result_of(folder, name).unlink()
    assert "2 cells, 2 of them done before" in benchmark(folder).stdout
    again = benchmark(folder, "--retry", "true")
    assert again.returncode == 0, again.stderr
    assert "(run " in again.stdout
    assert " and 1 more is gone from MLflow's artifacts, or damaged: trained again" in again.stdout
    assert "2 cells, 0 of them done before" in again.stdout
    assert (cell_numbers(folder), comparison_numbers(folder)) == numbers
    assert "2 cells, 2 of them done before" in benchmark(folder, "--retry", "true").stdout


def test_report_has_it_from_the_one_file_of_the_comparison(folder: Path, tmp_path: Path) -> None:
    said = [run_inside(folder, "report", "--output", str(tmp_path / "before")).stderr]
    for name in "08":
        result_of(folder, name).unlink()
    said.append(run_inside(folder, "report", "--output", str(tmp_path / "after")).stderr)
    assert "left out of" not in "".join(said)
    before, after = ((tmp_path / name / "results.csv").read_text() for name in ("before", "after"))
    assert before == after


def test_register_and_report_name_it_in_one_line(folder: Path, tmp_path: Path) -> None:
    result_of(folder, "0").unlink()
    (artifacts_of(recorded(folder).comparisons[0]) / "cells.npz").unlink()
    named = "the result of optdigits/0 pca seed 0 (run "
    remedy = "start its benchmark again with retry=true"
    for run in (recorded(folder).sweeps[0], recorded(folder).comparisons[0]):
        registered = run_inside(folder, "register", "--run", run.info.run_id)
        assert registered.returncode == 2
        assert registered.stderr.splitlines()[-1].startswith(f"Error: {named}")
        assert remedy in registered.stderr
    report = run_inside(folder, "report", "--output", str(tmp_path / "report"))
    assert report.returncode == 0, report.stderr
    (line,) = [line for line in report.stderr.splitlines() if line.startswith("left out of ")]
    assert named in line
    assert line.endswith(remedy)
    result_of(folder, "8").unlink()
    report = run_inside(folder, "report", "--output", str(tmp_path / "report"))
    assert report.returncode == 2
    assert "none of these runs has a finished cell with its result" in report.stderr.splitlines()[-1]
    assert run_inside(folder, "register", "--run", recorded(folder).sweeps[0].info.run_id).returncode == 2


def test_a_store_that_keeps_nothing_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanogan_mtl.recording.state.found_file", lambda *_: nullcontext())
    again = benchmark(folder, classes="0,8,9")
    assert again.returncode == 2
    assert "just after it was written: see to the artifact store" in again.stderr.splitlines()[-1]
