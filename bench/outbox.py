"""100,000 metrics to a server of MLflow's: `python -m bench.outbox`.

Through a `DurableRun`, against `MlflowClient.log_batch` called by the script itself, 1,000 at a time, in turns, each
first in every second, since the server takes longer the more it has; then through one whose server is away half of
the time. The bars: at most 1 % slower, and none lost or doubled.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from unittest.mock import patch

import mlflow
from mlflow.entities import Metric

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # which have the server

from mlflow_server import IMPATIENT, Server, started_server

from fanogan_mtl.tracking.durable_run import DurableRun

STEPS, TOGETHER, TURNS = 100, 1000, 4
AWAY = 10.0  # seconds, then as long there


def main() -> None:
    os.environ |= IMPATIENT
    with TemporaryDirectory() as folder, started_server(Path(folder)) as server:
        mlflow.set_tracking_uri(server.url)
        by_hand([0, 1])  # the first requests take longer
        turns = [turn(Path(folder) / f"run-{number}", number % 2 == 1) for number in range(TURNS)]
        pairs = [(each["hand"], each["ours"]) for each in turns]
        for (hand, _), (ours, _) in pairs:
            print(f"log_batch {hand:6.2f} s, DurableRun {ours:6.2f} s: {ours / hand:.3f}")
        print(f"median of the ratios: {median(ours / hand for (hand, _), (ours, _) in pairs):.3f} (bar 1.01)")
        added = median((ours_own - own) / hand for (hand, own), (_, ours_own) in pairs)
        print(f"median of what DurableRun adds beside the server's answers: {added:.2%}")
        away(server, Path(folder) / "away")


def turn(folder: Path, ours_first: bool) -> dict[str, tuple[float, float]]:
    """By `hand` and durably, `ours`, measured in either order: seconds, and those of them outside of `log_batch`."""
    tries = {"hand": partial(by_hand, range(STEPS)), "ours": partial(durable, folder)}
    return {name: outside(tries[name]) for name in sorted(tries, reverse=ours_first)}


def outside(log: Callable[[], float]) -> tuple[float, float]:
    """Seconds that logging takes, and those of them in which no batch waits for the server's answer."""
    waited: list[float] = []

    def timed(client: mlflow.MlflowClient, *arguments: Any) -> None:
        begun = time.perf_counter()
        log_batch(client, *arguments)
        waited.append(time.perf_counter() - begun)

    log_batch = mlflow.MlflowClient.log_batch
    with patch.object(mlflow.MlflowClient, "log_batch", timed):
        seconds = log()
    return seconds, seconds - sum(waited)


def values(step: int) -> dict[str, float]:
    """The metrics of one step."""
    return {f"metric {number}": step + number / TOGETHER for number in range(TOGETHER)}


def by_hand(steps: range | list[int]) -> float:
    """Seconds to log by MLflow's client."""
    client = mlflow.MlflowClient()
    run = client.create_run("0").info.run_id
    begun = time.perf_counter()
    for step in steps:
        now = int(time.time() * 1000)
        client.log_batch(run, [Metric(name, value, now, step) for name, value in values(step).items()])
    client.set_terminated(run)
    return time.perf_counter() - begun


def durable(folder: Path) -> float:
    """Seconds to log durably, until the server has all."""
    begun = time.perf_counter()
    with DurableRun(folder, folder.name) as run:
        for step in range(STEPS):
            run.log_metrics(values(step), step)
    return time.perf_counter() - begun


def away(server: Server, folder: Path) -> None:
    """Log while the server comes and goes, and count what it has in the end."""
    logging = True

    def come_and_go() -> None:
        while logging:
            server.kill()
            time.sleep(AWAY)
            server.start()
            time.sleep(AWAY)

    breaking = Thread(target=come_and_go)
    breaking.start()
    with DurableRun(folder, "away") as run:
        for step in range(STEPS):
            run.log_metrics(values(step), step)
            time.sleep(1.0)
        logging = False
        breaking.join()
    client = mlflow.MlflowClient()
    found = {
        (name, each.step, each.value) for name in values(0) for each in client.get_metric_history(run.run_id, name)
    }
    wanted = {(name, step, value) for step in range(STEPS) for name, value in values(step).items()}
    count = sum(len(client.get_metric_history(run.run_id, name)) for name in values(0))
    print(f"server away half of the time: {len(wanted)} logged, {count} found, {len(wanted - found)} lost, "
          f"{count - len(found)} doubled")  # fmt: skip


if __name__ == "__main__":
    main()
