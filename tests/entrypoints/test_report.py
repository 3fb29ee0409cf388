"""The study in one command, from nothing to the page; and the page of recorded runs, asked for as a person does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import mlflow
import pandas as pd
import pytest
from project_runs import mlflow_run, recorded, script, script_here, uri

STUDY = {
    "dataset": "optdigits,handwritten",
    "detectors": "fanogan,pca",
    "classes": "3,8",
    "epochs": "1",
    "limit": "60",
    "extractors": "pca",
    "log_models": "none",
}
Here = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    done = mlflow_run(folder, "main", {**STUDY, "output": str(folder / "report")})
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert steps == ["[1/5] preprocess", "[2/5] benchmark", "[3/5] pretrain", "[4/5] hybrid", "[5/5] report"]
    return folder


@pytest.fixture
def report_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """`python -m entrypoints.report` within this process."""
    return lambda folder, *arguments: script_here(folder, monkeypatch, capfd, "report", *arguments)


def test_every_step_is_recorded_under_the_study(folder: Path) -> None:
    client = mlflow.MlflowClient(uri(folder))
    (study,) = client.search_runs(["0"], "tags.level = 'study'")
    children = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{study.info.run_id}'")
    assert sorted(run.data.tags["level"] for run in children) == ["preprocess", "pretrain", "report", "sweep", "sweep"]
    assert {run.info.status for run in [study, *children]} == {"FINISHED"}
    assert len(recorded(folder).cells) == 16
    (report,) = [run for run in children if run.data.tags["level"] == "report"]
    names = {file.path for file in client.list_artifacts(report.info.run_id)}
    assert names == {"report.html", "results.csv", "results.parquet"}


def test_the_page_holds_what_mlflow_holds(folder: Path) -> None:
    numbers = pd.read_csv(folder / "report" / "results.csv")
    cells = recorded(folder).cells
    for run in recorded(folder).comparisons:
        extractor, detector, dataset = (run.data.params[name] for name in ("extractor", "detector", "dataset"))
        method = detector if extractor == "none" else f"{extractor}+{detector}"
        table = "5.1" if extractor == "none" else "5.3"
        mine = numbers[(numbers.table == f"Table {table}: auroc") & (numbers.row == f"{dataset}: ours at 1 epochs")]
        assert list(mine[mine.column == method].value) == [run.data.metrics["auroc"]]
        (cell,) = [each for each in cells if each.data.tags["mlflow.parentRunId"] == run.info.run_id
                   and each.data.params["normal_class"] == "8"]  # fmt: skip
        by_class = numbers[(numbers.table == f"{method} by class") & (numbers.row == dataset) & (numbers.column == "8")]
        assert list(by_class.value) == [cell.data.metrics["auroc"]]
    page = (folder / "report" / "report.html").read_text()
    assert "has 2 of 10 classes" in page
    assert re.search(
        "mlflow run . -e benchmark -P dataset=optdigits,handwritten -P detectors=fanogan,pca .*limit=60", page
    )
    assert "The methods share only 4 classes of the data sets" in page


def test_again_nothing_is_done_twice(folder: Path) -> None:
    client = mlflow.MlflowClient(uri(folder))
    before = {run.info.run_id for run in client.search_runs(["0"], max_results=1000)}
    options = [word for name, value in STUDY.items() for word in (f"--{name}", value)]
    done = script(folder, "main", *options, "--output", str(folder / "report"))
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(steps) == 5
    assert all(line.endswith(": done before") for line in steps)
    assert "The report is" in done.stdout.splitlines()[-1]
    assert len({run.info.run_id for run in client.search_runs(["0"], max_results=1000)} - before) == 1  # its own


def test_one_sweep_and_a_whole_study_can_be_reported(folder: Path, tmp_path: Path, report_here: Here) -> None:
    sweeps = {run.data.tags["mlflow.runName"].split()[0]: run.info.run_id for run in recorded(folder).sweeps}
    done = report_here(folder, "--runs", sweeps["benchmark"], "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    numbers = pd.read_csv(tmp_path / "results.csv")
    assert "fanogan by epochs" in set(numbers.table)
    assert "pca+fanogan by epochs" not in set(numbers.table)
    (study,) = {run.data.tags["mlflow.parentRunId"] for run in recorded(folder).sweeps}
    assert report_here(folder, "--runs", study, "--output", str(tmp_path)).returncode == 0
    assert "pca+fanogan by epochs" in set(pd.read_csv(tmp_path / "results.csv").table)


def test_mistakes_are_one_line(folder: Path, tmp_path: Path, report_here: Here) -> None:
    def complaint(where: Path, *arguments: str) -> str:
        done = report_here(where, *arguments)
        lines = [line for line in done.stderr.splitlines() if "INFO" not in line]
        assert done.returncode == 2
        assert len(lines) == 1, done.stderr
        return lines[0]

    target = ("--output", str(tmp_path / "report"))
    assert "has no such run" in complaint(folder, "--runs", "unknown", *target)
    client = mlflow.MlflowClient(uri(folder))
    other = client.create_run(client.create_experiment("another")).info.run_id
    assert "it belongs to experiment" in complaint(folder, "--runs", other, *target)
    without = client.create_run("0").info.run_id
    assert "it has no comparisons" in complaint(folder, "--runs", without, *target)
    (tmp_path / "empty").mkdir()
    assert "run the entry benchmark first" in complaint(tmp_path / "empty", *target)
    (tmp_path / "file").write_text("")
    assert "no folder that can be written" in complaint(folder, "--output", str(tmp_path / "file"))
    assert not (tmp_path / "report" / "report.html").exists()


def test_without_a_finished_cell_there_is_no_report(folder: Path, tmp_path: Path, report_here: Here) -> None:
    client = mlflow.MlflowClient(uri(folder))
    runs = [*recorded(folder).cells, *recorded(folder).comparisons]
    for run in runs:
        client.update_run(run.info.run_id, status="FAILED")
    try:
        done = report_here(folder, "--output", str(tmp_path))
    finally:
        for run in runs:
            client.update_run(run.info.run_id, status=run.info.status)
    assert done.returncode == 2
    assert "none of these runs has a finished cell" in done.stderr
    assert not list(tmp_path.glob("*.html"))


def test_a_mistake_in_any_steps_options_is_said_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = script_here(tmp_path, monkeypatch, capfd, "main", "--dataset", "optdigits", "--extractors", "unknown")
    assert done.returncode == 2
    assert "unknown extractor 'unknown'" in done.stderr
    assert mlflow.MlflowClient(uri(tmp_path)).search_runs(["0"]) == []
