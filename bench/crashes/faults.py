"""What is done to a run that goes on: signals, a full disk, a second sweep, another clock, a server that goes away."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import psutil
from servers import OwnServer
from starting import Started

SIGNALS = {
    "kill": (signal.SIGKILL, ("worker", "helper", "sweep", "group")),
    "terminate": (signal.SIGTERM, ("worker", "sweep", "group")),
    "interrupt twice": (signal.SIGINT, ("group",)),
    "stop": (signal.SIGSTOP, ("worker", "sweep", "group")),
}
STOPPED = 90.0  # seconds at most
FULL = (1.0, 30.0)  # seconds that the disk is full at least and at most
AWAY = (5.0, 120.0)  # seconds that the network is cut at least and at most
HOUR = 3600.0
OF_SERVERS = (
    "server killed", "connections reset", "connections silent", "database stopped", "objects reset", "objects silent",
)  # fmt: skip


@dataclass(frozen=True)
class Quiet:
    """What is known of a scenario's quiet run.

    Attributes
    ----------
    seconds : float
    passes : dict
        Name of a point to how often the run passed it.
    temporary : list of str
        Temporary files that it left.
    after : dict
        The snapshot of its folder.
    """

    seconds: float
    passes: dict[str, int]
    temporary: list[str]
    after: dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One injection.

    Attributes
    ----------
    what : str
        `point`, a key of `SIGNALS`, `disk full`, `second sweep`, `clock`, or one of `OF_SERVERS`.
    target : str
        The point's name, or which process.
    moment : float
        Seconds after the command's start; of a point the number of passes.
    lasts : float
        Seconds until it is over, or by which the clock jumps.
    """

    what: str
    target: str
    moment: float
    lasts: float


def draw(random: Random, kinds: tuple[str, ...], quiet: Mapping[str, Quiet]) -> tuple[str, Fault]:
    """Draw a scenario, by the quiet run of each, and a fault of it; points as often as each other."""
    what = random.choice(kinds)
    if what == "point":
        point = random.choice(sorted({point for each in quiet.values() for point in each.passes}))
        scenario = random.choice([name for name, each in quiet.items() if point in each.passes])
        return scenario, Fault(what, point, random.randint(1, quiet[scenario].passes[point]), 0.0)
    scenario = random.choice(list(quiet))
    moment = random.uniform(0.0, quiet[scenario].seconds)
    target = random.choice(SIGNALS[what][1]) if what in SIGNALS else "time.time" if what == "clock" else ""
    lasts = {
        "stop": lambda: random.choice((2.0, 10.0, STOPPED)),
        "clock": lambda: random.choice((-HOUR, HOUR)),
        "disk full": lambda: _log_uniform(random, *FULL),
        **dict.fromkeys(OF_SERVERS, lambda: _log_uniform(random, *AWAY)),
    }
    return scenario, Fault(what, target, moment, lasts.get(what, lambda: 0.0)())


def _log_uniform(random: Random, lowest: float, highest: float) -> float:
    return lowest * (highest / lowest) ** random.random()


def variables(fault: Fault) -> dict[str, str]:
    """The environment by which the process does the fault to itself."""
    if fault.what == "point":
        return {"CRASH_POINT": f"{fault.target}:{fault.moment:.0f}"}
    if fault.what == "clock":
        return {"CRASH_CLOCK": f"{fault.lasts}:{time.monotonic() + fault.moment}"}
    return {}


def inject(fault: Fault, process: Started, second: Callable[[], object], server: OwnServer | None) -> bool:
    """Do a fault at its moment to a process that has just started; tell, when it is over, whether the moment came."""
    if fault.what == "point":
        return process.wait() == -signal.SIGKILL
    with suppress(subprocess.TimeoutExpired):
        process.wait(fault.moment)
        return False
    if fault.what == "clock":
        return True
    if fault.what in OF_SERVERS:
        assert server is not None
        server.leave(fault.what)
        time.sleep(fault.lasts)
        server.come_back(fault.what)
    elif fault.what == "disk full":
        _limit_files(process, 0)
        time.sleep(fault.lasts)
        _limit_files(process, resource.RLIM_INFINITY)
    elif fault.what == "second sweep":
        second()
    else:
        _signal(fault, process)
    return True


def _limit_files(process: Started, size: int) -> None:
    for each in family(process):
        with suppress(psutil.Error, ProcessLookupError):
            resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _signal(fault: Fault, process: Started) -> None:
    number, _ = SIGNALS[fault.what]
    chosen = targets(fault.target, process)
    for each in chosen:
        with suppress(psutil.Error):
            each.send_signal(number)
    if fault.what == "interrupt twice":
        time.sleep(0.3)
        for each in targets(fault.target, process):
            with suppress(psutil.Error):
                each.send_signal(number)
    if fault.what == "stop":
        time.sleep(fault.lasts)
        for each in chosen:
            with suppress(psutil.Error):
                each.send_signal(signal.SIGCONT)


def targets(which: str, process: Started) -> list[psutil.Process]:
    """The processes that a fault is done to; where there is no such process yet, the command's own."""
    everyone = family(process)
    helpers = [each for each in everyone[1:] if "forkserver" in _words(each) and each.ppid() == process.pid]
    workers = [each for each in everyone[1:] if helpers and each.ppid() == helpers[0].pid]
    return {
        "group": everyone,
        "sweep": everyone[:1],
        "helper": helpers[:1] or everyone[:1],
        "worker": workers[:1] or everyone[:1],
    }[which]


def family(process: Started) -> list[psutil.Process]:
    """A process and all that it has started."""
    try:
        own = psutil.Process(process.pid)
        return [own, *own.children(recursive=True)]
    except psutil.Error:
        return []


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def described(fault: Fault) -> dict[str, Any]:
    """A fault as a line of the log has it."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(fault).items()}
