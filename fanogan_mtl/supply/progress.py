"""Progress of a sweep on one line: done of total, what runs, time left."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from tqdm import tqdm

from fanogan_mtl.detectors.registry import takes
from fanogan_mtl.plan.plan import Plan
from fanogan_mtl.sweep.cell import Cell, run_cell
from fanogan_mtl.sweep.result import CellResult

PROBE_FRACTION = 50  # a dry run trains each comparison's first cell to one part in fifty of its budgets


class CellProgress:
    """The line that tells how far a sweep is (every ten seconds where it isn't shown on a terminal).

    Parameters
    ----------
    pending : sequence of Cell
        What is going to be trained.
    total : int
        Cells of the sweep, those done before included.
    workers : int
    """

    def __init__(self, pending: Sequence[Cell], total: int, workers: int) -> None:
        self._pending = Counter(map(_kind, pending))
        self._workers = workers
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        layout = "{n_fmt}/{total_fmt} cells |{bar:20}| {elapsed}{postfix}"
        interval = 0.1 if sys.stderr.isatty() else 10
        self._bar = tqdm(
            total=total, initial=total - len(pending), bar_format=layout, mininterval=interval, unit="cell"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, cell: Cell, result: CellResult | None, running: Sequence[Cell], news: str = "") -> None:
        """Count a cell that has ended, and say what runs now, and any news."""
        self._pending[_kind(cell)] -= 1
        if result:
            metrics = result.metrics[max(result.metrics)]
            for kind in _kin(_kind(cell)):
                self._ended[kind] += 1
                self._seconds[kind] += metrics["fit_seconds"] + metrics["score_seconds"]
        now = f"now {', '.join(map(str, running))}" if running else "finishing"
        self._bar.set_postfix_str(
            f"about {duration(self.seconds_left())} left, {now}{news and '; '}{news}", refresh=False
        )
        self._bar.update()

    def seconds_left(self) -> float:
        """Estimate from the cells that ended: those of the same comparison if there are, else of the same detector."""
        return sum(count * self._expected(kind) for kind, count in self._pending.items()) / self._workers

    def _expected(self, kind: tuple[str, str]) -> float:
        known = next((kin for kin in _kin(kind) if self._ended[kin]), None)
        return 0.0 if known is None else self._seconds[known] / self._ended[known]


class TaskProgress:
    """The line that tells how far tasks are, with what `watch` says of those that run, every second.

    Parameters
    ----------
    what : str
    total : int
    watch : callable, optional
        Gives a text.
    done : int
        How many of the total were done before.
    """

    def __init__(self, what: str, total: int, watch: Callable[[], str] | None = None, done: int = 0) -> None:
        layout = "{n_fmt}/{total_fmt} " + what + " |{bar:20}| {elapsed}{postfix}"
        self._bar = tqdm(total=total, initial=done, bar_format=layout, disable=not total, leave=True, mininterval=0)
        self._watch, self._end = watch, threading.Event()
        self._now = ""
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._bar.close()

    def update(self, running: Sequence[object]) -> None:
        """Count a task that has ended, and say what runs now."""
        self._now = ", ".join(map(str, running))
        self._bar.set_postfix_str(self._watch() if self._watch else self._now, refresh=False)
        self._bar.update()

    def _follow(self) -> None:
        shown = None
        while not self._end.wait(1):
            text = self._watch() if self._watch else self._now
            if text != shown:
                shown = text
                self._bar.set_postfix_str(text)


def estimate_seconds(plan: Plan, cells: Sequence[Cell]) -> float:
    """Estimate how long cells take with the plan's workers, by training the first of each comparison a little."""
    seconds = {}
    first = {cell.comparison.key: cell for cell in reversed(cells)}
    for key, cell in tqdm(list(first.items())[::-1], desc="timing", unit="comparison", leave=False):
        seconds[key] = _probe(cell, plan.execution.data_dir, plan.execution.device)
    return sum(seconds[cell.comparison.key] for cell in cells) / plan.execution.n_workers


def duration(seconds: float) -> str:
    """Write a duration for people, as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _kind(cell: Cell) -> tuple[str, str]:
    return cell.comparison.dataset.name, cell.comparison.detector


def _kin(kind: tuple[str, str]) -> list[tuple[str, ...]]:
    """Groups whose timings predict this cell's, best first: (data set, detector), (detector,), all cells."""
    return [kind, kind[1:], ()]


def _probe(cell: Cell, data_dir: Path, device: str) -> float:
    budgets = tuple(sorted({math.ceil(budget / PROBE_FRACTION) for budget in cell.comparison.budgets}))
    short = replace(cell, comparison=replace(cell.comparison, budgets=budgets))
    start = time.perf_counter()
    metrics = run_cell(short, data_dir, device).metrics[budgets[-1]]
    elapsed = time.perf_counter() - start
    scale = cell.comparison.budgets[-1] / budgets[-1] if takes(cell.comparison.detector, "epochs") else 1.0
    return elapsed + (scale - 1) * metrics["fit_seconds"]
