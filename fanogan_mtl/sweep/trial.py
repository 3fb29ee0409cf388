"""A trial tries one setting of a detector on several cells; it knows validation data alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.sweep.asking import ask_submitter
from fanogan_mtl.sweep.cell import Cell, validation_stages


@dataclass(frozen=True)
class Trial:
    """One setting to try.

    Parameters
    ----------
    number : int
    cells : tuple of Cell
        All of that setting, with the same budgets.
    """

    number: int
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        return f"trial {self.number}"


@dataclass(frozen=True)
class ReachedBudget:
    """What a trial has reached: at an epoch budget, the validation AUROC of each of its cells, in their order."""

    number: int
    budget: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class TrialResult:
    """What a trial leaves.

    Attributes
    ----------
    reports : tuple of ReachedBudget
        One per budget; a detector without epochs has only the last.
    pruned : bool
        Whether it was stopped before the last budget.
    seconds : float
    """

    reports: tuple[ReachedBudget, ...]
    pruned: bool
    seconds: float


def run_trial(trial: Trial, data_dir: Path, device: str, is_hopeless: Callable[[ReachedBudget], bool]) -> TrialResult:
    """Train a trial's cells on one thread, all to one budget before any goes on to the next.

    Parameters
    ----------
    is_hopeless : callable
        Called with what is reached at each budget except the last; says whether to stop there.
    """
    start = time.perf_counter()
    reports: list[ReachedBudget] = []
    pruned = False
    with one_thread():
        stages = [validation_stages(cell, data_dir, device) for cell in trial.cells]
        last = trial.cells[0].comparison.budgets[-1]
        while not pruned and (not reports or reports[-1].budget < last):
            values = []
            for stage in stages:
                budget, value = next(stage)
                values.append(value)
                if budget == last:
                    stage.close()  # lets its networks go: with one budget, cells are never in memory together
            reports.append(ReachedBudget(trial.number, budget, tuple(values)))
            pruned = budget < last and is_hopeless(reports[-1])
    return TrialResult(tuple(reports), pruned, time.perf_counter() - start)


def ask_whether_hopeless(report: ReachedBudget, channel: str) -> bool:
    """From a worker, ask the process that started the trial."""
    return bool(
        ask_submitter(
            channel, f"trial {report.number} at {report.budget}", (report.number, report.budget, report.values)
        )
    )
