"""Joins an existing Dask cluster, and checks it before anything runs on it.

A result depends on versions and on the number of threads, so a worker must have the project's own and one thread.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import fanogan_mtl
from fanogan_mtl.errors import UserError, one_line, without_password

if TYPE_CHECKING:
    from distributed import Client

COMPARED_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyod", "torch", "torchvision", "dask", "distributed")
CODE = "fanogan-mtl"
PATIENCE_FOR_SCHEDULER = "10 s"  # until a scheduler answers
PATIENCE_FOR_WORKERS = 600  # seconds: a queue of jobs may take its time to give the first


@dataclass(frozen=True)
class Cluster:
    """A cluster as it was found.

    Attributes
    ----------
    address : str
        The scheduler's.
    n_workers : int
    shares_data : bool
        Whether all workers see the data folder.
    """

    address: str
    n_workers: int
    shares_data: bool


class WrongWorker(UserError):
    """Raised for a worker that would give other results than this process."""


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Join a cluster.

    Raises
    ------
    UserError
        If no scheduler answers.
    """
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # told in a line of our own
            try:
                client = Client(address, timeout=PATIENCE_FOR_SCHEDULER)
            except AssertionError:  # its own thread has ten seconds to start, which a busy machine exceeds
                client = Client(address, timeout=PATIENCE_FOR_SCHEDULER)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise UserError(
            f"scheduler {without_password(repr(address))}: no Dask scheduler answers ({one_line(error, 150)}); "
            "write tcp://HOST:8786"
        ) from None
    try:
        yield client
    finally:  # its own `with` would have to end in the thread that it began in
        client.close()


def check_cluster(address: str, data_dir: Path, waiting: Callable[[], object] = lambda: None) -> Cluster:
    """Check that a cluster's workers give the results that this process would.

    Parameters
    ----------
    waiting : callable
        Called if there is no worker yet.

    Raises
    ------
    UserError
        If no scheduler answers, no worker comes, or one has another version, another code, or several threads.
    """
    with connected(address) as client, NamedTemporaryFile(dir=data_dir, prefix=".seen-") as token:
        if not client.nthreads():
            waiting()
            _await_workers(client, address)
        try:
            seen: dict[str, tuple[dict[str, str], bool]] = client.run(_look, token.name)
        except Exception as error:
            raise UserError(
                f"scheduler {address!r}: its workers can't import this project ({type(error).__name__}: {error}); "
                "install the same version on them"
            ) from None
        threads = client.nthreads()
    for worker, (found, _) in seen.items():
        check_versions(worker, found, versions())
        if threads.get(worker, 1) > 1:
            raise UserError(f"worker {worker} has {threads[worker]} threads, results need one: use --nthreads 1")
    return Cluster(address, len(seen), all(sees for _, sees in seen.values()))


def check_versions(worker: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Check that a worker has the same versions.

    Raises
    ------
    WrongWorker
        For the first that differs.
    """
    for name, here in wanted.items():
        there = found.get(name, "none")
        if there == here:
            continue
        if name == CODE:
            raise WrongWorker(f"worker {worker} has another code of this project: install the same commit on both")
        raise WrongWorker(f"worker {worker} has {name} {there}, here is {here}: install the same version on both")


@dataclass(frozen=True)
class Checked:
    """A function that checks its worker first, as a worker may join after the cluster was checked."""

    function: Callable[[Any], Any]
    versions: dict[str, str]

    def __call__(self, item: Any) -> Any:
        """On a worker: check the versions, then apply the function."""
        from distributed import get_worker

        check_versions(get_worker().address, versions(), self.versions)
        return self.function(item)


@cache
def versions() -> dict[str, str]:
    """What results depend on: Python, packages, and a digest of this project's code."""
    digest = sha256()
    package = Path(fanogan_mtl.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    major, minor, _ = platform.python_version_tuple()
    return {
        "python": f"{major}.{minor}",
        **{name: version(name) for name in COMPARED_PACKAGES},
        CODE: digest.hexdigest(),
    }


def _look(token: str) -> tuple[dict[str, str], bool]:
    """On a worker: its versions, and whether it sees a file."""
    return versions(), Path(token).exists()


def _await_workers(client: Client, address: str) -> None:
    """Wait for the first worker; a task makes an adaptive cluster ask for one."""
    probe = client.submit(int, pure=False)
    try:
        client.wait_for_workers(1, timeout=PATIENCE_FOR_WORKERS)
    except TimeoutError:
        raise UserError(
            f"scheduler {address!r} has no worker, for {PATIENCE_FOR_WORKERS // 60} minutes: start some, as dask worker"
        ) from None
    finally:
        probe.release()
