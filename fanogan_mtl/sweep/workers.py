"""Runs tasks on Dask workers: a lost worker's tasks run elsewhere, and a task that fails stops no other."""

from __future__ import annotations

import atexit
import logging
import math
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from fanogan_mtl.errors import UserError, one_line, without_password
from fanogan_mtl.sweep import asking as questions
from fanogan_mtl.sweep.cluster import Checked, Cluster, WrongWorker, connected, versions
from fanogan_mtl.sweep.processes import DASK_SETTINGS, prepare_processes

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

MESSAGE = 2000  # letters of what a task failed by
STARTS = 3  # of this machine's workers, where one of their processes dies before it is ready
GONE = "the Dask scheduler is gone: start the same command again to go on"


@dataclass(frozen=True)
class Failure:
    """Why a task failed.

    Attributes
    ----------
    message : str
        One line.
    traceback : str
    error : BaseException
    """

    message: str
    traceback: str
    error: BaseException


@dataclass(frozen=True)
class Outcome(Generic[_Item, _Result]):
    """How one task ended: its item, and either the result or the failure; `running` has the items worked on now."""

    item: _Item
    result: _Result | None
    failure: Failure | None
    running: tuple[_Item, ...]


class Workers:
    """Where tasks run: worker processes on this machine, or an existing Dask cluster; joined when the first task comes.

    Each worker has one thread: small networks gain nothing from a second one, so there is a process for each core.

    Parameters
    ----------
    count : int
        Processes on this machine.
    cluster : Cluster, optional
        Used in their stead, see `fanogan_mtl.sweep.cluster`.

    Attributes
    ----------
    near : Workers
        Those that see the data folder: these, or others on this machine.
    """

    def __init__(self, count: int, cluster: Cluster | None = None) -> None:
        self.count = cluster.n_workers if cluster else count
        self._cluster = cluster
        self._stack = ExitStack()
        self._client: Client | None = None
        self._starting = Lock()
        self.near = self if cluster is None or cluster.shares_data else self._stack.enter_context(Workers(count))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stack.close()
        except AssertionError:  # Dask's, where a worker is just being restarted
            _abandon_workers()

    def run(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: bool = True
    ) -> Iterator[Outcome[_Item, _Result]]:
        """Apply a function to every item; see `run_tasks`."""
        if isinstance(items, Sequence) and not items:
            return
        try:
            for outcome in run_tasks(self._connected(), self._checked(function), items, ahead):
                error = outcome.failure.error if outcome.failure else None
                if isinstance(error, WrongWorker):
                    raise error
                if isinstance(error, CancelledError):  # not by us
                    raise UserError(GONE)
                yield outcome
        except OSError:  # of the connection: a task's own is in its outcome
            raise UserError(GONE) from None

    @contextmanager
    def answering(self, answer: Callable[[Any], Any]) -> Iterator[str]:
        """While active, tasks may ask this process (see `fanogan_mtl.sweep.asking`); yields the channel they ask on."""
        with questions.answering(self._connected(), answer) as channel:
            yield channel

    def _checked(self, function: Callable[[_Item], _Result]) -> Callable[[_Item], _Result]:
        return function if self._cluster is None else Checked(function, versions())

    def _connected(self) -> Client:
        with self._starting:
            if self._client is None:
                self._client = self._start()
            return self._client

    def _start(self) -> Client:
        import dask
        from distributed import Client

        if self._cluster is not None:
            return self._stack.enter_context(connected(self._cluster.address))
        self._stack.enter_context(dask.config.set(DASK_SETTINGS))
        cluster = self._stack.enter_context(_started_cluster(self.count))
        try:
            client = Client(cluster)
        except BaseException:
            _abandon_workers()
            raise
        self._stack.callback(client.close)  # its own `with` would have to end in the thread that it began in
        return client


def _started_cluster(count: int) -> LocalCluster:
    """Start workers of this machine; once more where one of their processes dies before it is ready."""
    from distributed import LocalCluster
    from distributed.deploy.spec import SpecCluster

    failures = 0
    while True:
        prepare_processes()
        others = set(SpecCluster._instances)
        try:
            return LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
        except BaseException as error:
            for begun in set(SpecCluster._instances) - others:
                begun._loop_runner.stop()  # or it would start the workers that it has not started yet
            _abandon_workers()
            if not isinstance(error, RuntimeError):  # Dask's, for any process that it waits for in vain
                raise
            failures += 1
            if failures == STARTS:
                raise UserError(f"worker processes can't be started: {one_line(error)}") from None


def _abandon_workers() -> None:
    """End this process' workers at once; Dask's own farewell fails, at length, on those that have not started yet."""
    import psutil
    from distributed.deploy.spec import close_clusters

    atexit.unregister(close_clusters)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)  # it would print that workers failed to start
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "forkserver" in " ".join(child.cmdline()):  # the others keep account of what is to be cleaned up
                child.kill()


def run_tasks(
    client: Client, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: bool = True
) -> Iterator[Outcome[_Item, _Result]]:
    """Apply a function to every item on the workers; yield each outcome as it comes.

    With `ahead`, the next task waits at each worker. Without, the next item is taken only when a worker is free and the
    caller has dealt with all outcomes so far, which is for items that depend on them.

    A result is handed over and forgotten at once, and only a few tasks per worker are on the cluster at a time: memory
    does not grow with the number of items, and a worker that dies takes no finished result with it. After four dead
    workers Dask gives up a task, and with it others that only waited on those workers: each runs once more, alone.
    """
    from distributed import KilledWorker

    suspects = []
    for outcome in _run_tasks(client, function, items, 2 if ahead else 1, ahead):
        if outcome.failure and isinstance(outcome.failure.error, KilledWorker):
            suspects.append(outcome.item)
        else:
            yield outcome
    for suspect in suspects:
        yield from _run_tasks(client, function, [suspect], 1, ahead)


def _run_tasks(
    client: Client, function: Callable[[_Item], _Result], items: Iterable[_Item], depth: int, ahead: bool
) -> Iterator[Outcome[_Item, _Result]]:
    """Run with at most `depth` tasks per worker on the cluster at a time; workers may come and go."""
    from distributed import as_completed

    remaining = iter(items)
    waiting: dict[Any, _Item] = {}

    def submit() -> list[Any]:
        missing = depth * max(1, len(client.nthreads())) - len(waiting)
        futures = {client.submit(function, item, pure=False): item for item in islice(remaining, max(0, missing))}
        waiting.update(futures)
        return list(futures)

    completed = as_completed(submit())
    for future in completed:
        item = waiting.pop(future)
        if ahead:
            completed.update(submit())
        result, failure = _wait_for(future)
        future.release()
        running = math.ceil(len(waiting) / depth)
        yield Outcome(item, result, failure, tuple(islice(waiting.values(), running)))
        if not ahead:
            completed.update(submit())


def _wait_for(future: Any) -> tuple[Any, Failure | None]:
    """Result or failure; a finished task runs again where its worker died before it could hand over the result."""
    try:
        return future.result(), None
    except Exception as error:
        lines = "".join(traceback.format_exception(type(error), error, future.traceback()))
        message = f"{type(error).__name__}: {one_line(error, MESSAGE)}"
        return None, Failure(message, without_password(lines), error)
