"""Run the project as a person does, and read what MLflow has afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from entrypoints import command

ROOT = Path(__file__).parents[1]
TIMES = ("fit_seconds", "score_seconds")


def environment(folder: Path) -> dict[str, str]:
    """The environment of a person in their own folder: this Python first, a database and a cache of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    own = {"MLFLOW_TRACKING_URI": uri(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PATH": path}
    return {**kept, **own, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "GIT_PYTHON_REFRESH": "quiet"}


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def mlflow_run(folder: Path, entry: str, parameters: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`mlflow run . -e ENTRY` in a folder."""
    return subprocess.run(
        mlflow_command(entry, parameters),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=280,
    )


def mlflow_command(entry: str, parameters: Mapping[str, str]) -> list[str]:
    options = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
    return [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry, "--env-manager", "local", *options]


def script(folder: Path, entry: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m entrypoints.ENTRY` from the project's folder."""
    command = [sys.executable, "-m", f"entrypoints.{entry}", *arguments]
    env = {**environment(folder), **variables}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)


def script_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], entry: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The same within this process, for mistakes: a process of its own takes seconds until it notices one."""
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [f"entrypoints.{entry}", *arguments])
    mlflow.set_tracking_uri(uri(folder))
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        command.run(import_module(f"entrypoints.{entry}").main)
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(sys.argv, ended.value.code, *capfd.readouterr())


def start_script(folder: Path, entry: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script in a process group of its own, where Ctrl-C means what it means in a terminal."""
    command = [sys.executable, "-m", f"entrypoints.{entry}", *arguments]
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
    return process.communicate(timeout=60)[0]


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
