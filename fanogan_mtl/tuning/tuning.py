"""What a search is going to do: its plan, its space, its objective and its name."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.extractors import PARAMS_EXAMPLE
from fanogan_mtl.plan.hybrid import HybridPlan, make_hybrid_plan
from fanogan_mtl.plan.options import ExtractorOptions, HybridOptions, TuneOptions
from fanogan_mtl.plan.plan import Plan, PlannedComparison, make_plan, read_detectors
from fanogan_mtl.plan.words import STUDY, DetectorChoice, FindStudy
from fanogan_mtl.sweep.cell import Cell, result_version
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.pretraining import Pretraining
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tuning.runs import study_finder
from fanogan_mtl.tuning.space import (
    NESTED,
    OF_EXTRACTOR,
    SearchSpace,
    extractor_settings,
    of_detector,
    of_extractor,
    parse_search_space,
)
from fanogan_mtl.tuning.study import NAME


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
    on_extractors : dict
        The default setting's comparisons on other settings of the extractor, by `digest_of` those; empty where the
        space has none.
    """

    plan: Plan
    pretrainings: dict[str, Pretraining]
    detector: DetectorChoice
    space: SearchSpace
    trials: int
    timeout: float | None
    storage: str
    name: str
    on_extractors: Mapping[str, tuple[PlannedComparison, ...]] = field(default_factory=dict)

    @property
    def default(self) -> dict[str, Any]:
        """Every parameter of the default setting."""
        first = self.plan.comparisons[0]
        below = {f"{NESTED}{name}": value for name, value in json.loads(first.extractor_parameters).items()}
        return {**json.loads(first.comparison.parameters), **below}

    @property
    def needed_cells(self) -> tuple[Cell, ...]:
        """Cells that read every feature which a trial may read."""
        others = (cell for planned in self.on_extractors.values() for each in planned for cell in each.cells)
        return (*self.plan.cells, *others)

    @property
    def seed(self) -> int:
        """The sampler's."""
        return self.plan.cells[0].seed

    def chosen(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What the options fix, and what a trial chose."""
        return {**self.detector.parameters, **of_detector(parameters)}

    def comparisons(self, parameters: Mapping[str, Any], setting: str) -> tuple[PlannedComparison, ...]:
        """The comparisons of another setting."""
        planned = []
        for each in self.on_extractors.get(digest_of(of_extractor(parameters)), self.plan.comparisons):
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
    given = _given_of_extractor(options)
    space = parse_search_space(options.search_space, detector, given)
    if options.study_name != "auto" and not NAME.fullmatch(options.study_name):
        raise UserError(f"study_name {options.study_name!r}: letters, digits and . _ - please, at most 100 of them")
    pretrainings: dict[str, Pretraining] = {}
    on_extractors: dict[str, tuple[PlannedComparison, ...]] = {}
    if given is None:
        plan = make_plan(options, find_study)
    else:
        hybrid_plan = _on_extractor(options, {}, find_study)
        plan, pretrainings = hybrid_plan.plan, hybrid_plan.pretrainings
        for chosen in extractor_settings(space):
            other = _on_extractor(options, chosen, find_study)
            pretrainings = pretrainings | other.pretrainings
            on_extractors[digest_of(chosen)] = other.plan.comparisons
    tuning = Tuning(
        plan, pretrainings, detector, space, trials, timeout, options.storage, options.study_name, on_extractors
    )
    return tuning if options.study_name != "auto" else replace(tuning, name=_name_of(tuning))


def _given_of_extractor(options: TuneOptions) -> dict[str, Any] | None:
    """The extractor's parameters that the options fix; None without an extractor."""
    if options.extractors != "none":
        given = _read_params(options).get(options.extractors, {})
        return given if isinstance(given, dict) else {}  # anything else is refused where the plan is made
    for each in fields(ExtractorOptions):
        if each.name != "extractors" and getattr(options, each.name) != each.default:
            raise UserError(f"{each.name}: without an extractor there is nothing to set; name one as extractors")
    return None


def _read_params(options: TuneOptions) -> dict[str, Any]:
    return dict(read.parse_object("extractor_params", options.extractor_params, PARAMS_EXAMPLE))


def _on_extractor(options: TuneOptions, chosen: Mapping[str, Any], find_study: FindStudy | None) -> HybridPlan:
    """The plan of the default setting, with other parameters of the extractor."""
    own = {each.name: getattr(options, each.name) for each in fields(HybridOptions) if hasattr(options, each.name)}
    return make_hybrid_plan(
        HybridOptions(**{**own, "extractor_params": _extractor_params(options, chosen)}), find_study
    )


def _extractor_params(options: TuneOptions, chosen: Mapping[str, Any]) -> str:
    """The option `extractor_params` with what is chosen beside what it says."""
    if not chosen:
        return options.extractor_params
    given = _read_params(options)
    return json.dumps({**given, options.extractors: {**given.get(options.extractors, {}), **chosen}})


def how_to_use(options: TuneOptions, study_name: str, parameters: Mapping[str, Any]) -> str:
    """The parameters by which `benchmark` or `hybrid` takes a setting that a search with these options found."""
    given = {"detector_params": f"{STUDY}{study_name}"}
    given |= {each.name: getattr(options, each.name) for each in fields(ExtractorOptions)}
    given["extractor_params"] = _extractor_params(options, of_extractor(parameters))
    changed = {name: value for name, value in given.items() if value not in ("none", "default")}
    return " ".join(f"-P {shlex.quote(f'{name}={value}')}" for name, value in changed.items())


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
