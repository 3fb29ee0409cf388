"""What a search is going to do: its plan, its space, its objective and its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.hybrid import make_hybrid_plan
from fanogan_mtl.plan.options import BenchmarkOptions, HybridOptions, TuneOptions
from fanogan_mtl.plan.plan import Plan, PlannedComparison, make_plan, read_detectors
from fanogan_mtl.plan.words import DetectorChoice
from fanogan_mtl.sweep.cell import Cell, result_version
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.pretraining import Pretraining
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tuning.runs import study_finder
from fanogan_mtl.tuning.space import OF_EXTRACTOR, SearchSpace, parse_search_space
from fanogan_mtl.tuning.study import (
    NAME,
)

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Tuning:
    """What a search is going to do.

    Attributes
    ----------
    plan : Plan
        The comparisons of the default setting: the detector's own, with what the options fix over it.
    pretrainings : dict
        Extractors that are needed, by key.
    detector : DetectorChoice
    space : SearchSpace
    trials : int
    timeout : float or None
    storage, name : str
    """

    plan: Plan
    pretrainings: dict[str, Pretraining]
    detector: DetectorChoice
    space: SearchSpace
    trials: int
    timeout: float | None
    storage: str
    name: str

    @property
    def default(self) -> dict[str, Any]:
        """Every parameter of the default setting."""
        return dict(json.loads(self.plan.comparisons[0].comparison.parameters))

    @property
    def seed(self) -> int:
        """The sampler's."""
        return self.plan.cells[0].seed

    def chosen(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What the options fix, and what a trial chose."""
        return {**self.detector.parameters, **parameters}

    def comparisons(self, parameters: Mapping[str, Any], setting: str) -> tuple[PlannedComparison, ...]:
        """The comparisons of another setting."""
        planned = []
        for each in self.plan.comparisons:
            known = {name: value for name, value in each.comparison.chosen.items() if name in OF_EXTRACTOR}
            text = comparison_parameters(self.detector.name, {**known, **self.chosen(parameters)})
            comparison = replace(each.comparison, parameters=text)
            cells = tuple(replace(cell, comparison=comparison) for cell in each.cells)
            planned.append(replace(each, comparison=comparison, cells=cells, setting=setting))
        return tuple(planned)

    def cells(self, parameters: Mapping[str, Any]) -> tuple[Cell, ...]:
        """The cells of another setting."""
        return tuple(cell for each in self.comparisons(parameters, "") for cell in each.cells)


def make_tuning(options: TuneOptions, tracking: Tracking | None) -> Tuning:
    """Check every option, prepare the data, and plan what each trial does.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    for option, text in (("detectors", options.detectors), ("extractors", options.extractors)):
        if "," in text:
            raise UserError(f"{option} {text!r}: a study tunes one; start one study for each")
    find_study = study_finder(tracking)
    (detector,) = read_detectors(options, find_study)
    trials, timeout = read.parse_count("trials", options.trials, 1), read.parse_seconds("timeout", options.timeout)
    space = parse_search_space(options.search_space, detector)
    if options.study_name != "auto" and not NAME.fullmatch(options.study_name):
        raise UserError(f"study_name {options.study_name!r}: letters, digits and . _ - please, at most 100 of them")
    if options.extractors == "none":
        plan, pretrainings = make_plan(options, find_study), {}
    else:
        own = {field.name: getattr(options, field.name) for field in fields(BenchmarkOptions)}
        hybrid_plan = make_hybrid_plan(HybridOptions(**own, extractors=options.extractors), find_study)
        plan, pretrainings = hybrid_plan.plan, hybrid_plan.pretrainings
    tuning = Tuning(plan, pretrainings, detector, space, trials, timeout, options.storage, options.study_name)
    return tuning if options.study_name != "auto" else replace(tuning, name=_name_of(tuning))


def objective_of(tuning: Tuning) -> dict[str, Any]:
    """Every option that a trial's value depends on; within a search it never changes."""
    comparisons = [each.comparison for each in tuning.plan.comparisons]
    first, cells = comparisons[0], tuning.plan.cells
    return {
        "detectors": first.detector,
        "detector_params": first.parameters,
        "dataset": [each.data_digest for each in comparisons],
        "classes": [list(dict.fromkeys(cell.normal_class for cell in each.cells)) for each in tuning.plan.comparisons],
        "seeds": sorted({cell.seed for cell in cells}),
        "epochs": list(first.budgets),
        "limit": first.limit,
        "extractors": [first.extractor, first.learned],
        "search_space": {name: asdict(values) for name, values in tuning.space.items()},
        "version": result_version(first.detector),
    }


def _name_of(tuning: Tuning) -> str:
    """A name that says what is tuned on what, and differs for another objective."""
    digest = digest_of(objective_of(tuning))[:8]
    words = [tuning.plan.comparisons[0].label, *(each.dataset.name for each in tuning.plan.comparisons)]
    return f"{re.sub(r'[^A-Za-z0-9._]+', '-', '-'.join(words)).strip('-._')[:80]}-{digest}"
