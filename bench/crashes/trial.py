"""One trial: a run with a fault, the same command again until it ends, and what is not as after a quiet run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock, Thread
from typing import Any

import faults
from faults import Fault
from scenarios import ROOT, SCENARIOS, command, copy_template, make_template, rows
from servers import OwnServer, own_server
from verdict import problems, processes, snapshot, strays

HERE = Path(__file__).parent
STARTS = 4  # of a command, until it is given up
PATIENCE = 900.0  # seconds that a command may take
TEMPLATES = Lock()
LOCAL = (*["point"] * 4, *["kill"] * 3, "terminate", "interrupt twice", "stop", "disk full", "clock", "second sweep")
KINDS = {
    "sqlite": LOCAL,
    "server": (*["server killed"] * 2, "connections reset", "connections silent", "point", "kill", "interrupt twice"),
}
"""Store to the kinds of faults that are drawn there."""


@dataclass
class Start:
    """One start of a command: when it printed what."""

    status: int
    seconds: float
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that it printed."""
        return "".join(line for _, line in self.lines)

    @property
    def goes_on_after(self) -> float:
        """Seconds until it had found what was done before, and went on."""
        return next((after for after, line in self.lines if "done before" in line), self.seconds)


def environment(folder: Path, marker: str, server: OwnServer | None = None) -> dict[str, str]:
    """The environment of a command in a folder, with a database, a cache and temporary files of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {
        **kept,
        "MLFLOW_TRACKING_URI": server.url if server else f"sqlite:///{folder / 'mlflow.db'}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "points"), str(ROOT)]),
        "CRASH_TRIAL": marker,
        "GIT_PYTHON_REFRESH": "quiet",
    }


def template(name: str, store: str, folder: Path) -> Path:
    """The folder that a scenario's trials begin with, and beside it what a quiet run made of it."""
    made = folder / "templates" / f"{name} {store}".replace(" ", "-")
    with TEMPLATES:
        if made.with_suffix(".json").exists():
            return made
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        with served(store, made) as server:
            make_template(SCENARIOS[name], made, environment(made, f"template {made.name}", server))
        quiet = made.with_name(f"{made.name}.quiet")
        shutil.rmtree(quiet, ignore_errors=True)
        copy_template(made, quiet)
        with served(store, quiet) as server:
            there = environment(quiet, f"quiet {made.name}", server)
            ended = follow(launch(name, quiet, {**there, "CRASH_COUNT": str(made.with_suffix(".passes"))}))
        assert ended.status == 0, ended.text
        left = sorted(path.name for path in (quiet / "tmp").iterdir())
        passes = json.loads(made.with_suffix(".passes").read_text())
        known = {"seconds": ended.seconds, "passes": passes, "temporary": left, "after": look(quiet)}
        made.with_suffix(".json").write_text(json.dumps(known))
    return made


def served(store: str, folder: Path) -> AbstractContextManager[OwnServer | None]:
    """The server of a store, or none for SQLite without one."""
    return own_server(folder) if store == "server" else nullcontext()


def look(folder: Path) -> dict[str, Any]:
    """A folder's snapshot, as JSON gives it back."""
    found: dict[str, Any] = json.loads(json.dumps(snapshot(partial(rows, folder), "Default", folder)))
    return found


def launch(name: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a scenario's command in a process group of its own."""
    return subprocess.Popen(
        command(SCENARIOS[name], folder), cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def follow(process: subprocess.Popen[str]) -> Start:
    """Read what a command prints, to its end."""
    began, start = time.monotonic(), Start(0, 0.0)

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


def run_trial(seed: int, store: str, folder: Path) -> dict[str, Any]:
    """Run the trial of a seed; give its line of the log."""
    random = Random(seed)
    name = random.choice(sorted(SCENARIOS) if store == "sqlite" else sorted(SCENARIOS.keys() - {"first start"}))
    made = template(name, store, folder)
    quiet = json.loads(made.with_suffix(".json").read_text())
    fault = faults.draw(random, quiet["seconds"], quiet["passes"], KINDS[store])
    own, marker = folder / f"trial-{store}-{seed}", f"{os.getpid()}-{store}-{seed}"
    shutil.rmtree(own, ignore_errors=True)
    copy_template(made, own)
    with served(store, own) as server:
        starts, hit = play(name, own, environment(own, marker, server), fault, server)
    found = _found(own, marker, starts, quiet)
    if found:
        told = "\n".join(f"== exit status {each.status}\n{each.text}" for each in starts)
        (own / "printed.txt").write_text(told)
    else:
        shutil.rmtree(own)
    return {
        "commit": commit(),
        "store": store,
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
    name: str, own: Path, there: dict[str, str], fault: Fault, server: OwnServer | None
) -> tuple[list[Start], bool]:
    """Start a scenario's command with a fault, and again until it ends well; tell whether the fault came in time."""
    beside: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(1) as injecting:
        process = launch(name, own, {**there, **faults.variables(fault)})
        injected = injecting.submit(
            faults.inject, fault, process, lambda: beside.append(launch(name, own, there)), server
        )
        starts = [follow(process)]
        hit = injected.result()
    starts += map(follow, beside)
    while starts[-1].status and len(starts) < STARTS:
        starts.append(follow(launch(name, own, there)))
    return starts, hit


def _found(own: Path, marker: str, starts: list[Start], quiet: dict[str, Any]) -> list[str]:
    """What is not as after a quiet run; nothing of the trial runs on afterwards."""
    found = [f"exit status {starts[-1].status}"] if starts[-1].status else []
    found += ["a traceback is printed"] * any("Traceback" in each.text for each in starts)
    found += [f"{left} is left" for left in strays(marker)]
    for left in processes(marker):
        with suppress(Exception):
            left.kill()
    return found + _unlike(own, quiet, killed=any(each.status < 0 for each in starts))


def _unlike(own: Path, quiet: dict[str, Any], killed: bool) -> list[str]:
    try:
        after = look(own)
    except Exception as error:
        return [f"the database can't be read: {error}"]
    found = problems(after, quiet["after"])
    left = sorted(path.name for path in (own / "tmp").iterdir())
    if not killed and set(left) > set(quiet["temporary"]):  # those of a killed process the system removes
        found.append(f"temporary files: {left}")
    return found


def commit() -> str:
    """The commit that is tried."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip()
