"""What is crashed: small runs of the entry points, each in a folder of its own that a template furnishes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from verdict import Query

ROOT = Path(__file__).parents[2]
DIGITS = ("--dataset", "optdigits", "--limit", "40", "--workers", "1")
SWEEP = ("--detectors", "pca,knn", "--classes", "0,8")


@dataclass(frozen=True)
class Scenario:
    """A command, and those that have run before it.

    Attributes
    ----------
    entry : str
    options : tuple of str
        `{sweep}` stands for the id of the run that the last command before it made.
    before : tuple
        Entry and options of each command that the template ran.
    furnished : bool
        Whether MLflow's database and the data folder are there before the first command.
    """

    entry: str
    options: tuple[str, ...]
    before: tuple[tuple[str, tuple[str, ...]], ...] = ()
    furnished: bool = True


BENCHMARK = ("benchmark", (*DIGITS, *SWEEP))
PREPROCESS = ("preprocess", ("--dataset", "optdigits"))
REGISTER = ("register", ("--run", "{sweep}", "--name", "crashed", "--workers", "1"))
SCENARIOS = {
    "benchmark": Scenario(*BENCHMARK, before=(PREPROCESS,)),
    "first start": Scenario(*BENCHMARK, furnished=False),
    "hybrid": Scenario(
        "hybrid",
        (*DIGITS, "--detectors", "pca,knn", "--classes", "0,8", "--extractors", "lenet5", "--extractor_epochs", "2"),
        before=(PREPROCESS,),
    ),
    "tune": Scenario(
        "tune",
        (*DIGITS, "--detectors", "pca", "--classes", "0,8", "--trials", "3", "--search_space",
         '{"n_components": [2, 5, 10]}'),
        before=(PREPROCESS,),
    ),
    "register": Scenario(*REGISTER, before=(PREPROCESS, BENCHMARK)),
    "score": Scenario(
        "score",
        ("--model", "models:/crashed@champion", "--input", "pictures", "--output", "scores.csv"),
        before=(PREPROCESS, BENCHMARK, REGISTER),
    ),
}  # fmt: skip


def command(scenario: Scenario, folder: Path) -> list[str]:
    """Module and arguments of the scenario's command in a folder."""
    return _command(scenario.entry, scenario.options, folder)


def _command(entry: str, options: tuple[str, ...], folder: Path) -> list[str]:
    sweep = (folder / "sweep").read_text() if (folder / "sweep").exists() else ""
    return [f"entrypoints.{entry}", *(sweep if word == "{sweep}" else word for word in options)]


def make_template(scenario: Scenario, folder: Path, run: Callable[[list[str]], None], query: Query) -> None:
    """Run what comes before a scenario's command, in a folder."""
    (folder / "tmp").mkdir()
    (folder / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / "pictures" / f"{number}.png")
    for entry, options in scenario.before if scenario.furnished else ():
        run(_command(entry, options, folder))
        sweeps = query("SELECT run_uuid FROM tags WHERE key = 'level' AND value = 'sweep'")
        (folder / "sweep").write_text("".join(own for (own,) in sweeps))


def copy_template(template: Path, folder: Path) -> None:
    """Make a folder like the template's; MLflow's absolute addresses become the folder's own."""
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".running", ".lock"))
    if not (folder / "mlflow.db").exists():
        return
    places = {
        "experiments": ["artifact_location"],
        "runs": ["artifact_uri"],
        "logged_models": ["artifact_location"],
        "model_versions": ["source", "storage_location"],
    }
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, columns in places.items():
            for column in columns:
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [str(template), str(folder)])


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask a folder's MLflow database."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query).fetchall()
