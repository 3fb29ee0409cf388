"""Runs a search's trials: begins the next, stops the hopeless, tells Optuna how each ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fanogan_mtl.evaluation.statistics import Summary, summarise
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.trial import Trial, TrialResult
from fanogan_mtl.sweep.workers import Outcome
from fanogan_mtl.tuning.space import SearchSpace
from fanogan_mtl.tuning.study import ask_trial, finished

if TYPE_CHECKING:
    import optuna

FAILURES = 5  # failed trials in a row that end a study


class Trials:
    """The trials that this process runs.

    Parameters
    ----------
    study : optuna.Study
    setting : mapping
        The default setting.
    space : SearchSpace
    cells_of : callable
        Gives a setting's cells.
    total : int
        Trials that the search shall have in the end, complete or pruned.
    seed : int
        See `ask_trial`.
    timeout : float or None
        Seconds after which no trial is begun.

    Attributes
    ----------
    in_vain : int
        Failed trials in a row.
    last_failure : str
    """

    def __init__(
        self,
        study: optuna.Study,
        setting: Mapping[str, Any],
        space: SearchSpace,
        cells_of: Callable[[Mapping[str, Any]], Sequence[Cell]],
        total: int,
        seed: int,
        timeout: float | None = None,
    ) -> None:
        self._study, self._setting, self._space, self._cells_of = study, setting, space, cells_of
        self._total, self._seed = total, seed
        self._end = time.monotonic() + (math.inf if timeout is None else timeout)
        self._running: dict[int, tuple[optuna.Trial, tuple[Cell, ...]]] = {}
        self._decided: dict[tuple[int, int], bool] = {}
        self.in_vain = 0
        self.last_failure = ""

    @property
    def missing(self) -> int:
        """How many trials are still to be begun."""
        if self.in_vain >= FAILURES or time.monotonic() > self._end:
            return 0
        return max(0, self._total - len(finished(self._study)) - len(self._running))

    def begin(self) -> Iterator[Trial]:
        """Begin one trial after the other; each knows what has ended before it."""
        while self.missing:
            begun = ask_trial(self._study, self._setting, self._space, self._seed)
            cells = tuple(self._cells_of(begun.user_attrs["parameters"]))
            self._running[begun.number] = begun, cells
            yield Trial(begun.number, cells)

    def is_hopeless(self, report: tuple[int, int, Sequence[float]]) -> bool:
        """Tell whether a trial that has reached a budget should stop there; asked again, it says the same."""
        number, budget, values = report
        begun, cells = self._running[number]
        if (number, budget) not in self._decided:
            begun.report(averaged(cells, values).mean, budget)
            is_default = begun.user_attrs.get("is_default", False)  # the others are compared with it
            self._decided[number, budget] = not is_default and begun.should_prune()
        return self._decided[number, budget]

    def end(self, outcome: Outcome[Trial, TrialResult]) -> optuna.trial.FrozenTrial:
        """Tell Optuna how a trial ended: all that is known of it first, then the state."""
        from optuna.trial import TrialState

        number, result = outcome.item.number, outcome.result
        begun, cells = self._running[number]
        if result is None:
            assert outcome.failure is not None
            self.in_vain, self.last_failure = self.in_vain + 1, outcome.failure.message
            begun.set_user_attr("failure", outcome.failure.message[:1000])
            told = self._study.tell(begun, state=TrialState.FAIL)
        else:
            self.in_vain = 0
            summaries = {report.budget: averaged(cells, report.values) for report in result.reports}
            for budget, summary in summaries.items():
                if (number, budget) not in self._decided:
                    begun.report(summary.mean, budget)
            begun.set_user_attr("by_class", {str(budget): each.by_class for budget, each in summaries.items()})
            begun.set_user_attr("seconds", result.seconds)
            if result.pruned:
                told = self._study.tell(begun, state=TrialState.PRUNED)
            else:
                told = self._study.tell(begun, max(summary.mean for summary in summaries.values()))
        del self._running[number]
        return told


def averaged(cells: Sequence[Cell], values: Sequence[float]) -> Summary:
    """Summarise the values of cells as a comparison's are; classes of different data sets are different ones."""
    several = len({cell.comparison.dataset for cell in cells}) > 1

    def name(cell: Cell) -> str:
        return f"{cell.comparison.dataset.name}/{cell.normal_class}" if several else cell.normal_class

    return summarise({(name(cell), cell.seed): value for cell, value in zip(cells, values, strict=True)})
