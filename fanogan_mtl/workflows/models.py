"""Models from recorded cells: one head a (data set, class), chosen by validation, made again where it wasn't kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import click
import numpy as np

from fanogan_mtl.data.cache import CONTENTS
from fanogan_mtl.data.catalog import load_dataset, preparation_of, sample_sheets
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors.persistence import UnsavableDetector, refuse_unservable
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.serving.heads import HeadSpec, extractor_folder, head_folder, write_model
from fanogan_mtl.sweep import pretraining
from fanogan_mtl.sweep.cell import Cell, Comparison, DoneCell, drop_kept_detectors, kept_detector
from fanogan_mtl.sweep.head import HeadTask
from fanogan_mtl.sweep.run import Workers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.models import ModelFacts, ModelMetric, log_model
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.workflows.exchange import Exchange, head_name, head_task
from fanogan_mtl.workflows.extractors import feature_tasks, fetch_extractors, obtain_features
from fanogan_mtl.workflows.plan import Execution, PlannedComparison
from fanogan_mtl.workflows.progress import TaskProgress
from fanogan_mtl.workflows.recording import Sweep, done_cells
from fanogan_mtl.workflows.results import ComparisonResult
from fanogan_mtl.workflows.summary import best_heads

WIDE = "\u2003"  # MLflow shows tables without a space between columns
MODEL_METRICS = ("auroc", "auprc", "balanced_accuracy", "validation_auroc")


@dataclass(frozen=True)
class ChosenHead:
    """A head that a model is going to have.

    Attributes
    ----------
    cell : Cell
    budget : int
        Epochs, the best by validation AUROC.
    done : DoneCell
        What was recorded.
    """

    cell: Cell
    budget: int
    done: DoneCell

    @property
    def name(self) -> str:
        """`<data set>/<class>`."""
        return f"{self.cell.comparison.dataset.name}/{self.cell.normal_class}"

    @property
    def metrics(self) -> dict[str, float]:
        """As recorded, at its budget."""
        return self.done.result.metrics[self.budget]


def prepare_models() -> None:
    """Import what MLflow needs to try a model, in a thread: while workers start, a sweep has nothing else to do."""
    Thread(target=import_module, args=("torchvision",)).start()


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
        heads = choose_heads([(planned.comparison, done_cells(sweep.tracking, planned.comparison)[0])])
        run_id = sweep.comparison_runs[planned.comparison.key]
        if logged_model(sweep.tracking, run_id, heads) is None:
            try:
                make_model(sweep.tracking, run_id, heads, planned.setting, sweep.plan.execution, workers, exchange)
            except UnsavableDetector as error:
                click.echo(f"Warning: the model of {planned.dataset.name} · {planned.label} is left out: {error}")
    if sweep.plan.execution.kept_models:
        for cell in sweep.plan.cells:
            drop_kept_detectors(sweep.plan.execution.kept_models, cell)


def choose_heads(comparisons: Sequence[tuple[Comparison, Sequence[DoneCell]]]) -> list[ChosenHead]:
    """Choose one head for each class of each comparison, by validation AUROC among all seeds and budgets.

    Heads on features share one extractor, so their seed is chosen first, by the mean over classes.
    """
    if comparisons[0][0].extractor is not None:
        best = _best_seed([cell for _, cells in comparisons for cell in cells])
        comparisons = [(each, [cell for cell in cells if cell.seed == best]) for each, cells in comparisons]
    return [
        ChosenHead(Cell(comparison, name, done.seed, done.extractor_key), budget, done)
        for comparison, cells in comparisons
        for name, (done, budget) in sorted(best_heads(cells).items())
    ]


def model_key(heads: Sequence[ChosenHead]) -> str:
    """Digest of all that a model is made of."""
    return hashlib.sha256(str([(head.name, head.cell.key, head.budget) for head in heads]).encode()).hexdigest()[:32]


def logged_model(tracking: Tracking, run_id: str, heads: Sequence[ChosenHead]) -> str | None:
    """URI of the model of these heads, if it is logged under that run."""
    tags = tracking.client.get_run(run_id).data.tags
    return tags["model_uri"] if tags.get("model_key") == model_key(heads) else None


def description(heads: Sequence[ChosenHead]) -> str:
    """What a model is and what its heads reach, as Markdown."""
    label = heads[0].cell.comparison.label
    test = percent(fmean(head.metrics["auroc"] for head in heads))
    lines = [f"**{label}**: mean test AUROC of {len(heads)} heads {test} %. Validation data chose seed and epochs.", ""]
    rows = [["head", "test AUROC", "validation AUROC", "epochs", "seed"], ["---"] * 5]
    for head in heads:
        figures = [percent(head.metrics[name]) for name in ("auroc", "validation_auroc")]
        rows.append([head.name, *figures, str(head.budget), str(head.cell.seed)])
    return "\n".join([*lines, *(f"| {f'{WIDE} | '.join(row)} |" for row in rows)])


def make_model(
    tracking: Tracking,
    run_id: str,
    heads: Sequence[ChosenHead],
    setting: str,
    execution: Execution,
    workers: Workers,
    exchange: Exchange | None,
) -> str:
    """Put a model together and log it under a run, with its metrics for each data set; give its URI.

    Raises
    ------
    UserError
        If a detector can't be saved, or, trained again, scores otherwise than recorded.
    """
    for name in sorted({head.cell.comparison.detector for head in heads}):
        refuse_unservable(name)  # before anything is trained again
    keys = obtain_inputs(tracking, heads, execution, workers)
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
                model_preparation(head.cell.comparison.dataset),
                calibration,
                head.cell.extractor_key,
            )
            for head, calibration in zip(heads, calibrations, strict=True)
        ]
        for key in keys:
            source = pretraining.extractor_folder(execution.data_dir, key)
            left_out = shutil.ignore_patterns("learned_from.npy", CONTENTS)
            shutil.copytree(source, extractor_folder(folder, key), ignore=left_out)
        write_model(folder, specs)
        uri = log_model(tracking, run_id, folder, _example(heads[0], execution.data_dir), _facts(heads, setting))
    records.write(tracking, run_id, Record(tags={"model_key": model_key(heads), "model_uri": uri}))
    return uri


def obtain_inputs(tracking: Tracking, heads: Sequence[ChosenHead], execution: Execution, workers: Workers) -> set[str]:
    """Have the heads' extractors and features in the data folder; give the extractors' keys."""
    cells = [head.cell for head in heads]
    keys = {cell.extractor_key for cell in cells if cell.extractor_key}
    if keys:
        fetch_extractors(tracking, keys, execution.data_dir)  # those of an earlier sweep may be in MLflow alone
        obtain_features(feature_tasks(cells, execution.data_dir), execution, workers)
    return keys


def model_preparation(spec: DatasetSpec) -> Preparation | None:
    """How a model prepares images for the heads of a data set; None for vectors.

    The members of a pool may each be prepared in their own way, and a served image doesn't say of which it is: where
    they differ, it is only resized and recoloured.
    """
    preparations = [preparation_of(parse_source(text)) for text in spec.sources]
    first = preparations[0]
    if first is None or all(each == first for each in preparations):
        return first
    return Preparation(first.image_size, first.colour)


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
    best: dict[str, PlannedComparison] = {}
    for each in sorted(finished, key=lambda each: results[each.comparison.key].validation_auroc, reverse=True):
        best.setdefault(each.dataset.name, each)
    return list(best.values())


def _best_seed(cells: Sequence[DoneCell]) -> int:
    """The seed with the best mean validation AUROC, each cell at its best budget; the smallest on a tie."""
    by_seed: dict[int, list[float]] = {}
    for cell in cells:
        best = max(metrics["validation_auroc"] for metrics in cell.result.metrics.values())
        by_seed.setdefault(cell.seed, []).append(best)
    return max(sorted(by_seed), key=lambda seed: fmean(by_seed[seed]))


def _make_heads(
    heads: Sequence[ChosenHead], folder: Path, execution: Execution, workers: Workers, exchange: Exchange | None
) -> list[Calibration]:
    tasks = []
    for position, head in enumerate(heads):
        scores = head.done.result.scores[sorted(head.done.result.metrics).index(head.budget)]
        kept = kept_detector(execution.kept_models, head.cell, head.budget) if execution.kept_models else None
        tasks.append(HeadTask(head.cell, head.budget, scores, head_folder(folder, position), kept))
    made: dict[Path, Calibration] = {}
    with TaskProgress(f"heads of {heads[0].cell.comparison.label}", len(tasks)) as progress:
        for outcome in workers.run(head_task(exchange, execution), tasks):
            progress.update(outcome.running)
            if outcome.failure:
                raise outcome.failure.error
            assert outcome.result is not None
            made[outcome.item.folder] = outcome.result
            if exchange:
                outcome.item.folder.mkdir(parents=True)
                exchange.take(head_name(outcome.item), outcome.item.folder)
    return [made[task.folder] for task in tasks]


def _facts(heads: Sequence[ChosenHead], setting: str) -> ModelFacts:
    comparison = heads[0].cell.comparison
    by_dataset: dict[str, list[ChosenHead]] = {}
    for head in heads:
        by_dataset.setdefault(head.cell.comparison.dataset.name, []).append(head)
    metrics = [
        ModelMetric(name, fmean(head.metrics[name] for head in own), dataset, own[0].cell.comparison.data_digest)
        for dataset, own in by_dataset.items()
        for name in MODEL_METRICS
    ]
    parameters = {
        "detector": comparison.detector,
        "setting": setting,
        "extractor": comparison.extractor or "none",
        "protocol": comparison.protocol or "none",
        "heads": ", ".join(head.name for head in heads),
    }
    return ModelFacts(comparison.label, description(heads), parameters, metrics)


def _example(head: ChosenHead, data_dir: Path) -> np.ndarray[Any, Any]:
    """A few images or vectors as the model takes them."""
    spec = head.cell.comparison.dataset
    if preparation_of(parse_source(spec.sources[0])) is None:
        return np.array(load_dataset(spec, data_dir).train.pixels[:2])
    raw: np.ndarray[Any, Any] = sample_sheets(spec, data_dir)[0].raw[:2, 0]
    return raw
