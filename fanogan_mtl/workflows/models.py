"""Which models of a sweep are kept, and how: a comparison becomes one model with a head for each class."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.catalog import preparation_of, sample_sheets
from fanogan_mtl.data.specs import parse_source
from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors.persistence import UnsavableDetector
from fanogan_mtl.extractors.registry import takes_originals
from fanogan_mtl.serving.heads import HeadSpec, extractor_folder, head_folder, write_model
from fanogan_mtl.sweep import pretraining
from fanogan_mtl.sweep.cell import Cell, drop_kept_detectors, kept_detector, save, train_detector
from fanogan_mtl.sweep.run import LocalWorkers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.models import log_model
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.workflows.extractors import feature_tasks, fetch_extractors, obtain_features
from fanogan_mtl.workflows.plan import PlannedComparison
from fanogan_mtl.workflows.recording import Sweep
from fanogan_mtl.workflows.results import ComparisonResult
from fanogan_mtl.workflows.summary import best_heads


@dataclass(frozen=True)
class HeadTask:
    """One head to put in place: its cell, at which budget, where to."""

    cell: Cell
    budget: int
    folder: Path


def log_models(sweep: Sweep, results: Mapping[str, ComparisonResult], workers: LocalWorkers) -> None:
    """Log the models that the plan asks for, those that are not logged yet.

    Parameters
    ----------
    results : mapping
        Comparison key to its result.
    """
    for planned in _chosen(sweep, results):
        try:
            _log(sweep, planned, workers)
        except UnsavableDetector as error:
            click.echo(f"Warning: the model of {planned.dataset.name} · {planned.label} is left out: {error}")
    if sweep.plan.execution.kept_models:
        for cell in sweep.plan.cells:
            drop_kept_detectors(sweep.plan.execution.kept_models, cell)


def _chosen(sweep: Sweep, results: Mapping[str, ComparisonResult]) -> list[PlannedComparison]:
    finished = [
        each
        for each in sweep.plan.comparisons
        if each.comparison.key in results and each.comparison.protocol != "unseen-class"  # a test, with many extractors
    ]
    if sweep.plan.execution.log_models == "all":
        return finished
    if sweep.plan.execution.log_models == "none":
        return []
    best: dict[str, PlannedComparison] = {}
    for each in sorted(finished, key=lambda each: results[each.comparison.key].validation_auroc, reverse=True):
        best.setdefault(each.dataset.name, each)
    return list(best.values())


def _log(sweep: Sweep, planned: PlannedComparison, workers: LocalWorkers) -> None:
    run_id = sweep.comparison_runs[planned.comparison.key]
    data_dir = sweep.plan.execution.data_dir
    heads = best_heads(sweep.done_cells(planned.comparison)[0])
    chosen = [
        (Cell(planned.comparison, name, cell.seed, cell.extractor_key), budget)
        for name, (cell, budget) in sorted(heads.items())
    ]
    fingerprint = hashlib.sha256(str([(cell.key, budget) for cell, budget in chosen]).encode()).hexdigest()[:32]
    if sweep.tracking.client.get_run(run_id).data.tags.get("model_key") == fingerprint:
        return
    keys = {cell.extractor_key for cell, _ in chosen if cell.extractor_key}
    if keys and len(planned.comparison.dataset.sources) > 1 and takes_originals(str(planned.comparison.extractor)):
        raise UnsavableDetector(
            f"a pool's model takes prepared images, and {planned.comparison.extractor} needs the original ones"
        )
    if keys:  # those of an earlier sweep's seeds may be in MLflow alone
        fetch_extractors(sweep.tracking, keys, data_dir)
        tasks = feature_tasks([cell for cell, _ in chosen], data_dir)
        obtain_features(tasks, sweep.plan.execution, workers)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "detectors"
        _place_heads(sweep, [HeadTask(*each, head_folder(folder, at)) for at, each in enumerate(chosen)], workers)
        specs = [
            HeadSpec(
                f"{planned.dataset.name}/{cell.normal_class}",
                planned.comparison.detector,
                cell.seed,
                budget,
                cell.extractor_key,
            )
            for cell, budget in chosen
        ]
        for key in keys:
            source = pretraining.extractor_folder(data_dir, key)
            shutil.copytree(source, extractor_folder(folder, key), ignore=shutil.ignore_patterns("learned_from.npy"))
        preparation, example = _images(planned, data_dir)
        write_model(folder, specs, preparation)
        uri = log_model(sweep.tracking, run_id, folder, example)
    records.write(sweep.tracking, run_id, Record(tags={"model_key": fingerprint, "model_uri": uri}))


def _place_heads(sweep: Sweep, tasks: Sequence[HeadTask], workers: LocalWorkers) -> None:
    """Move the detectors that the workers kept into place; train the others again."""
    kept = sweep.plan.execution.kept_models
    missing = []
    for task in tasks:
        waiting = kept_detector(kept, task.cell, task.budget) if kept else None
        if waiting and waiting.is_dir():
            shutil.copytree(waiting, task.folder)
        else:
            missing.append(task)
    train = partial(_train_head, data_dir=sweep.plan.execution.data_dir, device=sweep.plan.execution.device)
    for outcome in workers.run(train, missing):
        if outcome.failure:
            raise outcome.failure.error


def _train_head(task: HeadTask, data_dir: Path, device: str) -> None:
    save(train_detector(task.cell, task.budget, data_dir, device), task.folder)


def _images(planned: PlannedComparison, data_dir: Path) -> tuple[Preparation | None, NDArray[np.uint8]]:
    """How the model prepares images, and some as it takes them: a pool's come prepared, each member's otherwise.

    Vectors are taken as they are.
    """
    sources = [parse_source(text) for text in planned.comparison.dataset.sources]
    if len(sources) > 1 or not planned.dataset.is_images:
        return None, np.array(planned.dataset.train.pixels[:8])
    sheet = sample_sheets(planned.comparison.dataset, data_dir)[0]
    return preparation_of(sources[0]), sheet.raw[:, 0]
