"""A database that the version before recorded (`recorded.tar.xz`, made as `SWEEPS` say) is read by this one."""

import csv
import sqlite3
import tarfile
from pathlib import Path

import mlflow
import numpy as np
import pytest

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.metrics import METRICS, Metric, MetricInput
from fanogan_mtl.plan.options import BenchmarkOptions, RegisterOptions, ReportOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.recording.state import comparison_of, finished_cells
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.sweep.cell import RESULT_VERSION, Cell, split_of
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.workflows.benchmark import benchmark
from fanogan_mtl.workflows.register import register
from fanogan_mtl.workflows.report import report

SMALL = {"dataset": "optdigits", "classes": "3,8", "limit": "40", "epochs": "1,2", "workers": "1"}


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    with tarfile.open(Path(__file__).parent / "recorded.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    text = (tmp_path / "mlflow.sql").read_text().replace("{FOLDER}", str(tmp_path)).replace("{PROJECT}", "project")
    for address in tmp_path.glob("artifacts/models/*/artifacts/MLmodel"):
        address.write_text(address.read_text().replace("{FOLDER}", str(tmp_path)))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.executescript(text)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "old")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    return connect()


def options(tmp_path: Path) -> BenchmarkOptions:
    return BenchmarkOptions(detectors="vae,knn", data_dir=str(tmp_path / "data"), **SMALL)


def test_every_cell_is_found_with_its_result(tracking: Tracking) -> None:
    runs = records.find_comparisons(tracking)
    assert len(runs) == 3
    for run in runs:
        comparison = comparison_of(run)
        assert comparison.result_version == RESULT_VERSION - 1
        finished = finished_cells(tracking, comparison)
        assert (len(finished.cells), finished.lost) == (2, [])
        for cell in finished.cells:
            assert cell.result.of_normal is None
            for metrics in cell.result.metrics.values():
                assert metrics["threshold_training"] == metrics["threshold"]
                assert metrics["false_alarm_rate_training"] == metrics["false_alarm_rate"]
                assert "false_alarm_rate_promised" not in metrics


def test_the_same_command_trains_anew_says_the_same_and_leaves_what_was(
    tracking: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(options(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "4 cells, 0 of them done before" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith(("vae ", "knn "))] == [
        ["vae", "62.2", "±", "8.9"],
        ["knn", "96.9", "±", "1.1"],
    ]
    assert len(records.find_comparisons(tracking)) == 5
    assert len(records.find_cells(tracking)) == 10
    assert report(ReportOptions(output=str(tmp_path / "report"), data_dir=str(tmp_path / "data"))) == 0
    before, now = (figures(tmp_path / name) for name in ("results.csv", "report/results.csv"))
    same = {name for name in before if not name[0].endswith((": recall", ": precision"))}  # which thresholds move
    assert same
    assert {name: now[name] for name in same} == {name: before[name] for name in same}


def test_a_new_metric_appears_without_a_training(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(options(tmp_path)) == 0
    new = Metric("Recall at 50 % false alarms", "Made up.", lambda test: test.greatest_recall(0.5))
    monkeypatch.setitem(METRICS, "recall_at_50_fpr", new)
    plan = make_plan(options(tmp_path))
    capsys.readouterr()
    assert benchmark(options(tmp_path)) == 0
    assert "4 cells, 4 of them done before" in capsys.readouterr().out
    models = []
    for planned in plan.comparisons:
        (run,) = [run for run in records.find_comparisons(tracking) if run.key == planned.comparison.key]
        cells = finished_cells(tracking, planned.comparison)
        expected = [
            MetricInput(each.anomaly, each.scores[-1], 0, each.weights).greatest_recall(0.5)
            for each in (cell.result for cell in cells.cells)
        ]
        assert [cell.metric("recall_at_50_fpr") for cell in cells.runs] == pytest.approx(expected)
        assert run.metric("recall_at_50_fpr") == pytest.approx(np.mean(expected))
        if uri := run.tag("model_uri"):
            models.append(tracking.client.get_logged_model(uri.rpartition("/")[2]))
    (model,) = models
    on_model = [metric.key for metric in model.metrics]
    assert on_model.count("model_recall_at_50_fpr") == on_model.count("model_auroc") == 1


def test_its_models_score_as_recorded_with_their_own_thresholds(tracking: Tracking, tmp_path: Path) -> None:
    (run,) = [run for run in records.find_comparisons(tracking) if run.name == "optdigits · knn"]
    comparison = comparison_of(run)
    done = {cell.normal_class: cell for cell in finished_cells(tracking, comparison).cells}
    model = load_served(run.tag("model_uri"))
    assert [head.spec.name for head in model.heads] == ["optdigits/3", "optdigits/8"]
    for head, name in zip(model.heads, ("3", "8"), strict=True):
        split, _ = split_of(Cell(comparison, name, 0), tmp_path / "data")
        scores = head.detector.decision_function(pixel_rows(split.test.pixels))
        np.testing.assert_allclose(scores, done[name].result.scores[0], rtol=1e-6)
        assert not head.promises
        assert head.threshold == head.detector.threshold_
    with pytest.raises(UserError, match="was recorded by an earlier version, which kept no scores"):
        register(RegisterOptions(run=run.run_id, data_dir=str(tmp_path / "data")))


def test_its_report_has_the_same_numbers(tracking: Tracking, tmp_path: Path) -> None:
    assert report(ReportOptions(output=str(tmp_path / "report"), data_dir=str(tmp_path / "data"))) == 0
    before, now = (figures(tmp_path / name) for name in ("results.csv", "report/results.csv"))
    assert before.keys() <= now.keys()
    assert {name: now[name] for name in before} == before


def figures(path: Path) -> dict[tuple[str, ...], str]:
    """Figures of the study's tables, ours and its own; a row names its data set, wherever it stands."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["table"].startswith("Table 5.")]
    assert rows
    return {
        (row["table"].partition(" on ")[0], row["row"], row["column"], row["statistic"]): row["value"] for row in rows
    }
