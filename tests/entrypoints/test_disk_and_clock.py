"""A full disk, too little memory, a folder that can't be written, and a clock that jumps: no wrong number by any."""

from __future__ import annotations

import itertools
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow_server import Server, started_server
from project_runs import ROOT, cell_numbers, environment, furnish, recorded, run_inside, script_command

pytestmark = pytest.mark.faults
SMALL = [
    "--dataset",
    "optdigits",
    "--detectors",
    "pca,knn",
    "--classes",
    "0,8",
    "--epochs",
    "1",
    "--log_models",
    "none",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started_server(tmp_path_factory.mktemp("server")) as started:
        yield started


def on_a_disk_of(size: int | None) -> Callable[[], None]:
    """In a child: no file grows further."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)) if size else None


def benchmark(folder: Path, server: Server, experiment: str, size: int | None) -> subprocess.CompletedProcess[str]:
    own = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_EXPERIMENT_NAME": experiment}
    return subprocess.run(
        script_command("benchmark", *SMALL), cwd=ROOT, env={**environment(folder), **own}, capture_output=True,
        text=True, timeout=800, preexec_fn=on_a_disk_of(size),
    )  # fmt: skip


def the_one_error(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stdout + process.stderr
    errors = [line for line in process.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    return errors[0]


def cells(server: Server, experiment: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(server.url)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], "tags.level = 'cell'") if found else []


def test_a_disk_that_is_full_under_the_data(server: Server, tmp_path: Path) -> None:
    error = the_one_error(benchmark(tmp_path, server, "data", 100_000))
    assert "can't write" in error
    assert "free space or set data_dir" in error
    assert list((tmp_path / "cache" / "fanogan-mtl" / "prepared").iterdir()) == []
    assert cells(server, "data") == []


def test_a_disk_that_is_full_under_the_journal_loses_nothing_that_was_recorded(server: Server, tmp_path: Path) -> None:
    furnish(tmp_path)
    error = the_one_error(benchmark(tmp_path, server, "journal", 4_000))
    assert "is not recorded" in error
    assert [run for run in cells(server, "journal") if run.info.status != "FINISHED"] == []
    again = benchmark(tmp_path, server, "journal", None)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {run.info.status for run in cells(server, "journal")} == {"FINISHED"}
    assert len(cells(server, "journal")) == 4
    assert list((tmp_path / "cache" / "fanogan-mtl" / "journal").glob("*/*")) == []


def test_a_folder_that_can_only_be_read(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    inside = ["unshare", "--mount", "sh", "-c", f'mount --bind -o ro {folder} {folder} && exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("a read-only mount needs the right to make one")
    own = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_EXPERIMENT_NAME": "read-only"}
    command = [*inside, *script_command("benchmark", *SMALL)]
    process = subprocess.run(
        command, cwd=ROOT, env={**environment(tmp_path), **own}, capture_output=True, text=True, timeout=800
    )
    error = the_one_error(process)
    assert "can't be written (Read-only file system): choose another folder" in error


def test_a_cell_that_wants_more_memory_than_there_is_fails_and_the_others_go_on(server: Server, tmp_path: Path) -> None:
    own = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_EXPERIMENT_NAME": "memory"}
    setting = '{"vae": {"latent_dim": 1000000000000}}'
    process = subprocess.run(
        script_command("benchmark", *SMALL, "--detectors", "pca,vae", "--detector_params", setting), cwd=ROOT,
        env={**environment(tmp_path), **own}, capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    assert process.returncode == 1, process.stdout + process.stderr
    assert "2 cells failed" in process.stdout
    ended = cells(server, "memory")
    failed, finished = ([run for run in ended if run.info.status == of] for of in ("FAILED", "FINISHED"))
    assert [run.data.params["detector"] for run in failed] == ["vae", "vae"]
    assert all("can't allocate memory" in run.data.tags["failure"] for run in failed)
    assert [run.data.params["detector"] for run in finished] == ["pca", "pca"]


def test_a_clock_that_jumps_changes_no_number_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quiet").mkdir()
    assert run_inside(tmp_path / "quiet", "benchmark", *SMALL).returncode == 0
    (tmp_path / "jumps").mkdir()
    real, jumps = time.time, itertools.cycle([0, -86_400, 3_600, -7])
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    for done in (0, 4):
        process = run_inside(tmp_path / "jumps", "benchmark", *SMALL)
        assert process.returncode == 0, process.stdout + process.stderr
        assert f"4 cells, {done} of them done before" in process.stdout
    monkeypatch.undo()
    assert cell_numbers(tmp_path / "jumps") == cell_numbers(tmp_path / "quiet")
    assert len(recorded(tmp_path / "jumps").comparisons) == 2
