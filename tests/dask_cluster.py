"""A Dask cluster as people start one: `dask scheduler` and `dask worker` as processes, which tests may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PATIENCE = 600


@dataclass
class DaskCluster:
    """A scheduler and its workers, each with its log in a folder."""

    folder: Path
    environment: dict[str, str]
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self, *options: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
        """Start one more worker, with one thread unless options say otherwise; `before` goes before its command."""
        return self._start(
            [*before, dask(), "worker", self.address, "--nthreads", "1", "--no-dashboard", *options,
             "--local-directory", str(self.folder)], variables,
        )  # fmt: skip

    def worker_processes(self) -> list[psutil.Process]:
        """The processes that run tasks: children of the nannies."""
        nannies = [psutil.Process(process.pid) for process in self.processes[1:] if process.poll() is None]
        children = [child for nanny in nannies for child in nanny.children(recursive=True)]
        return [child for child in children if any("spawn_main" in word for word in child.cmdline())]

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        self._start([dask(), "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                     "--scheduler-file", str(file)], {})  # fmt: skip
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        import json

        self.address = json.loads(file.read_text())["address"]

    def _start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env={**self.environment, **variables}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process


@contextmanager
def started_cluster(folder: Path, workers: int = 0, **variables: str) -> Iterator[DaskCluster]:
    """A cluster with so many workers to come; none of its processes is left at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])  # for tests' own tasks
    cluster = DaskCluster(folder, {**os.environ, "PYTHONPATH": here, **variables})
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in cluster.processes[::-1]:
            kill_session(process)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait()


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def dask() -> str:
    return str(Path(sys.executable).parent / "dask")
