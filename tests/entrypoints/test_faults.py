"""A sweep on a cluster, with MLflow on PostgreSQL and S3: processes are killed, and no number changes."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from dask_cluster import DaskCluster, kill_session, started_cluster, wait_for
from mlflow_server import IMPATIENT
from project_runs import ROOT, TIMES, environment, furnish, script_command
from team import VARIABLES, Team, as_user, started_team

from fanogan_mtl.sweep.cluster import connected

pytestmark = pytest.mark.faults
ADMIN = VARIABLES["MLFLOW_ADMIN_USERNAME"], VARIABLES["MLFLOW_ADMIN_PASSWORD"]
SWEEP = {
    "dataset": "optdigits", "detectors": "vae,pca", "classes": "0,1,2,3,4,5", "seeds": "0,1", "epochs": "20,40",
    "log_models": "none",
}  # fmt: skip
N_CELLS = 24
AWAY = 60  # seconds


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with started_team(tmp_path_factory.mktemp("team"), ("mlflow",)) as started:
        yield started


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with started_cluster(tmp_path_factory.mktemp("dask"), workers=3) as started:
        started.add_worker("--no-nanny")
        with connected(started.address) as client:
            wait_for(lambda: len(client.nthreads()) == 4)
        yield started


@pytest.fixture
def client(team: Team, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    for name, value in {**as_user(team, *ADMIN), **IMPATIENT}.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(f"http://{team.address(5000)}")
    return mlflow.MlflowClient()


def start(folder: Path, team: Team, experiment: str, options: dict[str, str]) -> subprocess.Popen[str]:
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    own = {**as_user(team, *ADMIN), **IMPATIENT, "MLFLOW_EXPERIMENT_NAME": experiment}
    return subprocess.Popen(
        script_command("benchmark", *words), cwd=ROOT, env={**environment(folder), **own}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run(folder: Path, team: Team, experiment: str, options: dict[str, str]) -> str:
    process = start(folder, team, experiment, options)
    printed, _ = process.communicate(timeout=800)
    assert process.returncode == 0, printed
    return printed


def runs_of(client: mlflow.MlflowClient, experiment: str) -> dict[str, list[Any]]:
    """Active runs of an experiment by level."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return {"sweep": [], "comparison": [], "cell": []}
    runs = client.search_runs([found.experiment_id], max_results=1000)
    return {
        level: [run for run in runs if run.data.tags["level"] == level] for level in ("sweep", "comparison", "cell")
    }


def numbers(client: mlflow.MlflowClient, experiment: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Each metric of each cell and comparison by step, times aside, by key; of a comparison the newest."""
    runs = runs_of(client, experiment)
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for run in runs["cell"] + runs["comparison"]:
        own = found.setdefault(run.data.tags.get("cell_key", run.data.tags["comparison_key"]), {})
        for name in run.data.metrics:
            if name not in TIMES:
                rows = client.get_metric_history(run.info.run_id, name)
                own[name] = sorted({(row.step, row.value) for row in rows})
    return found


def waiting(folder: Path) -> set[str]:
    """Keys of cells in the journal."""
    entries = [
        json.loads(line)
        for path in (folder / "cache" / "fanogan-mtl" / "journal").glob("*/*.jsonl")
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]
    return {entry["cell"]["key"] for entry in entries if "cell" in entry} - {entry.get("sent") for entry in entries}


def check_whole(folder: Path, client: mlflow.MlflowClient, experiment: str, n_cells: int) -> None:
    """Each cell once, nothing half done, nothing waiting."""
    runs = runs_of(client, experiment)
    keys = Counter(run.data.tags["cell_key"] for run in runs["cell"])
    assert len(keys) == n_cells
    assert set(keys.values()) == {1}
    assert {run.info.status for run in runs["cell"] + runs["comparison"]} == {"FINISHED"}
    assert "RUNNING" not in {run.info.status for run in runs["sweep"]}
    comparisons = {run.data.tags["comparison_key"]: run.info.run_id for run in runs["comparison"]}
    assert len(comparisons) == len(runs["comparison"])
    for run in runs["cell"]:
        assert run.data.tags["mlflow.parentRunId"] == comparisons[run.data.tags["comparison_key"]]
    assert list((folder / "cache" / "fanogan-mtl" / "journal").glob("*/*")) == []


@pytest.mark.timeout(1800)
def test_kills_of_workers_of_the_server_and_of_the_sweep_change_no_number(
    team: Team, dask: DaskCluster, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    furnish(tmp_path)
    options = {**SWEEP, "scheduler": dask.address}
    run(tmp_path, team, "quiet", options)
    check_whole(tmp_path, client, "quiet", N_CELLS)

    process = start(tmp_path, team, "faulty", options)
    wait_for(lambda: len(runs_of(client, "faulty")["cell"]) >= 2)
    dask.worker_processes()[0].kill()  # its nanny starts another
    kill_session(dask.processes[-1])  # this one has no nanny
    wait_for(lambda: len(runs_of(client, "faulty")["cell"]) >= 4)
    kill_session(team.running.pop("mlflow"))
    away_since = time.monotonic()
    before = len(waiting(tmp_path))
    wait_for(lambda: len(waiting(tmp_path)) >= before + 3)  # training goes on
    kill_session(process)
    left = waiting(tmp_path)
    assert len(left) >= before + 3
    time.sleep(max(0.0, AWAY - (time.monotonic() - away_since)))
    team.start("mlflow")
    ended = {each.data.tags["cell_key"] for each in runs_of(client, "faulty")["cell"] if each.info.status == "FINISHED"}
    printed = run(tmp_path, team, "faulty", options)

    assert f"{len(left)} results of a run that was cut short are sent to MLflow now" in printed
    done = len(ended | left)  # the server may have died after it took a cell and before it said so
    assert f"{N_CELLS} cells, {done} of them done before" in printed
    check_whole(tmp_path, client, "faulty", N_CELLS)
    assert numbers(client, "faulty") == numbers(client, "quiet")
    assert Counter(each.info.status for each in runs_of(client, "faulty")["sweep"]) == {"KILLED": 1, "FINISHED": 1}


def test_a_server_away_while_the_sweep_goes_on_is_waited_for(
    team: Team, dask: DaskCluster, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    furnish(tmp_path)
    process = start(tmp_path, team, "patient", {**SWEEP, "seeds": "0", "scheduler": dask.address})
    wait_for(lambda: len(runs_of(client, "patient")["cell"]) >= 1)
    kill_session(team.running.pop("mlflow"))
    assert process.stdout is not None
    for line in process.stdout:
        if "results wait" in line:
            break
    team.start("mlflow")
    printed = process.communicate(timeout=800)[0]
    assert process.returncode == 0, printed
    check_whole(tmp_path, client, "patient", N_CELLS // 2)


def test_two_sweeps_at_once_with_half_of_their_cells_in_common(
    team: Team, dask: DaskCluster, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    furnish(tmp_path)
    options = {**SWEEP, "detectors": "pca,knn", "epochs": "20", "scheduler": dask.address}
    processes = [start(tmp_path, team, "both", {**options, "classes": classes}) for classes in ("0,1,2,3", "2,3,4,5")]
    for process in processes:
        printed, _ = process.communicate(timeout=800)
        assert process.returncode == 0, printed
    check_whole(tmp_path, client, "both", N_CELLS)
    runs = runs_of(client, "both")
    sweeps = {each.info.run_id for each in runs["sweep"]}
    assert len(sweeps) == 2
    for comparison in runs["comparison"]:
        assert set(comparison.data.tags["sweeps"].split(",")) == sweeps
        assert "auroc_class_0" in comparison.data.metrics
        assert "auroc_class_5" in comparison.data.metrics
