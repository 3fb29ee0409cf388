"""One trial: a run with a fault, the same command again until it ends, and what is not as after a quiet run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock, Thread
from typing import Any

import faults
from faults import Fault, Quiet
from scenarios import ROOT, SCENARIOS, command, copy_template, make_template, rows
from servers import OwnServer, own_server
from starting import Launch, Started
from stores import Stores
from verdict import Query, problems, processes, snapshot, strays, temporary

HERE = Path(__file__).parent
STARTS = 4  # of a command, until it is given up
PATIENCE = 900.0  # seconds that a command may take
PYTHONS_OWN = re.compile(  # word for Ctrl-C while an object is deleted, and before the entry's first line
    r"Exception ignored in.*\nTraceback"
    r"|Traceback.*\n  File .*preloaded.py.*\n.*\n(  File \"<frozen runpy>.*\n)*KeyboardInterrupt"
)
INTERRUPTING = ("terminate", "interrupt twice")
INTERRUPTED = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
TEMPLATES = Lock()
LOCAL = (*["point"] * 4, *["kill"] * 3, "terminate", "interrupt twice", "stop", "disk full", "clock", "second sweep")
KINDS = {
    "sqlite": LOCAL,
    "server": (*["server killed"] * 2, "connections reset", "connections silent", "point", "kill", "interrupt twice"),
    "team": (
        *["database stopped"] * 3,
        *["objects reset", "objects silent"] * 2,
        "server killed",
        "connections reset",
        "connections silent",
        "point",
        "kill",
    ),
}
"""Store to the kinds of faults that are drawn there: SQLite, a server of MLflow's on it, one on PostgreSQL and S3."""


@dataclass(frozen=True)
class Place:
    """Where trials are made, and how.

    Attributes
    ----------
    folder : Path
    store : str
        Key of `KINDS`.
    stores : Stores or None
        For `team`.
    launch : Launch
    cold : bool
        Whether each command starts as a person starts it.
    """

    folder: Path
    store: str
    stores: Stores | None
    launch: Launch
    cold: bool

    @property
    def name(self) -> str:
        """A part of names in the folder."""
        return f"{self.store}-cold" if self.cold else self.store

    def query(self, folder: Path) -> Query:
        """Asks the database of a trial's folder."""
        return partial(self.stores.query, folder.name) if self.stores else partial(rows, folder)


@dataclass
class Start:
    """One start of a command: its session, and when it printed what."""

    session: int
    status: int = 0
    seconds: float = 0.0
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that it printed."""
        return "".join(line for _, line in self.lines)

    @property
    def goes_on_after(self) -> float:
        """Seconds until it had found what was done before, and went on."""
        return next((after for after, line in self.lines if "done before" in line), self.seconds)


def environment(folder: Path, server: OwnServer | None = None) -> dict[str, str]:
    """The environment of a command in a folder, with a database, a cache and temporary files of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {
        **kept,
        "MLFLOW_TRACKING_URI": server.url if server else f"sqlite:///{folder / 'mlflow.db'}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "points"), str(ROOT)]),
        "GIT_PYTHON_REFRESH": "quiet",
    }


def template(name: str, place: Place) -> tuple[Path, Quiet]:
    """The folder that a scenario's trials begin with, and what a quiet run made of it."""
    made = place.folder / "templates" / f"{name} {place.name}".replace(" ", "-")
    with TEMPLATES:
        if made.with_suffix(".json").exists():
            return made, Quiet(**json.loads(made.with_suffix(".json").read_text()))
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        if place.stores:
            place.stores.begin(made.name)
        with served(place, made) as server:
            own = environment(made, server)
            make_template(SCENARIOS[name], made, lambda words: _run(place, words, made, own), place.query(made))
        quiet = made.with_name(f"{made.name}-quiet")
        copy(made, quiet, place)
        passes = made.with_suffix(".passes")
        with served(place, quiet) as server:
            counting = {**environment(quiet, server), "CRASH_COUNT": str(passes)}
            ended = _run(place, command(SCENARIOS[name], quiet), quiet, counting)
        known = Quiet(ended.seconds, json.loads(passes.read_text()), temporary(quiet), look(quiet, place))
        made.with_suffix(".json").write_text(json.dumps(asdict(known)))
    return made, known


def copy(made: Path, folder: Path, place: Place) -> None:
    """Make a folder like a template's, with a database and a bucket where a team has those."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_template(made, folder)
    if place.stores:
        place.stores.begin(folder.name, like=made.name)


def _run(place: Place, words: list[str], folder: Path, environment: dict[str, str]) -> Start:
    ended = follow(place.launch(words, folder, environment))
    if ended.status:
        raise RuntimeError(f"{' '.join(words)} ended with status {ended.status} without a fault:\n{ended.text}")
    return ended


def served(place: Place, folder: Path) -> AbstractContextManager[OwnServer | None]:
    """The server of a folder, or none for SQLite without one."""
    return nullcontext() if place.store == "sqlite" else own_server(folder, place.stores)


def look(folder: Path, place: Place) -> dict[str, Any]:
    """A folder's snapshot, as JSON gives it back."""
    found: dict[str, Any] = json.loads(json.dumps(snapshot(place.query(folder), "Default", folder)))
    return found


def follow(process: Started) -> Start:
    """Read what a command prints, to its end."""
    began, start = time.monotonic(), Start(process.pid)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            start.lines.append((time.monotonic() - began, line))

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        start.status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        start.status = process.wait()
        start.lines.append((PATIENCE, f"\nnot at its end after {PATIENCE:.0f} s\n"))
    start.seconds = time.monotonic() - began
    reader.join(5)
    return start


def run_trial(seed: int, place: Place) -> dict[str, Any]:
    """Run the trial of a seed; give its line of the log."""
    names = sorted(SCENARIOS if place.store == "sqlite" else SCENARIOS.keys() - {"first start"})
    known = {name: template(name, place) for name in names}
    name, fault = faults.draw(Random(seed), KINDS[place.store], {name: quiet for name, (_, quiet) in known.items()})
    made, quiet = known[name]
    own = place.folder / f"trial-{place.name}-{seed}"
    copy(made, own, place)
    with served(place, own) as server:
        starts, hit = play(name, own, place.launch, environment(own, server), fault, server)
    found = _found(own, place, fault, starts, quiet)
    if place.stores:
        place.stores.drop(own.name)
    if found:
        told = "\n".join(f"== exit status {each.status}\n{each.text}" for each in starts)
        (own / "printed.txt").write_text(told)
    else:
        shutil.rmtree(own)
    return {
        "commit": commit(),
        "store": place.store,
        "cold": place.cold,
        "seed": seed,
        "scenario": name,
        **faults.described(fault),
        "starts": [each.status for each in starts],
        "seconds": [round(each.seconds, 1) for each in starts],
        "recovery": round(starts[1].goes_on_after, 1) if starts[0].status and len(starts) > 1 else 0.0,
        "problems": found,
        "verdict": "failed" if found else "survived" if hit else "missed",
    }


def play(
    name: str, own: Path, launch: Launch, there: dict[str, str], fault: Fault, server: OwnServer | None
) -> tuple[list[Start], bool]:
    """Start a scenario's command with a fault, and again until it ends well; tell whether the fault came in time."""
    beside: list[Started] = []
    words = command(SCENARIOS[name], own)
    with ThreadPoolExecutor(1) as injecting:
        process = launch(words, own, {**there, **faults.variables(fault)})
        injected = injecting.submit(
            faults.inject, fault, process, lambda: beside.append(launch(words, own, there)), server
        )
        starts = [follow(process)]
        hit = injected.result()
    starts += map(follow, beside)
    while starts[-1].status and len(starts) < STARTS:
        starts.append(follow(launch(words, own, there)))
    return starts, hit


def _found(own: Path, place: Place, fault: Fault, starts: list[Start], quiet: Quiet) -> list[str]:
    """What is not as after a quiet run; nothing of the trial runs on afterwards."""
    found = [f"exit status {starts[-1].status}"] if starts[-1].status else []
    if fault.what in INTERRUPTING and starts[0].status not in INTERRUPTED:
        found.append(f"exit status {starts[0].status} after an interruption")
    found += ["a traceback is printed"] * any("Traceback" in PYTHONS_OWN.sub("", each.text) for each in starts)
    sessions = {each.session for each in starts}
    found += [f"{left} is left" for left in strays(sessions)]
    for left in processes(sessions):
        with suppress(Exception):
            left.kill()
    return found + _unlike(own, place, quiet, ended=all(each.status in (0, 1, 2) for each in starts))


def _unlike(own: Path, place: Place, quiet: Quiet, ended: bool) -> list[str]:
    try:
        after = look(own, place)
    except Exception as error:
        return [f"the database can't be read: {error}"]
    found = problems(after, quiet.after)
    left = temporary(own)
    if ended and set(left) > set(quiet.temporary):  # those of an interrupted process the system removes
        found.append(f"temporary files: {left}")
    return found


def commit() -> str:
    """The commit that is tried."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip()
