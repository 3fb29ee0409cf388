"""Tasks on real worker processes: order of results, failures, and workers that die."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import psutil
import pytest
from dask_cluster import wait_for

from fanogan_mtl.sweep.workers import Workers


def square(number: int) -> int:
    if number == 3:
        raise ValueError("three is\nunlucky")
    return number * number


def die_once(path: Path) -> str:
    """Kill the own worker the first time, as the system does to a process that uses too much memory."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def interrupt_oneself(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
    return number


def always_die(number: int) -> int:
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return number


def test_every_item_ends_once_and_a_failure_stops_nothing() -> None:
    with Workers(2) as workers:
        outcomes = {outcome.item: outcome for outcome in workers.run(square, range(10))}
    assert sorted(outcomes) == list(range(10))
    assert {item: outcome.result for item, outcome in outcomes.items() if item != 3} == {
        item: item * item for item in range(10) if item != 3
    }
    failure = outcomes[3].failure
    assert failure is not None
    assert failure.message == "ValueError: three is unlucky"
    assert "in square" in failure.traceback
    assert isinstance(failure.error, ValueError)


def test_what_runs_is_said_and_is_never_what_has_ended() -> None:
    seen: set[int] = set()
    with Workers(2) as workers:
        for outcome in workers.run(square, range(8)):
            seen.add(outcome.item)
            assert len(outcome.running) <= 2
            assert not seen & set(outcome.running)


def test_a_killed_workers_task_runs_elsewhere(tmp_path: Path) -> None:
    with Workers(1) as workers:
        outcomes = list(workers.run(die_once, [tmp_path / "died"]))
    assert [outcome.result for outcome in outcomes] == ["survived"]


def forked_from() -> list[psutil.Process]:
    """The process of this one that its workers are forked from."""
    found = []
    for each in psutil.Process().children():
        with suppress(psutil.Error):  # as of one that has just died
            if "forkserver" in " ".join(each.cmdline()):
                found.append(each)
    return found


def test_a_process_that_dies_while_workers_start_is_started_again() -> None:
    dead = []
    of_tests_before = {each.pid for each in forked_from()}
    for each in forked_from():
        each.kill()

    def kill_one() -> None:
        wait_for(lambda: [each for each in forked_from() if each.pid not in of_tests_before])
        (dying,) = (each for each in forked_from() if each.pid not in of_tests_before)
        wait_for(lambda: dying.children() or dying.cpu_times().user > 1)  # it imports
        dying.kill()
        dead.append(dying)

    killer = Thread(target=kill_one)
    killer.start()
    with Workers(1) as workers:
        outcomes = list(workers.run(square, [2]))
    killer.join()
    assert [outcome.result for outcome in outcomes] == [4]
    assert len(dead) == 1


@pytest.mark.faults
def test_a_worker_that_is_long_in_coming_back_is_waited_for() -> None:
    with Workers(1) as workers:
        outcomes = workers.run(time.sleep, [0.0, 3.0, 0.0])
        assert next(outcomes).failure is None
        (dying,) = forked_from()
        dying.kill()
        wait_for(lambda: [each for each in forked_from() if each.pid != dying.pid])
        (slow,) = (each for each in forked_from() if each.pid != dying.pid)
        slow.suspend()
        time.sleep(17.0)  # after 15 s Dask would give the worker up, and the tasks would wait for ever
        slow.resume()
        assert [outcome.failure for outcome in outcomes] == [None, None]


def test_a_task_that_kills_every_worker_fails_and_the_others_end() -> None:
    with Workers(2) as workers:
        outcomes = {outcome.item: outcome for outcome in workers.run(always_die, range(4))}
    assert outcomes[0].failure is not None
    assert outcomes[0].failure.message.startswith("KilledWorker")
    assert [outcomes[item].result for item in (1, 2, 3)] == [1, 2, 3]


def test_workers_leave_control_c_to_the_process_that_was_started() -> None:
    with Workers(2) as workers:
        outcomes = list(workers.run(interrupt_oneself, range(3)))
    assert [outcome.failure for outcome in outcomes] == [None, None, None]


def test_workers_that_a_thread_has_started_serve_and_end_with_another() -> None:
    with Workers(1) as workers:
        thread = Thread(target=lambda: list(workers.run(square, [1])))
        thread.start()
        thread.join()
        assert [outcome.result for outcome in workers.run(square, [2])] == [4]


def test_no_items_start_no_process() -> None:
    with Workers(2) as workers:
        assert list(workers.run(square, [])) == []
        assert workers._client is None


STARTS_WORKERS = """
import sys, os, signal, threading, time
from fanogan_mtl.sweep.workers import Workers
def main():
    with Workers(2) as workers:
        threading.Timer(float(sys.argv[1]), os.kill, (os.getpid(), signal.SIGINT)).start()
        next(workers.run(time.sleep, range(60)))
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("seconds", [0.1, 0.4, 1.0, 2.0, 4.0])
def test_ctrl_c_while_workers_start_is_quiet_and_leaves_none(seconds: float, tmp_path: Path) -> None:
    (tmp_path / "starts.py").write_text(STARTS_WORKERS)
    environment = {**os.environ, "STARTED_BY": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, tmp_path / "starts.py", str(seconds)], env=environment, capture_output=True, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    assert ended.returncode == -signal.SIGINT
    chained = ended.stderr.count("During handling of the above exception")  # where an import was interrupted
    assert ended.stderr.count("Traceback") == 1 + chained, ended.stderr  # of the interruption itself
    assert ended.stderr.rstrip().endswith("KeyboardInterrupt")
    left = [each for each in psutil.process_iter() if _started_by(each) == str(tmp_path)]
    psutil.wait_procs(left, timeout=10)
    assert [each for each in left if each.is_running()] == []


STARTS_LATE = """
import asyncio, os, signal, sys, time
import psutil
from distributed.nanny import WorkerProcess
from fanogan_mtl.sweep.workers import Workers

start = WorkerProcess.start

async def interrupted_before_it_starts(process):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.5)
    return await start(process)

def main():
    WorkerProcess.start = interrupted_before_it_starts
    try:
        with Workers(1) as workers:
            next(workers.run(time.sleep, range(60)))
    except KeyboardInterrupt:
        time.sleep(2)
        for child in psutil.Process().children():
            if child.status() != psutil.STATUS_ZOMBIE:
                print(" ".join(child.cmdline()))

if __name__ == "__main__":
    main()
"""


def test_a_start_that_is_interrupted_starts_no_worker_afterwards(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(STARTS_LATE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, tmp_path / "late.py"], env=environment, check=True, capture_output=True, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert [line for line in ended.stdout.splitlines() if "resource_tracker" not in line] == []
    assert "Traceback" not in ended.stderr


def _started_by(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("STARTED_BY")
    except psutil.Error:
        return None
