"""Tuning: a study tries settings of one detector on validation data; at its end the best meets the test, once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from fanogan_mtl.errors import UserError, without_password
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.plan import BenchmarkOptions, Plan, PlannedComparison, make_plan, read_detectors
from fanogan_mtl.plan.words import STUDY, DetectorChoice
from fanogan_mtl.recording.printed import print_failures, print_marks, print_where_to_look
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.supply.exchange import Exchange, opened_exchange, trial_task
from fanogan_mtl.supply.progress import TaskProgress
from fanogan_mtl.sweep.cell import RESULT_VERSION, Cell
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.pretraining import Pretraining
from fanogan_mtl.sweep.trial import ask_whether_hopeless
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tuning.page import write_tuning_page
from fanogan_mtl.tuning.runs import record_best, record_trial, study_finder, study_tags, take_over
from fanogan_mtl.tuning.space import SearchSpace, parse_search_space
from fanogan_mtl.tuning.study import (
    NAME,
    best_budget,
    best_trial,
    default_trial,
    enqueue_default,
    finished,
    opened_study,
    value_of,
    why_failed,
)
from fanogan_mtl.tuning.trials import FAILURES, Trials
from fanogan_mtl.workflows import DEFAULT_TUNED
from fanogan_mtl.workflows.benchmark import train_and_log
from fanogan_mtl.workflows.hybrid import HybridOptions, make_hybrid_plan, prepare_features

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class TuneOptions(BenchmarkOptions):
    """What a person may choose, as text; `python -m entrypoints.tune --help` says what each means."""

    detectors: str = DEFAULT_TUNED
    extractors: str = "none"
    trials: str = "20"
    timeout: str = "none"
    storage: str = "auto"
    study_name: str = "auto"
    search_space: str = "default"


@dataclass(frozen=True)
class Tuning:
    """What a study is going to do.

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
        text = comparison_parameters(self.detector.name, self.chosen(parameters))
        planned = []
        for each in self.plan.comparisons:
            comparison = replace(each.comparison, parameters=text)
            cells = tuple(replace(cell, comparison=comparison) for cell in each.cells)
            planned.append(replace(each, comparison=comparison, cells=cells, setting=setting))
        return tuple(planned)

    def cells(self, parameters: Mapping[str, Any]) -> tuple[Cell, ...]:
        """The cells of another setting."""
        return tuple(cell for each in self.comparisons(parameters, "") for cell in each.cells)


def tune(options: TuneOptions) -> int:
    """Tune a detector, and print the table of the default and the best setting.

    Returns
    -------
    int
        Exit status: 1 if trials only failed, or a cell at the end did, else 0.

    Raises
    ------
    UserError
        For a mistake in the options or the data, before anything is trained.
    """
    looked_up = options.extractors != "none" or STUDY in options.detector_params
    tracking = connect() if looked_up else None  # else a mistake is told before a database is made
    tuning = make_tuning(options, tracking)
    execution = tuning.plan.execution
    if execution.dry_run:
        return print_tuning(tuning)
    folder = execution.data_dir / "studies"
    with opened_study(tuning.name, tuning.storage, folder, objective_of(tuning), tuning.seed) as study:
        enqueue_default(study, tuning.default, tuning.space)
        return run_study(tuning, study, tracking or connect(), options)


def make_tuning(options: TuneOptions, tracking: Tracking | None) -> Tuning:
    """Check every option, prepare the data, and lay out what each trial does.

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
    """All that a trial's value depends on, by option: of a study it never changes."""
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
        "version": RESULT_VERSION,
    }


def print_tuning(tuning: Tuning) -> int:
    """Print what a study with these options would do; give exit status 0."""
    click.echo(f"study {tuning.name}: {tuning.trials} trials of {tuning.plan.comparisons[0].label}")
    click.echo(f"each trains {len(tuning.plan.cells)} cells; the first is the default setting")
    for name, values in tuning.space.items():
        click.echo(f"{name}: {json.dumps(asdict(values))}")
    return 0


def run_study(tuning: Tuning, study: Study, tracking: Tracking, options: TuneOptions) -> int:
    """Run the trials that are missing, record them, and score the best setting; give the exit status."""
    execution = tuning.plan.execution
    typed = {name: str(value) for name, value in asdict(options).items()} | {"study_name": study.study_name}
    typed["storage"] = without_password(typed["storage"])
    record = Record(typed, tags={**environment_tags(execution.device), **study_tags(study)})
    run_id = records.start_run(tracking, "sweep", f"tune {options.dataset}", record)
    sweep: Sweep | None = None
    try:
        take_over(tracking, run_id, study)
        click.echo(f"study {study.study_name}: {tuning.trials} trials, {len(finished(study))} of them done before")
        with execution.open_workers() as workers, ExitStack() as stack:
            cells = tuning.plan.cells
            if tuning.pretrainings:
                prepare_features(tracking, run_id, tuning.pretrainings, cells, execution, workers)
            exchange = stack.enter_context(opened_exchange(tracking, run_id, cells, execution, workers))
            trials = run_trials(tuning, study, tracking, run_id, workers, exchange)
            best = best_trial(study)
            if best is None or trials.in_vain >= FAILURES:
                records.finish(tracking, run_id, "FAILED")
                failed = f"{trials.in_vain} trials in a row failed, the last: {trials.last_failure}"
                late = "the timeout was over before a trial was complete: start again with more time"
                click.echo(f"Error: {failed if trials.in_vain else late}", err=True)
                return 1
            plan = replace(tuning.plan, comparisons=_judged(tuning, study, best))
            sweep = Sweep(tracking, plan, typed, "tune", run_id)
            results = train_and_log(sweep, workers, exchange)
            while sweep.take_up_lost():
                results = train_and_log(sweep, workers, exchange)
        rows, sentence = compared(tuning, study, best, results)
        reached = _reached(tuning, study, best, results)
        record_best(tracking, run_id, tuning.detector.name, tuning.chosen(best.user_attrs["parameters"]), reached)
        with TemporaryDirectory() as temporary:
            files = write_tuning_page(study, rows, sentence, Path(temporary))
            records.write(tracking, run_id, Record(files=files))
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        sweep.close(status) if sweep else records.finish(tracking, run_id, status)
        raise
    sweep.close("FAILED" if sweep.failed else "FINISHED")
    _print_table(rows)
    print_marks([(each.planned.dataset.name, each.planned.setting, each.marks) for each in results.values()])
    click.echo(f"\n{sentence}\nUse it: -P detector_params={STUDY}{study.study_name}")
    print_failures(sweep)
    print_where_to_look(tracking, run_id)
    return 1 if sweep.failed else 0


def run_trials(
    tuning: Tuning, study: Study, tracking: Tracking, run_id: str, workers: Workers, exchange: Exchange | None = None
) -> Trials:
    """Run the trials that are missing; each is recorded as it ends."""
    execution = tuning.plan.execution
    trials = Trials(study, tuning.default, tuning.space, tuning.cells, tuning.trials, tuning.timeout)
    if not trials.missing:
        return trials
    done = len(finished(study))
    with (
        workers.answering(trials.is_hopeless) as channel,
        TaskProgress("trials", tuning.trials, partial(_best_so_far, study), done) as progress,
    ):
        run = trial_task(exchange, execution, partial(ask_whether_hopeless, channel=channel))
        while trials.missing:
            for outcome in workers.run(run, trials.begin(), ahead=False):
                trial = trials.end(outcome)
                record_trial(tracking, run_id, study, trial)
                if failure := why_failed(trial):
                    tqdm.write(f"trial {trial.number} failed: {failure[:200]}")
                else:
                    progress.update(())
    return trials


def compared(
    tuning: Tuning, study: Study, best: FrozenTrial, results: Mapping[str, ComparisonResult]
) -> tuple[list[list[str]], str]:
    """The table of the default and the best setting, its head first, and one sentence on it."""
    datasets = [each.dataset.name for each in tuning.plan.comparisons]
    head = ["setting", *tuning.space, "validation AUROC"]
    head += ["test AUROC"] if len(datasets) == 1 else [f"test {name}" for name in datasets]
    rows = [head]
    base = default_trial(study)
    for name, trial in (("default", base), (f"trial {best.number}", best)):
        if trial is None:
            continue
        parameters = trial.user_attrs["parameters"]
        row = [name, *(_short(parameters.get(each)) for each in tuning.space), percent(value_of(trial))]
        rows.append([*row, *_tested(tuning, trial, results)])
    if base is None:
        return rows, "The default setting failed, so nothing can be said of an improvement over it."
    if value_of(best) <= value_of(base):
        return rows, "No setting is better than the default on validation data: it was not improved."
    values = f"from {percent(value_of(base))} to {percent(value_of(best))}"
    return rows, f"Trial {best.number} improved validation AUROC over the default {values}; no choice saw the test."


def _judged(tuning: Tuning, study: Study, best: FrozenTrial) -> tuple[PlannedComparison, ...]:
    """The comparisons that meet the test: the default's, unless it failed, and the best's, unless it is the default."""
    tuned = tuning.comparisons(best.user_attrs["parameters"], f"{STUDY}{study.study_name}")
    default = tuning.plan.comparisons if default_trial(study) else ()
    known = {each.comparison.key for each in default}
    return (*default, *(each for each in tuned if each.comparison.key not in known))


def _tested(tuning: Tuning, trial: FrozenTrial, results: Mapping[str, ComparisonResult]) -> list[str]:
    """Test AUROC on each data set at the budget that validation chose, in percent; `-` where cells failed."""
    keys = [each.comparison.key for each in tuning.comparisons(trial.user_attrs["parameters"], "")]
    return [percent(results[key].auroc[best_budget(trial)]) if key in results else "-" for key in keys]


def _reached(
    tuning: Tuning, study: Study, best: FrozenTrial, results: Mapping[str, ComparisonResult]
) -> dict[str, float]:
    """Metrics of the study's run."""
    reached = {}
    for name, trial in (("default", default_trial(study)), ("best", best)):
        if trial is None:
            continue
        reached[f"validation_auroc_{name}"] = value_of(trial)
        keys = [each.comparison.key for each in tuning.comparisons(trial.user_attrs["parameters"], "")]
        tested = [results[key].auroc[best_budget(trial)] for key in keys if key in results]
        if len(tested) == len(keys):
            reached[f"auroc_{name}"] = sum(tested) / len(tested)
    return reached


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    click.echo("\nMean AUROC in percent, each setting at the epochs that are best for it on validation data:\n")
    for first, *others in rows:
        texts = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        click.echo("  ".join([first.ljust(widths[0]), *texts]))


def _best_so_far(study: Study) -> str:
    best = best_trial(study)
    return f"best {percent(value_of(best))} (trial {best.number})" if best else ""


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)


def _name_of(tuning: Tuning) -> str:
    """A name that says what is tuned on what, and differs for another objective."""
    digest = hashlib.sha256(json.dumps(objective_of(tuning), sort_keys=True).encode()).hexdigest()[:8]
    words = [tuning.plan.comparisons[0].label, *(each.dataset.name for each in tuning.plan.comparisons)]
    return f"{re.sub(r'[^A-Za-z0-9._]+', '-', '-'.join(words)).strip('-._')[:80]}-{digest}"
