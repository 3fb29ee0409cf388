"""Models from recorded cells: one head per (data set, class), chosen by validation, trained again if it wasn't kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from fanogan_mtl.data.cache import CONTENTS
from fanogan_mtl.data.catalog import load_dataset, sample_sheets
from fanogan_mtl.data.prepared import found_preparation
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors.persistence import refuse_unservable
from fanogan_mtl.detectors.registry import needs_torch
from fanogan_mtl.errors import one_line
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.extractors.persistence import needed_packages
from fanogan_mtl.plan.plan import Execution, PlannedComparison
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.state import data_key, finished_cells
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.serving.heads import HeadSpec, bundled_extractor, head_folder, write_model
from fanogan_mtl.supply.exchange import Exchange, head_name, head_task
from fanogan_mtl.supply.extractors import obtain_inputs
from fanogan_mtl.supply.folds import with_fold_scores
from fanogan_mtl.supply.heads import (
    BY_DEFAULT,
    ChosenHead,
    Rates,
    description,
    heads_by_validation,
    model_key,
    warnings,
)
from fanogan_mtl.supply.progress import TaskProgress
from fanogan_mtl.sweep import pretraining
from fanogan_mtl.sweep.cell import drop_kept_detectors, kept_detector
from fanogan_mtl.sweep.folds import FoldScores
from fanogan_mtl.sweep.head import HeadTask
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.logged_models import ModelFacts, ModelMetric, add_metrics, log_model
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.sender import is_away


def log_models(
    sweep: Sweep, results: Mapping[str, ComparisonResult], workers: Workers, exchange: Exchange | None
) -> None:
    """Log the models that the plan asks for, those that are not logged yet.

    Parameters
    ----------
    results : mapping
        Comparison key to its result.
    exchange : Exchange or None
        Of workers that don't share the data folder.
    """
    for planned in _asked_for(sweep, results):
        finished = finished_cells(sweep.tracking, planned.comparison)
        if sweep.lose(planned, finished):
            continue  # they are trained again first
        heads = heads_by_validation([finished.cells])
        run_id = sweep.comparison_runs[planned.comparison.key]
        what = f"the model of {planned.dataset.name} · {planned.label}"
        try:
            heads = with_fold_scores(sweep.tracking, heads, sweep.plan.execution, workers)
            uri = logged_model(sweep.tracking, run_id, heads)
            if uri:
                add_metrics(sweep.tracking, run_id, uri, _metrics(heads))  # some may be new since it was logged
                continue
            refuse_unservable(planned.comparison.detector, results[planned.comparison.key].marks)
            make_model(sweep.tracking, run_id, heads, planned.setting, sweep.plan.execution, workers, exchange)
        except Exception as error:  # the results are there, and are worth a table without a model
            if is_away(error):
                raise
            click.echo(f"Warning: {what} is left out: {one_line(error, 400)}")
            continue
        for warning in warnings(heads):
            click.echo(f"Warning: {what}: {warning}")
    if sweep.plan.execution.kept_models:
        for cell in sweep.plan.cells:
            drop_kept_detectors(sweep.plan.execution.kept_models, cell)


def logged_model(tracking: Tracking, run_id: str, heads: Sequence[ChosenHead], rates: Rates = BY_DEFAULT) -> str | None:
    """URI of the model of these heads and false-alarm rates, if it is logged under that run."""
    run = records.get_run(tracking, run_id)
    return run.tag(schema.MODEL_URI) if run.tag(schema.MODEL_KEY) == model_key(heads, rates) else None


def make_model(
    tracking: Tracking,
    run_id: str,
    heads: Sequence[ChosenHead],
    setting: str,
    execution: Execution,
    workers: Workers,
    exchange: Exchange | None,
    rates: Rates = BY_DEFAULT,
) -> str:
    """Put a model together and log it under a run, with its metrics for each data set; give its URI.

    The first of the false-alarm rates is the one of its thresholds; its description has all of them.

    Raises
    ------
    UserError
        If a detector can't be saved, or, trained again, scores otherwise than recorded.
    """
    keys = obtain_inputs(tracking, [head.cell for head in heads], execution, workers)
    if exchange and not exchange.holds(keys):
        workers, exchange = workers.near, None
    shared = execution.data_dir if execution.cluster else None  # where workers elsewhere can write
    with TemporaryDirectory(prefix=".model-", dir=shared) as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        calibrations = _make_heads(heads, folder, execution, workers, exchange)
        specs = [
            HeadSpec(
                head.name,
                head.cell.comparison.detector,
                head.cell.seed,
                head.budget,
                model_preparation(head.cell.comparison.dataset, execution.data_dir),
                _with_folds(calibration, head.folds),
                head.cell.extractor_key,
                head.rate(rates[0]),
            )
            for head, calibration in zip(heads, calibrations, strict=True)
        ]
        for key in keys:
            source = pretraining.extractor_folder(execution.data_dir, key)
            left_out = shutil.ignore_patterns("learned_from.npy", CONTENTS)
            shutil.copytree(source, bundled_extractor(folder, key), ignore=left_out)
        write_model(folder, specs)
        bundled = [bundled_extractor(folder, key) for key in sorted(keys)]
        packages = {package for each in bundled for package in needed_packages(each)}
        if any(needs_torch(head.cell.comparison.detector) for head in heads):
            packages.add("torch")
        facts = replace(_facts(heads, setting, rates), packages=tuple(sorted(packages)))
        uri = log_model(tracking, run_id, folder, _example(heads[0], execution.data_dir), facts)
    records.write(tracking, run_id, Record(tags={schema.MODEL_KEY: model_key(heads, rates), schema.MODEL_URI: uri}))
    return uri


def model_preparation(spec: DatasetSpec, data_dir: Path) -> Preparation | None:
    """How a model prepares images for the heads of a data set; None for vectors.

    Members of a pool may be prepared in different ways, and a served image doesn't say to which it belongs: then it is
    only resized and recoloured. The smallest of their depths is used; members without 16-bit images have the largest.
    """
    found = [found_preparation(parse_source(text), data_dir) for text in spec.sources]
    preparations = [each for each in found if each]
    if not preparations:
        return None
    depth = min(each.depth or 16 for each in preparations)
    first, *others = (replace(each, depth=depth) for each in preparations)
    return first if all(each == first for each in others) else Preparation(first.image_size, first.colour, depth=depth)


def _asked_for(sweep: Sweep, results: Mapping[str, ComparisonResult]) -> list[PlannedComparison]:
    finished = [
        each
        for each in sweep.plan.comparisons
        if each.comparison.key in results and each.comparison.protocol != "unseen-class"  # a test, with many extractors
    ]
    if sweep.plan.execution.log_models == "all":
        return finished
    if sweep.plan.execution.log_models == "none":
        return []
    by_dataset: dict[str, list[PlannedComparison]] = {}
    for each in finished:
        by_dataset.setdefault(each.dataset.name, []).append(each)
    return [_best(own, results) for own in by_dataset.values()]


def _best(comparisons: Sequence[PlannedComparison], results: Mapping[str, ComparisonResult]) -> PlannedComparison:
    """The comparison of a data set with the fewest marks and the best validation AUROC; a mark is told."""
    first = max(comparisons, key=lambda each: results[each.comparison.key].validation_auroc)
    best = max(comparisons, key=lambda each: results[each.comparison.key].rank)
    if best is not first:
        why = ", ".join(results[first.comparison.key].marks)
        click.echo(f"The model of {best.dataset.name} is {best.label}: {first.label} validates better, marked {why}")
    elif marks := results[best.comparison.key].marks:
        click.echo(f"The model of {best.dataset.name} is {best.label}, though marked {', '.join(marks)}")
    return best


def _make_heads(
    heads: Sequence[ChosenHead], folder: Path, execution: Execution, workers: Workers, exchange: Exchange | None
) -> list[Calibration]:
    tasks = []
    for position, head in enumerate(heads):
        kept = kept_detector(execution.kept_models, head.cell, head.budget) if execution.kept_models else None
        tasks.append(HeadTask(head.cell, head.budget, head.scores, head_folder(folder, position), kept))
    made: dict[Path, Calibration] = {}
    failures: list[BaseException] = []
    wanted = takewhile(lambda _: not failures, tasks)
    with TaskProgress(f"heads of {heads[0].cell.comparison.label}", len(tasks)) as progress:
        for outcome in workers.run(head_task(exchange, execution), wanted):
            progress.update(outcome.running)
            if outcome.failure:
                failures.append(outcome.failure.error)
                continue  # raised when no worker writes into the folder any more, which the caller removes
            assert outcome.result is not None
            made[outcome.item.folder] = outcome.result
            if exchange:
                outcome.item.folder.mkdir(parents=True)
                exchange.take(head_name(outcome.item), outcome.item.folder)
    if failures:
        raise failures[0]
    return [made[task.folder] for task in tasks]


def _with_folds(calibration: Calibration, folds: FoldScores | None) -> Calibration:
    """The calibration with what the head's folds say of normal rows."""
    if folds is None:
        return calibration
    maxima = tuple(sorted(calibration.map_maxima + folds.map_maxima))
    return replace(calibration, fold_scores=tuple(sorted(folds.scores.tolist())), map_maxima=maxima)


def _facts(heads: Sequence[ChosenHead], setting: str, rates: Rates) -> ModelFacts:
    comparison = heads[0].cell.comparison
    parameters = {
        "detector": comparison.detector,
        "setting": setting,
        "extractor": comparison.extractor or "none",
        "protocol": comparison.protocol or "none",
        "heads": ", ".join(head.name for head in heads),
    }
    return ModelFacts(comparison.label, description(heads, rates), parameters, _metrics(heads))


def _metrics(heads: Sequence[ChosenHead]) -> list[ModelMetric]:
    by_dataset: dict[str, list[ChosenHead]] = {}
    for head in heads:
        by_dataset.setdefault(head.cell.comparison.dataset.name, []).append(head)
    return [
        ModelMetric(name, fmean(head.metrics[name] for head in own), *data_key(own[0].cell.comparison))
        for own in by_dataset.values()
        for name, metric in METRICS.items()
        if metric.unit == "share" and all(name in head.metrics for head in own)  # pixels' are of masks alone
    ]


def _example(head: ChosenHead, data_dir: Path) -> np.ndarray[Any, Any]:
    """A few images or vectors as the model takes them."""
    spec = head.cell.comparison.dataset
    if spec.holds_vectors:
        return np.array(load_dataset(spec, data_dir).train.pixels[:2])
    raw: np.ndarray[Any, Any] = sample_sheets(spec, data_dir)[0].raw[:2, 0]
    return raw
