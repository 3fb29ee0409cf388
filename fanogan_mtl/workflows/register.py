"""Registering: runs become a version of a registered model that MLflow serves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import click

from fanogan_mtl.detectors.persistence import refuse_unservable
from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.plan.options import RegisterOptions
from fanogan_mtl.plan.plan import Execution, read_where
from fanogan_mtl.plan.words import parse_rates
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.marks import rank
from fanogan_mtl.recording.state import comparison_of, finished_cells, told_lost
from fanogan_mtl.recording.summary import validation_auroc
from fanogan_mtl.supply.exchange import opened_exchange
from fanogan_mtl.supply.extractors import obtain_inputs
from fanogan_mtl.supply.folds import with_fold_scores
from fanogan_mtl.supply.heads import (
    BY_DEFAULT,
    ChosenHead,
    Rates,
    check_rates,
    description,
    heads_by_validation,
    model_key,
    told_rates,
    warnings,
)
from fanogan_mtl.supply.models import logged_model, make_model
from fanogan_mtl.sweep.cell import RESULT_VERSION, Comparison
from fanogan_mtl.sweep.result import DoneCell
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import names, records, schema
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.logged_models import check_name, register_model
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.schema import CellRun, ComparisonRun

ALIAS = re.compile(rf"(?!(?i:v\d+|latest)$)[A-Za-z0-9_-]{{1,{names.ALIAS}}}")


@dataclass(frozen=True)
class Candidate:
    """A comparison as MLflow has it."""

    run: ComparisonRun
    comparison: Comparison
    cells: Sequence[DoneCell]
    lost: Sequence[CellRun] = ()

    @property
    def marks(self) -> dict[str, str]:
        """What keeps its figures from being taken as they stand."""
        return self.run.marks

    @property
    def setting(self) -> str:
        """What tables group it by, data sets aside."""
        of = self.comparison
        return str((of.label, of.parameters, of.budgets, of.limit, of.common_scale))


def register(options: RegisterOptions) -> int:
    """Register the model of a run's cells; made again from them where it wasn't kept.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        For a run that is none of ours or has nothing to serve, a name or alias against MLflow's rules, a false-alarm
        rate that can't be promised, detectors whose score of a new row says nothing by itself, and those that, trained
        again, score otherwise than recorded.
    """
    if options.run == "none":
        raise UserError("run: which one? Give the id of a sweep, a comparison or a cell, as its page in MLflow shows")
    if not ALIAS.fullmatch(options.alias):
        what = f"at most {names.ALIAS} letters, digits, '_' and '-'"
        raise UserError(f"alias {options.alias[:60]!r}: {what}, but neither latest nor v1, v2, ...")
    asked = options.false_alarm_rate
    rates = BY_DEFAULT if asked == "auto" else parse_rates("false_alarm_rate", asked)
    execution = read_where(options)
    own = connect()
    check_name(own, options.name)
    source, chosen = _read(own, options.run)
    for each in chosen:
        refuse_unservable(each.comparison.detector, each.marks)
        for mark, sentence in each.marks.items():
            click.echo(
                f"Warning: {each.comparison.dataset.name} · {each.comparison.label} is marked: {mark}: {sentence}"
            )
    with execution.open_workers() as workers:
        heads = heads_by_validation([each.cells for each in chosen])
        heads = with_fold_scores(source, heads, execution, workers, rates)
        if asked != "auto":
            check_rates(heads, rates)
        with entry_run(own, "register", options.name, options, options.device, execution.data_dir) as run_id:
            uri = _obtain(source, options.run, chosen, heads, rates, execution, workers)
            text = description(heads, rates)
            version, is_new = register_model(source, uri, options.name, options.alias, model_key(heads, rates), text)
            made = {schema.MODEL_URI: uri, schema.REGISTERED_MODEL: f"{options.name}/{version}"}
            records.write(own, run_id, Record(tags=made))
    _print(own, options, version, is_new, heads, rates)
    return 0


def _read(tracking: Tracking, run_id: str) -> tuple[Tracking, list[Candidate]]:
    """The comparisons that a run stands for: one, or of a sweep those of its best setting."""
    if not run_id.isalnum():
        raise UserError(f"run {run_id!r}: give the id of a run, 32 letters and digits, which its page in MLflow shows")
    try:
        run = records.get_run(tracking, run_id)
    except Exception as error:  # each kind of store fails in ways of its own
        raise UserError(f"run {run_id!r} can't be read ({one_line(error)})") from None
    tracking = replace(tracking, experiment_id=run.experiment_id)
    if run.level == "sweep":
        found = reversed(records.find_comparisons(tracking))  # of one that was begun twice the first stays
        runs = {run.key: run for run in found if run_id in run.sweeps}
        comparisons = [_recorded(tracking, run) for run in runs.values()]
        _check_lost(comparisons)
        return tracking, _best(run_id, [each for each in comparisons if each.cells])
    if run.level == "comparison":
        recorded = _recorded(tracking, ComparisonRun(run.run))
    elif run.level == "cell":
        of = CellRun(run.run)
        parents = records.find_comparisons(tracking, comparison_key=of.comparison_key)
        if not parents:
            raise UserError(f"the comparison of {of.name} (run {run_id}) is gone: run its benchmark again")
        recorded = _recorded(tracking, parents[0])  # of one that was begun twice the first stays
        own = [cell for cell in recorded.cells if (cell.normal_class, cell.anomalous_class, cell.seed) == of.draw]
        lost = [one for one in recorded.lost if one.run_id == run_id]
        recorded = replace(recorded, cells=own, lost=lost)
    else:
        raise UserError(f"run {run_id} is no sweep, comparison or cell ({run.level}): it has nothing to serve")
    if recorded.comparison.protocol == "unseen-class":
        raise UserError(f"run {run_id} is of protocol unseen-class, which has an extractor for each pair of classes")
    _check_lost([recorded])
    if not recorded.cells:
        raise UserError(f"run {run_id} has no finished cell: run its benchmark again, with retry=true if it failed")
    return tracking, [recorded]


def _recorded(tracking: Tracking, run: ComparisonRun) -> Candidate:
    comparison = comparison_of(run)
    if comparison.result_version < RESULT_VERSION:
        why = "was recorded by an earlier version, which kept no scores to make thresholds from"
        raise UserError(f"run {run.run_id} {why}: run its benchmark again")
    finished = finished_cells(tracking, comparison)
    return Candidate(run, comparison, finished.cells, finished.lost)


def _check_lost(comparisons: Sequence[Candidate]) -> None:
    """Raise `UserError` for cells without a result: what is best of the others may not be the best."""
    if lost := [run for each in comparisons for run in each.lost]:
        raise UserError(f"{told_lost(lost)}: start its benchmark again with retry=true, and then register it")


def _best(run_id: str, comparisons: Sequence[Candidate]) -> list[Candidate]:
    """The setting that covers most data sets, and of those the one with the best mean validation AUROC."""
    settings: dict[str, list[Candidate]] = {}
    for each in comparisons:
        if each.comparison.protocol != "unseen-class":
            settings.setdefault(each.setting, []).append(each)
    if not settings:
        raise UserError(f"run {run_id} has no finished comparison to serve: see its cells in MLflow")
    ranked = {setting: (len(own), *_rank(own)) for setting, own in settings.items()}
    best = max(ranked, key=lambda setting: ranked[setting])
    label = settings[best][0].comparison.label
    n_datasets, _, auroc = ranked[best]
    sets = f"{n_datasets} data set{'s' * (n_datasets != 1)}"
    by_marks = ", those with fewer marks first" if any(rank[1] for rank in ranked.values()) else ""
    best_of = f"{label} is the best of {len(ranked)} by mean validation AUROC"
    click.echo(f"{best_of}, {percent(auroc, None)} % on {sets}{by_marks}")
    return sorted(settings[best], key=lambda each: each.comparison.dataset.name)


def _rank(comparisons: Sequence[Candidate]) -> tuple[int, float]:
    """Fewest marks first, then the mean validation AUROC; the greatest is the best."""
    marks = {mark: sentence for each in comparisons for mark, sentence in each.marks.items()}
    return rank(marks, fmean(validation_auroc(each.cells) for each in comparisons))


def _obtain(
    tracking: Tracking,
    run_id: str,
    chosen: Sequence[Candidate],
    heads: Sequence[ChosenHead],
    rates: Rates,
    execution: Execution,
    workers: Workers,
) -> str:
    """The model of these heads and rates: the one that is logged already, or a new one under the run."""
    for each in (run_id, *(one.run.run_id for one in chosen)):
        if uri := logged_model(tracking, each, heads, rates):
            return uri
    cells, setting = [head.cell for head in heads], chosen[0].run.setting
    obtain_inputs(tracking, cells, execution, workers)
    with opened_exchange(tracking, run_id, cells, execution, workers) as exchange:
        return make_model(tracking, run_id, heads, setting, execution, workers, exchange, rates)


def _print(
    tracking: Tracking,
    options: RegisterOptions,
    version: str,
    is_new: bool,
    heads: Sequence[ChosenHead],
    rates: Rates,
) -> None:
    what = f"{options.name} version {version}"
    if is_new:
        some = ", ".join(head.name for head in heads[:3]) + (", ..." if len(heads) > 3 else "")
        click.echo(f"registered {what}, alias {options.alias}, with {len(heads)} head{'s' * (len(heads) > 1)}: {some}")
    else:
        click.echo(f"this is {what} already; its alias is {options.alias}")
    for line in told_rates(heads, rates):
        click.echo(line)
    for warning in warnings(heads, rates):
        click.echo(f"Warning: {what}: {warning}")
    click.echo(
        f"Serve it: MLFLOW_TRACKING_URI={shlex.quote(tracking.shown)} "
        f"mlflow models serve -m {shlex.quote(f'models:/{options.name}/{version}')} --env-manager local --port 5001"
    )
