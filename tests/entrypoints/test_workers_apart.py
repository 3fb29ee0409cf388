"""Workers that don't see the data folder: data go to each once, detectors come back, results are the same bits."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
from dask_cluster import DaskCluster, started_cluster, wait_for
from mlflow_server import Server, started_server
from project_runs import TIMES, run_inside, script

from fanogan_mtl.data.sources.samples import optdigits
from fanogan_mtl.sweep.cluster import connected

pytestmark = pytest.mark.faults
SMALL = ["--classes", "0,8", "--epochs", "1,2", "--limit", "40", "--log_models", "all"]


@dataclass
class Apart:
    """The person's folder, and where the workers keep what they fetch."""

    folder: Path
    own: Path
    dask: DaskCluster
    server: Server
    caches: list[Path]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """A cluster of two workers, to whom the folder of the person and their own data are empty."""
    folder, away = tmp_path_factory.mktemp("person"), tmp_path_factory.mktemp("away")
    own = folder / "own"
    own.mkdir()
    hidden = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {folder} && exec "$@"', "sh")
    if subprocess.run([*hidden, "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace of one's own needs the right to make one")
    raw = optdigits()
    np.savez(
        own / "mine.npz", x_train=raw.train.images, y_train=raw.train.labels, x_test=raw.test.images,
        y_test=raw.test.labels,
    )  # fmt: skip
    caches = [away / "cache-0", away / "cache-1"]
    with started_server(tmp_path_factory.mktemp("server")) as server, started_cluster(away / "dask") as dask:
        for cache in caches:
            dask.add_worker(before=hidden, XDG_CACHE_HOME=str(cache), MLFLOW_TRACKING_URI=server.url)
        with connected(dask.address) as client:
            wait_for(lambda: len(client.nthreads()) == 2)
        yield Apart(folder, own, dask, server, caches)


def numbers(uri: str, experiment: str = "Default") -> dict[str, dict[str, float]]:
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {
        run.data.tags["cell_key"]: {name: value for name, value in run.data.metrics.items() if name not in TIMES}
        for run in client.search_runs([found.experiment_id], "tags.level = 'cell'")
    }


@pytest.mark.parametrize(
    ("entry", "options", "kinds"),
    [
        ("benchmark", ["--detectors", "vae,pca"], {"prepared": 1}),
        ("hybrid", ["--detectors", "vae,knn", "--extractors", "pca"], {"prepared": 1, "features": 1, "extractors": 1}),
    ],
)
def test_cells_have_the_same_bits_and_models_are_logged(
    apart: Apart, tmp_path: Path, entry: str, options: list[str], kinds: dict[str, int]
) -> None:
    words = [*options, "--dataset", f"mine=npz:{apart.own / 'mine.npz'}", *SMALL]
    here = run_inside(tmp_path, entry, *words)
    assert here.returncode == 0, here.stdout + here.stderr
    for cache in apart.caches:
        shutil.rmtree(cache, ignore_errors=True)
    process = script(
        apart.folder, entry, *words, "--scheduler", apart.dask.address,
        MLFLOW_TRACKING_URI=apart.server.url, MLFLOW_EXPERIMENT_NAME=entry,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert "the workers don't share the data folder" in process.stdout
    away = numbers(apart.server.url, entry)
    assert len(away) == 4
    assert away == numbers(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for cache in apart.caches:
        fetched = cache / "fanogan-mtl"
        assert {kind: len(list((fetched / kind).glob("[0-9a-f]*"))) for kind in kinds} == kinds
    client = mlflow.MlflowClient(apart.server.url)
    experiment = client.get_experiment_by_name(entry)
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id], "tags.level = 'comparison'"):
        assert run.data.tags["model_uri"]
    (sweep,) = client.search_runs([experiment.experiment_id], "tags.level = 'sweep'")
    assert [file.path for file in client.list_artifacts(sweep.info.run_id)] == ["overview.html", "results.csv"]
    if entry == "hybrid":
        check_that_somebody_else_can_register(apart, client, experiment.experiment_id)


def check_that_somebody_else_can_register(apart: Apart, client: mlflow.MlflowClient, experiment_id: str) -> None:
    """With the data alone: the extractor is in MLflow."""
    for kind in ("extractors", "features", "models"):
        shutil.rmtree(apart.folder / "cache" / "fanogan-mtl" / kind, ignore_errors=True)
    cell = client.search_runs([experiment_id], "tags.level = 'cell'")[0]
    process = script(
        apart.folder, "register", "--run", cell.info.run_id, "--name", "apart", "--scheduler", apart.dask.address,
        MLFLOW_TRACKING_URI=apart.server.url, MLFLOW_EXPERIMENT_NAME="hybrid",
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert "the workers don't share the data folder" in process.stdout
    assert client.get_model_version_by_alias("apart", "champion").version == "1"
    assert client.list_artifacts(cell.info.run_id, "exchange") == []


def test_trials_have_the_same_values_there_as_here(apart: Apart, tmp_path: Path) -> None:
    words = ["--dataset", f"mine=npz:{apart.own / 'mine.npz'}", "--detectors", "vae", "--trials", "2", *SMALL]
    words += ["--workers", "1", "--study_name", "apart"]
    values = []
    for folder, options, server in (
        (tmp_path, [], f"sqlite:///{tmp_path / 'mlflow.db'}"),
        (apart.folder, ["--scheduler", apart.dask.address], apart.server.url),
    ):
        process = script(folder, "tune", *words, *options, MLFLOW_TRACKING_URI=server, MLFLOW_EXPERIMENT_NAME="tune")
        assert process.returncode == 0, process.stdout + process.stderr
        client = mlflow.MlflowClient(server)
        experiment = client.get_experiment_by_name("tune")
        assert experiment is not None
        trials = client.search_runs([experiment.experiment_id], "tags.level = 'trial' and tags.trial = '0'")
        values.append([trial.data.metrics["validation_auroc"] for trial in trials])
    assert len(values[0]) == 1
    assert values[0] == values[1]


def test_a_tracking_server_that_workers_can_not_reach_is_one_line(apart: Apart, tmp_path: Path) -> None:
    options = ["--dataset", "optdigits", "--detectors", "pca", "--data_dir", str(apart.folder / "data"), *SMALL]
    process = script(tmp_path, "benchmark", *options, "--scheduler", apart.dask.address)
    assert process.returncode == 2
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: the cluster's workers see neither data_dir ")
    assert "set MLFLOW_TRACKING_URI to a server's" in last
