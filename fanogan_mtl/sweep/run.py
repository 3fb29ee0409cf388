"""Run tasks on Dask workers: lost workers' tasks go elsewhere, failing ones are reported, the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")


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
class Outcome(Generic[Item, Result]):
    """One task's end: its item, and either the result or the failure; `running` holds what is worked on now."""

    item: Item
    result: Result | None
    failure: Failure | None
    running: tuple[Item, ...]


class LocalWorkers:
    """One-thread worker processes on this machine, started when the first task comes.

    Small networks gain nothing from a second thread, so there is a process for each core.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._stack = ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Outcome[Item, Result]]:
        """Apply a function to every item; see `run_tasks`."""
        if not items:
            return
        if self._client is None:
            self._client = self._start()
        yield from run_tasks(self._client, function, items)

    def _start(self) -> Client:
        import dask
        from distributed import Client, LocalCluster

        self._stack.enter_context(dask.config.set({"distributed.worker.memory.terminate": False}))
        cluster = LocalCluster(n_workers=self.count, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
        client: Client = self._stack.enter_context(Client(self._stack.enter_context(cluster)))
        return client


def run_tasks(
    client: Client, function: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Outcome[Item, Result]]:
    """Apply a function to every item on the workers; yield each outcome as it comes.

    A result is handed over and forgotten at once, and only a few tasks a worker are on the cluster at a time: memory
    does not grow with the number of items, and a worker that dies takes no finished result with it. Dask gives up a
    task whose workers died four times, and the innocent ones that waited there: each of those runs once more, alone.
    """
    from distributed import KilledWorker

    width = 2 * max(1, len(client.scheduler_info()["workers"]))
    suspects = []
    for outcome in _run_tasks(client, function, items, width):
        if outcome.failure and isinstance(outcome.failure.error, KilledWorker):
            suspects.append(outcome.item)
        else:
            yield outcome
    yield from _run_tasks(client, function, suspects, width=1)


def _run_tasks(
    client: Client, function: Callable[[Item], Result], items: Sequence[Item], width: int
) -> Iterator[Outcome[Item, Result]]:
    """Run with at most `width` tasks on the cluster at a time."""
    from distributed import as_completed

    remaining = iter(items)
    waiting: dict[Any, Item] = {}

    def submit(count: int) -> list[Any]:
        futures = {client.submit(function, item, pure=False): item for item in islice(remaining, count)}
        waiting.update(futures)
        return list(futures)

    completed = as_completed(submit(width))
    for future in completed:
        item = waiting.pop(future)
        for new in submit(1):
            completed.add(new)
        failure = _failure(future) if future.status != "finished" else None
        result = None if failure else future.result()
        future.release()
        yield Outcome(item, result, failure, tuple(islice(waiting.values(), (width + 1) // 2)))


def _failure(future: Any) -> Failure:
    error = future.exception()
    lines = traceback.format_exception(type(error), error, future.traceback())
    message = " ".join(str(error).split()) or type(error).__name__
    return Failure(f"{type(error).__name__}: {message}", "".join(lines), error)
