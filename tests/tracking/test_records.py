"""Runs on a real MLflow server: complete or absent, found again, and equal when sent twice."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow_server import started_server
from sqlalchemy.engine import Engine
from sqlalchemy.event import listens_for, remove

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.artifacts import read_file
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import DataInput, Record, Value
from fanogan_mtl.tracking.schema import ComparisonRun


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_server(tmp_path_factory.mktemp("server")) as started:
        yield started.url


@pytest.fixture
def tracking(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    """A connection to an experiment of the test's own."""
    mlflow.set_tracking_uri(server)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return connect()


def test_a_run_that_mlflow_run_made_becomes_the_sweep(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = tracking.client.create_run(tracking.experiment_id, run_name="strange-name").info.run_id
    tracking.client.log_param(run_id, "epochs", "20")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    adopted = connect()
    assert "MLFLOW_RUN_ID" not in os.environ
    record = Record(parameters={"epochs": "20,50", "seeds": "0"}, tags={"device": "cpu"})
    assert records.start_run(adopted, "sweep", "benchmark sample", record) == run_id
    run = tracking.client.get_run(run_id)
    assert run.info.run_name == "benchmark sample"
    assert run.data.params == {"epochs": "20", "seeds": "0"}
    assert run.data.tags["level"] == "sweep"
    child = records.create_run(adopted, run_id, "child", {"level": "comparison"})
    assert child != run_id
    assert tracking.client.get_run(child).data.tags["mlflow.parentRunId"] == run_id


def test_a_record_sent_twice_adds_no_row_and_a_later_one_is_the_newest(tracking: Tracking) -> None:
    run_id = records.create_run(tracking, records.start_run(tracking, "sweep", "sweep", Record()), "one", {})
    record = Record(parameters={"seed": 0}, values=[Value("auroc", 0.9, 20), Value("auroc", 0.8, 50)], time=1000)
    for _ in range(2):
        records.write(tracking, run_id, record)
    assert len(tracking.client.get_metric_history(run_id, "auroc")) == 2
    records.write(tracking, run_id, Record(values=[Value("auroc", 0.7, 50)], time=2000))
    assert records.history(tracking, run_id, "auroc") == {20: 0.9, 50: 0.7}
    assert tracking.client.get_run(run_id).data.metrics["auroc"] == 0.7


def test_more_metrics_than_one_call_takes(tracking: Tracking) -> None:
    run_id = records.start_run(tracking, "sweep", "sweep", Record())
    records.write(tracking, run_id, Record(values=[Value("auroc", step / 3000, step) for step in range(2500)], time=1))
    history = records.history(tracking, run_id, "auroc")
    assert history == {step: step / 3000 for step in range(2500)}


def test_a_cell_is_finished_only_when_all_of_it_is_written(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = records.start_run(tracking, "sweep", "sweep", Record())
    file = tmp_path / "cell.npz"
    file.write_bytes(b"result")
    record = Record({"seed": 0}, [Value("auroc", 0.9, 20)], {"cell_key": "k1"}, [file], 1000)
    run_id = records.record_cell(tracking, sweep, "cell", record)
    run = records.get_run(tracking, run_id)
    assert read_file(tracking, run, "cell.npz", tmp_path / "back").read_bytes() == b"result"
    monkeypatch.setattr(HttpArtifactRepository, "log_artifact", lambda *_: (_ for _ in ()).throw(OSError("cut short")))
    with pytest.raises(OSError, match="cut short"):
        records.record_cell(tracking, sweep, "cell", Record({}, [], {"cell_key": "k2"}, [file], 1000))
    by_key = {run.key: run.status for run in records.find_cells(tracking)}
    assert by_key == {"k1": "FINISHED", "k2": "RUNNING"}
    assert [run.run_id for run in records.find_runs(tracking, level="cell", cell_key="k1")] == [run_id]
    records.delete_run(tracking, run_id)
    assert records.find_runs(tracking, level="cell", cell_key="k1") == []


def test_a_later_sweep_joins_a_comparison(tracking: Tracking) -> None:
    first = records.start_run(tracking, "sweep", "first", Record())
    run_id = records.create_run(tracking, first, "comparison", {"level": "comparison", "sweeps": first})
    for sweep in ("second", "third", "second"):
        records.join_sweep(tracking, ComparisonRun(tracking.client.get_run(run_id)), sweep)
    assert tracking.client.get_run(run_id).data.tags["sweeps"] == f"{first},third,second"


def test_data_sets_are_inputs(tracking: Tracking) -> None:
    run_id = records.start_run(tracking, "sweep", "sweep", Record())
    records.log_data(tracking, run_id, [DataInput("digits", "d" * 64, "npz:digits.npz", 100, 20)])
    (used,) = tracking.client.get_run(run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits", "d" * 36)


def test_data_sets_that_others_note_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    tracking = connect()
    data = [DataInput(name, name * 36, name, 100, 20) for name in "abc"]
    runs = [records.start_run(tracking, "sweep", name, Record()) for name in "xyz"]
    others = list(zip(runs[1:], data[1:], strict=True))

    @listens_for(Engine, "after_cursor_execute")
    def intrude(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if "FROM datasets" in statement and others:  # MLflow has looked for it, and has not added it yet
            run_id, own = others.pop()
            records.log_data(tracking, run_id, [own])

    try:
        records.log_data(tracking, runs[0], data)
    finally:
        remove(Engine, "after_cursor_execute", intrude)
    used = [{each.dataset.name for each in tracking.client.get_run(run).inputs.dataset_inputs} for run in runs]
    assert used == [{"a", "b", "c"}, {"b"}, {"c"}]


def test_an_experiment_that_another_process_makes_at_the_same_moment(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(server)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "made by another")
    made: list[str] = []
    look = mlflow.MlflowClient.get_experiment_by_name

    def look_and_be_overtaken(client: mlflow.MlflowClient, name: str) -> Any:
        found = look(client, name)
        if not made:
            made.append(client.create_experiment(name))
        return found

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", look_and_be_overtaken)
    assert [connect().experiment_id] == made


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nosuch://server", "sqlite:////proc/no/folder.db"])
def test_a_server_that_is_not_there_is_one_line_soon(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri(uri)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(UserError, match=f"tracking server {uri} can't be used") as error:
        connect()
    assert "\n" not in str(error.value)
    assert sum(slept) < 30  # between attempts; MLflow's own patience is minutes


def test_a_deleted_experiment_is_one_line(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.client.delete_experiment(tracking.experiment_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", tracking.experiment_id)
    with pytest.raises(UserError, match="is deleted"):
        connect()
