"""Ours beside ADBench's published figures: `python -m bench.adbench FOLDER [RESULTS]` prints Markdown.

FOLDER holds tables of ADBench, npz files under its names (`6_cardio.npz`). Every figure is appended to RESULTS (a csv,
`adbench-results.csv` by default) as soon as it is there; the same command goes on where it was stopped, and with
`--minutes 0` it only prints what RESULTS has.

- *unsupervised*: trained on the whole 70 %, anomalies included, scaled by minimum and maximum of the training rows, as
  ADBench does; of a table of over 10,000 rows its 10,000. Its resampling of tables under 1,000 rows is left out, since
  it brings copies of nearly all tested rows into training: those tables are shown apart.
- *semi*: trained on the normal rows of the 70 %, standardised, as `benchmark` does.
- *first half*: trained on the first half of the normal rows in the file's order, standardised, and tested on all other
  rows: that is how the figures published for *semi* come out, on tables of at most 10,000 rows.

Shallow detectors are run with three seeds (*first half* has nothing to draw: one), deep ones with one, for 20 epochs
and standardised as in `benchmark`.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import product
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.sources.archive import read_arrays
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.data.splits import FIRST_SEED, one_vs_rest
from fanogan_mtl.detectors.registry import make_detector, takes
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.metrics import auroc
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.report.adbench import published_auroc, published_detector, table_name

SHALLOW = ("knn", "lof", "iforest", "pyod:PCA", "pyod:HBOS", "ecod", "pyod:COPOD", "pyod:OCSVM")
DEEP = ("fanogan", "vae", "deep_svdd", "dagmm")
SETTINGS = {"unsupervised": "unsupervised", "semi": "semi", "first half": "semi"}  # beside which published one
SEEDS = (0, 1, 2)
EPOCHS = 20
FEWEST, MOST = 1_000, 10_000  # rows: ADBench resamples tables that have fewer, and draws from those that have more


@dataclass(frozen=True)
class Task:
    """One training and its test."""

    table: str
    setting: str
    detector: str
    seed: int


Results = dict[Task, float | None]  # AUROC in [0, 1]; None where the detector or the split refuses


def main() -> None:
    parser = argparse.ArgumentParser(description="ours beside ADBench's published figures, as Markdown")
    parser.add_argument("folder", type=Path, help="tables of ADBench, npz files under its names")
    parser.add_argument("results", type=Path, nargs="?", default=Path("adbench-results.csv"), help="figures so far")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further training after so long")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    try:
        sizes = {path.stem: len(_table_of(path)[1]) for path in sorted(options.folder.glob("*.npz"))}
        if not sizes:
            raise UserError(f"{options.folder} has no npz files; name the folder with ADBench's tables")
        run(options.folder, options.results, sizes, options.minutes)
    except (UserError, OSError) as error:
        sys.exit(str(error))
    print(markdown(read(options.results), sizes))


def run(folder: Path, results: Path, sizes: dict[str, int], minutes: float) -> None:
    """Do what is not done, and append it."""
    done, end = read(results), time.monotonic() + 60 * minutes
    with one_thread(), TemporaryDirectory() as data_dir, results.open("a", newline="") as file:
        for task in tasks(sizes):
            if time.monotonic() >= end:
                return
            if task in done:
                continue
            try:
                value: float | None = measured(folder / f"{task.table}.npz", task, Path(data_dir))
            except (UserError, ValueError) as error:
                value = None
                print(f"{task}: {error}", file=sys.stderr)
            csv.writer(file).writerow([*astuple(task), "" if value is None else value])
            file.flush()


def read(results: Path) -> Results:
    if not results.exists():
        return {}
    with results.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(fields(Task)) + 1]
    return {
        Task(table, setting, detector, int(seed)): float(value) if value else None
        for table, setting, detector, seed, value in rows
    }


def tasks(sizes: dict[str, int]) -> Iterator[Task]:
    """Shallow detectors first, on tables of middle size, then small, then large ones; deep ones in the same order."""

    def order(table: str) -> tuple[int, int]:
        size = sizes[table]
        return (0 if FEWEST <= size <= MOST else 1 if size < FEWEST else 2), size

    for detectors, seeds in ((SHALLOW, SEEDS), (DEEP, SEEDS[:1])):
        for setting, table in product(SETTINGS, sorted(sizes, key=order)):
            if setting != "first half":
                yield from (Task(table, setting, detector, seed) for seed in seeds for detector in detectors)
            elif sizes[table] <= MOST:
                yield from (Task(table, setting, detector, seeds[0]) for detector in detectors)


def measured(path: Path, task: Task, data_dir: Path) -> float:
    """AUROC of the test."""
    train, test, anomaly = parts(path, task, data_dir)
    own = {"random_state": task.seed, "epochs": EPOCHS, "device": "cpu"}
    detector = make_detector(task.detector, **{key: own[key] for key in own if takes(task.detector, key)})
    if task.setting == "unsupervised" and task.detector in SHALLOW:
        scaler = MinMaxScaler().fit(train.astype(np.float64))
        train, test = scaler.transform(train), scaler.transform(test)
    else:
        detector = Hybrid(detector)
    return auroc(anomaly, detector.fit(train).decision_function(test))


def parts(path: Path, task: Task, data_dir: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Training rows (n, d), tested rows (m, d), and which of these are anomalies (m,)."""
    contaminated = task.setting == "unsupervised"
    drawn = drawn_table(path, task.seed, data_dir)
    (spec,) = parse_datasets(f"adbench:{quote(str(drawn))}{'?contaminated' if contaminated else ''}")
    dataset = load_dataset(spec, data_dir)
    if task.setting == "first half":
        normal = np.flatnonzero(dataset.train.labels == 0)
        tested = np.setdiff1d(np.arange(len(dataset.train.labels)), trained := normal[: len(normal) // 2])
        return dataset.train.pixels[trained], dataset.train.pixels[tested], dataset.train.labels[tested] == 1
    split = one_vs_rest(dataset, "normal", task.seed)
    kept = np.ones(len(split.validation.rows), bool) if contaminated else ~split.validation.anomaly
    train = np.concatenate([split.train.pixels, split.validation.pixels[kept]])  # nothing is chosen here
    return train, split.test.pixels, split.test.anomaly


def drawn_table(path: Path, seed: int, folder: Path) -> Path:
    """The table itself, or a file of the 10,000 rows that ADBench draws from a larger one."""
    features, labels = _table_of(path)
    if len(labels) <= MOST:
        return path
    drawn = folder / f"{path.stem}-{seed}.npz"
    if not drawn.exists():
        rows = np.random.RandomState(seed + FIRST_SEED).choice(len(labels), MOST, replace=False)
        np.savez(drawn, X=features[rows], y=labels[rows])
    return drawn


def markdown(results: Results, sizes: dict[str, int]) -> str:
    """The tables, AUROC in percent, ours before the published one; of *first half* the summary alone."""
    means = _means(results)
    middle = [table for table in sizes if sizes[table] > FEWEST]
    small = [table for table in sizes if sizes[table] <= FEWEST]
    blocks = [_summary(means, middle)]
    for setting in ("unsupervised", "semi"):
        for tables, which in ((middle, "over"), (small, "of at most")):
            title = f"{setting}, tables {which} {FEWEST:,} rows"
            blocks += [_table(means, tables, setting, detectors, title) for detectors in (SHALLOW, DEEP)]
    missing = sum(task not in results for task in tasks(sizes))
    refused = sorted({(task.table, task.setting, task.detector) for task, value in results.items() if value is None})
    blocks += [f"Not run yet: {missing} of {sum(1 for _ in tasks(sizes))} trainings."] if missing else []
    blocks += [f"Refused: {', '.join(' '.join(each) for each in refused)}."] if refused else []
    return "\n\n".join(block for block in blocks if block)


def _means(results: Results) -> dict[tuple[str, str, str], float]:
    """Mean over seeds, in percent, by table, setting and detector."""
    values = defaultdict(list)
    for task, value in results.items():
        if value is not None:
            values[task.table, task.setting, task.detector].append(100 * value)
    return {key: fmean(each) for key, each in values.items()}


def _published(table: str, setting: str, detector: str) -> float | None:
    share = published_auroc(table_name(table), SETTINGS[setting], published_detector(detector))
    return None if share is None else 100 * share


def _summary(means: dict[tuple[str, str, str], float], tables: list[str]) -> str:
    head = [f"median of the differences' sizes, tables over {FEWEST:,} rows", *SETTINGS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for detector in (*SHALLOW, *DEEP):
        entries = []
        for setting in SETTINGS:
            pairs = [(means.get((t, setting, detector)), _published(t, setting, detector)) for t in tables]
            apart = [abs(ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
            entries.append(f"{median(apart):.1f} ({len(apart)} tables)" if apart else "–")
        lines.append(f"| {detector} | {' | '.join(entries)} |")
    return "\n".join(lines)


def _table(
    means: dict[tuple[str, str, str], float], tables: list[str], setting: str, detectors: tuple[str, ...], title: str
) -> str:
    rows = []
    for table in sorted(tables, key=table_name):
        pairs = [(means.get((table, setting, each)), _published(table, setting, each)) for each in detectors]
        if any(ours is not None for ours, _ in pairs):
            rows.append(f"| {table_name(table)} | {' | '.join(_entry(*pair) for pair in pairs)} |")
    if not rows:
        return ""
    return "\n".join([f"| {title} | {' | '.join(detectors)} |", "|---" * (len(detectors) + 1) + "|", *rows])


def _entry(ours: float | None, theirs: float | None) -> str:
    """`90.1 / 88.7`, in bold where they are more than 3 points apart."""
    if ours is None:
        return "–"
    if theirs is None:
        return f"{ours:.1f}"
    text = f"{ours:.1f} / {theirs:.1f}"
    return f"**{text}**" if abs(ours - theirs) > 3 else text


def _table_of(path: Path) -> list[NDArray[Any]]:
    return read_arrays(path, ("X", "y"), "adbench")


if __name__ == "__main__":
    main()
