"""Run the project as a person does, and read what MLflow has afterwards.

A process of its own takes ten seconds of imports, and its workers as much again: `script` and `mlflow_run` are for
tests where the process is the point, `run_inside` for those of what a run leaves behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from entrypoints import command
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.sweep.workers import Failure, Outcome, Workers

ROOT = Path(__file__).parents[1]
TIMES = ("fit_seconds", "score_seconds")
ONE_WORKER = {entry: {"workers": "1"} for entry in ("benchmark", "hybrid", "pretrain", "register")}


def environment(folder: Path) -> dict[str, str]:
    """The environment of a person in their own folder: this Python first, a database and a cache of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    own = {"MLFLOW_TRACKING_URI": uri(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PATH": path}
    return {**kept, **own, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "GIT_PYTHON_REFRESH": "quiet"}


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def furnish(folder: Path) -> None:
    """Give a folder what its first run would make, MLflow's tables and prepared digits; pages start from nothing."""
    if (folder / "mlflow.db").exists():
        return
    template = _template()
    shutil.copy(template / "mlflow.db", folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", [str(folder / "mlruns" / "0")])
    if not (folder / "cache").exists():
        users = shutil.ignore_patterns(".running", ".lock")  # whoever made the template doesn't use the copy
        shutil.copytree(template / "cache", folder / "cache", ignore=users, copy_function=os.link)


def _template() -> Path:
    """Make, once a session, what every folder begins with."""
    folder = Path(os.environ["FANOGAN_MTL_TEST_SESSION"]) / "template"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            mlflow.MlflowClient(uri(folder)).search_experiments()
            for spec in parse_datasets("optdigits,handwritten"):
                load_dataset(spec, folder / "cache" / "fanogan-mtl")
            (folder / "done").touch()
    return folder


def one_core() -> None:
    """In a child: have one core, and so one worker, where no option says so; the others have tests of their own."""
    cores = sorted(os.sched_getaffinity(0))
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw") or os.getpid()
    os.sched_setaffinity(0, {cores[int(number) % len(cores)]})


def mlflow_run(folder: Path, entry: str, parameters: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`mlflow run . -e ENTRY` in a folder, with one worker unless the parameters say otherwise."""
    furnish(folder)
    return subprocess.run(
        mlflow_command(entry, {**ONE_WORKER.get(entry, {}), **parameters}),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=800,
    )


def mlflow_command(entry: str, parameters: Mapping[str, str]) -> list[str]:
    options = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
    return [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry, "--env-manager", "local", *options]


def script_command(entry: str, *arguments: str) -> list[str]:
    one_worker = [word for name, value in ONE_WORKER.get(entry, {}).items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", f"entrypoints.{entry}", *one_worker, *arguments]


def script(folder: Path, entry: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m entrypoints.ENTRY` from the project's folder, with one worker unless the arguments say otherwise."""
    command = script_command(entry, *arguments)
    env = {**environment(folder), **variables}
    furnish(folder)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=800)


def run_inside(folder: Path, entry: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, the tasks of its workers too."""
    furnish(folder)
    printed, complaints = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(complaints):
        patch.setattr(Workers, "run", _run_tasks_here)
        status = _main(folder, patch, entry, *arguments)
    return subprocess.CompletedProcess(arguments, status, printed.getvalue(), complaints.getvalue())


def _run_tasks_here(
    _: Workers, function: Callable[[Any], Any], items: Iterable[Any], ahead: bool = True
) -> Iterator[Outcome[Any, Any]]:
    for item in items:
        try:
            result, failure = function(item), None
        except Exception as error:
            result, failure = None, Failure(f"{type(error).__name__}: {error}", traceback.format_exc(), error)
        yield Outcome(item, result, failure, ())


def _main(folder: Path, patch: pytest.MonkeyPatch, entry: str, *arguments: str) -> int:
    """Run an entry point's main function here; give its exit status."""
    for name, value in environment(folder).items():
        patch.setenv(name, value)
    patch.chdir(ROOT)
    patch.setattr(sys, "argv", [f"entrypoints.{entry}", *arguments])
    patch.setattr(sys, "unraisablehook", sys.unraisablehook)
    mlflow.set_tracking_uri(uri(folder))
    with pytest.raises(SystemExit) as ended:
        command.run(import_module(f"entrypoints.{entry}").main)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def script_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], entry: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The same for mistakes: nothing is there before them, and all that reaches the terminal is kept."""
    capfd.readouterr()
    status = _main(folder, monkeypatch, entry, *arguments)
    return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())


def start_script(folder: Path, entry: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script in a process group of its own, where Ctrl-C means what it means in a terminal."""
    command = script_command(entry, *arguments)
    furnish(folder)
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read what a started script prints until a line has these words."""
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if words in line:
            return
    raise AssertionError("".join(printed))


def kill_group(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """Send a signal to all of a started script's processes; give what it printed."""
    os.killpg(process.pid, how)
    return process.communicate(timeout=800)[0]


@dataclass(frozen=True)
class Recorded:
    """Active runs by level."""

    sweeps: list[Run]
    comparisons: list[Run]
    cells: list[Run]


def recorded(folder: Path) -> Recorded:
    client = mlflow.MlflowClient(uri(folder))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    levels = {
        level: [run for run in runs if run.data.tags.get("level") == level] for level in ("sweep", "comparison", "cell")
    }
    return Recorded(levels["sweep"], levels["comparison"], levels["cell"])


def cell_numbers(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Every metric of every cell, times aside: cell key -> metric -> (step, value) of each row logged."""
    client = mlflow.MlflowClient(uri(folder))
    return {
        run.data.tags["cell_key"]: {
            name: sorted((row.step, row.value) for row in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
            if name not in TIMES
        }
        for run in recorded(folder).cells
    }


def comparison_numbers(folder: Path) -> dict[str, dict[str, float]]:
    """The metrics of every comparison, times aside, and those of its model, if it has one."""
    return {
        run.data.tags["comparison_key"]: {
            name: value for name, value in run.data.metrics.items() if name not in TIMES and name[:6] != "model_"
        }
        for run in recorded(folder).comparisons
    }
