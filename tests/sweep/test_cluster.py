"""Tasks on an existing Dask cluster, whose workers are checked before and while they work."""

import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import DaskCluster, kill_session, started_cluster, wait_for
from distributed import Client

from fanogan_mtl.errors import UserError
from fanogan_mtl.sweep import cluster as cluster_module
from fanogan_mtl.sweep.cluster import CODE, Cluster, WrongWorker, check_cluster, check_versions, connected, versions
from fanogan_mtl.sweep.workers import Workers


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with started_cluster(tmp_path_factory.mktemp("dask"), workers=2) as started:
        with connected(started.address) as client:
            wait_for(lambda: len(client.nthreads()) == 2)
        yield started


def test_its_workers_run_tasks_and_outlive_those_who_use_them(dask: DaskCluster, tmp_path: Path) -> None:
    found = check_cluster(dask.address, tmp_path)
    assert found == Cluster(dask.address, n_workers=2, shares_data=True)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        with Workers(1, found) as workers:
            assert workers.count == 2
            assert workers.near is workers
            outcomes = {outcome.item: outcome.result for outcome in workers.run(abs, range(-9, 0))}
        assert outcomes == {number: -number for number in range(-9, 0)}


def test_workers_that_do_not_see_the_data_folder_are_told_from_those_that_do(tmp_path: Path) -> None:
    apart = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {tmp_path}/data && exec "$@"', "sh")
    (tmp_path / "data").mkdir()
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace of one's own needs the right to make one")
    with started_cluster(tmp_path / "dask") as started:
        started.add_worker(before=apart)
        found = check_cluster(started.address, tmp_path / "data")
        assert not found.shares_data
        with Workers(1, found) as workers:
            assert workers.near is not workers
            (tmp_path / "data" / "file").touch()
            (near,) = workers.near.run(Path.exists, [tmp_path / "data" / "file"])
            (away,) = workers.run(Path.exists, [tmp_path / "data" / "file"])
        assert (near.result, away.result) == (True, False)


def test_the_first_worker_is_waited_for(tmp_path: Path) -> None:
    with started_cluster(tmp_path / "dask") as started:
        assert check_cluster(started.address, tmp_path, waiting=partial(started.add_worker)).n_workers == 1


def test_a_cluster_without_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE_FOR_WORKERS", 0.5)
    with started_cluster(tmp_path / "dask") as started, pytest.raises(UserError, match="has no worker"):
        check_cluster(started.address, tmp_path)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9", ""])
def test_what_is_no_scheduler_is_one_line(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE_FOR_SCHEDULER", "1 s")
    with pytest.raises(UserError, match="no Dask scheduler answers") as raised:
        check_cluster(address, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_thread_that_starts_late_is_waited_for(dask: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def late(*arguments: Any, **named: Any) -> Client:
        tries.append(arguments)
        assert len(tries) > 1  # as distributed says it
        return Client(*arguments, **named)

    monkeypatch.setattr("distributed.Client", late)
    with connected(dask.address) as client:
        assert client.submit(abs, -1).result() == 1
    assert len(tries) == 2


def test_a_worker_with_several_threads_is_refused(tmp_path: Path) -> None:
    with started_cluster(tmp_path / "dask") as started:
        started.add_worker("--nthreads", "3")
        with pytest.raises(UserError, match="has 3 threads, results need one: use --nthreads 1"):
            check_cluster(started.address, tmp_path)


@pytest.mark.parametrize(("name", "said"), [("torch", "has torch 0.1, here is"), (CODE, "another code"), ("x", "none")])
def test_another_version_is_one_line(name: str, said: str) -> None:
    check_versions("tcp://a:1", versions(), versions())
    wanted = versions() | ({"x": "1"} if name == "x" else {})
    found = versions() | ({} if name == "x" else {name: "0.1"})
    with pytest.raises(WrongWorker, match=said):
        check_versions("tcp://a:1", found, wanted)


def test_a_worker_that_joined_with_another_version_ends_the_run(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check_cluster(dask.address, tmp_path)
    monkeypatch.setattr("fanogan_mtl.sweep.workers.versions", lambda: versions() | {"numpy": "9.9"})
    with Workers(1, found) as workers, pytest.raises(WrongWorker, match=r"has numpy .*, here is 9\.9"):
        list(workers.run(abs, [1]))


def test_a_scheduler_that_goes_away_fails_no_task(tmp_path: Path) -> None:
    with started_cluster(tmp_path / "dask", workers=1) as started:
        found = check_cluster(started.address, tmp_path)
        with Workers(1, found) as workers:
            outcomes = workers.run(time.sleep, [0.1, 30, 30])
            assert next(outcomes).failure is None
            kill_session(started.processes[0])
            with pytest.raises(UserError, match="the Dask scheduler is gone"):
                next(outcomes)
