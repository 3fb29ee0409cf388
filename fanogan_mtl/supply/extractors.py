"""Extractors that a plan needs: found in the data folder or in MLflow, or trained and recorded."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import click

from fanogan_mtl.data.cache import in_use
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import sources_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.persistence import load_extractor, needed_packages
from fanogan_mtl.plan.extractors import fetch_extractor, keep_extractor, sentence
from fanogan_mtl.plan.plan import Execution
from fanogan_mtl.report.charts.extractors import Trained
from fanogan_mtl.supply.extractor_page import write_extractor_page
from fanogan_mtl.supply.progress import TaskProgress
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.pretraining import (
    FeatureTask,
    Pretraining,
    checkpoint_folder,
    compute_features,
    description_of,
    extractor_folder,
    feature_folder,
    run_pretraining,
)
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.artifacts import fetching_folder
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.logged_models import log_extractor
from fanogan_mtl.tracking.outbox import journal_folder
from fanogan_mtl.tracking.records import Record, Value


def obtain_extractors(
    tracking: Tracking,
    parent_id: str,
    pretrainings: Mapping[str, Pretraining],
    execution: Execution,
    workers: Workers,
) -> dict[str, str]:
    """Bring every extractor into the data folder and into MLflow; train those that are in neither.

    Parameters
    ----------
    parent_id : str
        The run under which new ones are recorded.
    pretrainings : mapping
        By key.

    Returns
    -------
    dict
        Key to run id.

    Raises
    ------
    UserError
        If a training failed; the others are recorded.
    """
    data_dir = execution.data_dir
    runs = recorded_extractors(tracking)
    fetch_extractors(tracking, pretrainings, data_dir)
    missing = [each for key, each in pretrainings.items() if not in_use(extractor_folder(data_dir, key))]
    found = len(pretrainings) - len(missing)
    click.echo(f"{len(pretrainings)} extractor{'s' * (len(pretrainings) != 1)}, {found} of them trained before")
    for key, each in pretrainings.items():
        if key not in runs and in_use(extractor_folder(data_dir, key)):
            runs[key] = _recorded(tracking, parent_id, each, execution)
    train = partial(run_pretraining, data_dir=data_dir, device=execution.device)
    failures = []
    with TaskProgress("extractors", len(missing), partial(_epochs_done, missing, data_dir)) as progress:
        for outcome in workers.near.run(train, missing):
            progress.update(outcome.running)
            if outcome.failure:
                failures.append(f"{outcome.item}: {outcome.failure.message[:300]}")
            else:
                runs[outcome.item.key] = _recorded(tracking, parent_id, outcome.item, execution)
    if failures:
        raise UserError(
            f"{len(failures)} extractor{'s' * (len(failures) > 1)} could not be trained: {'; '.join(failures)}"
        )
    return {key: runs[key] for key in pretrainings}


@contextmanager
def training_beside(pretrainings: Iterable[Pretraining], execution: Execution, workers: Workers) -> Iterator[None]:
    """Train missing extractors in the background, one at a time, on a worker that cells use too.

    On exit, wait for the one in progress; `obtain_extractors` picks up failures and the rest.
    """
    data_dir = execution.data_dir
    missing = [each for each in pretrainings if not in_use(extractor_folder(data_dir, each.key))]
    train = partial(run_pretraining, data_dir=data_dir, device=execution.device)
    left = Event()

    def follow() -> None:
        for each in missing:
            if not left.is_set():
                with suppress(Exception):  # `obtain_extractors` meets what fails here, too, and tells of it
                    list(workers.near.run(train, [each]))

    thread = Thread(target=follow, daemon=True)  # after Ctrl-C nobody waits for it
    if missing:
        click.echo(f"beside it train {', '.join(map(str, missing))}")
        thread.start()
    try:
        yield
    finally:
        left.set()
    if thread.is_alive():
        with TaskProgress("extractor", 1, partial(_epochs_done, missing, data_dir)) as progress:
            thread.join()
            progress.update(())


def recorded_extractors(tracking: Tracking) -> dict[str, str]:
    """Key to run id of every extractor that is in MLflow."""
    return {run.key: run.run_id for run in records.find_extractors(tracking) if run.status == schema.DONE}


def fetch_extractors(tracking: Tracking, keys: Iterable[str], data_dir: Path) -> None:
    """Fetch extractors from MLflow that the data folder lacks.

    One whose artifacts are gone stays missing; a line says so.
    """
    for key in keys:
        if in_use(extractor_folder(data_dir, key)):
            continue
        for run in records.find_extractors(tracking, extractor_key=key):
            if run.status == schema.DONE and not in_use(extractor_folder(data_dir, key)):
                with fetching_folder() as temporary:
                    uri = f"runs:/{run.run_id}/{run.extractor}"
                    try:
                        keep_extractor(fetch_extractor(uri, Path(temporary)), data_dir, key)
                    except UserError as error:
                        click.echo(f"an extractor of an earlier run is gone: {error}", err=True)


def obtain_features(tasks: Iterable[FeatureTask], execution: Execution, workers: Workers) -> None:
    """Compute the features that aren't there yet."""
    missing = [task for task in tasks if not in_use(_path(task, execution.data_dir))]
    compute = partial(compute_features, data_dir=execution.data_dir, device=execution.device)
    with TaskProgress("feature files", len(missing)) as progress:
        for outcome in workers.near.run(compute, missing):
            progress.update(outcome.running)
            if outcome.failure:
                raise outcome.failure.error


def feature_tasks(cells: Iterable[Cell], data_dir: Path) -> list[FeatureTask]:
    """Every feature file that cells read, of each source once."""
    needed = {
        (cell.extractor_key, cell.comparison.dataset, cell.comparison.limit): None
        for cell in cells
        if cell.extractor_key is not None
    }
    tasks = [
        FeatureTask(key, source, load_dataset(source, data_dir).digest, limit)
        for key, spec, limit in needed
        for source in sources_of(spec)
    ]
    return list(dict.fromkeys(tasks))


def features_there(tasks: Iterable[FeatureTask], data_dir: Path) -> int:
    """How many of the tasks are done."""
    return sum(in_use(_path(task, data_dir)) for task in tasks)


def obtain_inputs(tracking: Tracking, cells: Sequence[Cell], execution: Execution, workers: Workers) -> set[str]:
    """Bring the cells' extractors and features into the data folder; give the extractors' keys.

    Raises
    ------
    UserError
        If an extractor is gone.
    """
    keys = {cell.extractor_key for cell in cells if cell.extractor_key}
    if keys:
        fetch_extractors(tracking, keys, execution.data_dir)  # those of an earlier sweep may be in MLflow alone
        if gone := [key for key in keys if not in_use(extractor_folder(execution.data_dir, key))]:
            names = f"{cells[0].comparison.extractor} (key {gone[0]})"
            raise UserError(f"the extractor {names} is neither here nor in MLflow: start its hybrid again first")
        obtain_features(feature_tasks(cells, execution.data_dir), execution, workers)
    return keys


def _path(task: FeatureTask, data_dir: Path) -> Path:
    return feature_folder(data_dir, task.extractor_key, task.data_digest, task.limit)


def _epochs_done(pretrainings: Sequence[Pretraining], data_dir: Path) -> str:
    """What the trainings that run have reached."""
    texts = []
    for each in pretrainings:
        try:
            state = json.loads((checkpoint_folder(data_dir, each.key) / "history.json").read_text())
        except (OSError, ValueError):
            continue
        last = state["history"][-1]
        measured = next(
            f"{name.partition('_')[0]} {value:.3f}" for name, value in last.items() if name.endswith("_validation")
        )
        texts.append(f"{each}: epoch {len(state['history'])} of at most {state['epochs']}, validation {measured}")
    return "; ".join(texts)


def _recorded(tracking: Tracking, parent_id: str, pretraining: Pretraining, execution: Execution) -> str:
    """Record a trained extractor, unless another process with the same data folder has done so; give its run."""
    folder = journal_folder(tracking, execution.data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "extractors.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for run in records.find_extractors(tracking, extractor_key=pretraining.key):
            if run.status == schema.DONE:
                return run.run_id
            records.delete_run(tracking, run.run_id)  # a crash cut its recording short
        return _record(tracking, parent_id, pretraining, execution)


def _record(tracking: Tracking, parent_id: str, pretraining: Pretraining, execution: Execution) -> str:
    """Write a trained extractor's run: parameters, curves, page, and the extractor as a model."""
    folder = extractor_folder(execution.data_dir, pretraining.key)
    description = description_of(execution.data_dir, pretraining.key)
    extractor = load_extractor(folder, "cpu")
    tags = {schema.LEVEL: "extractor", schema.EXTRACTOR_KEY: pretraining.key, schema.NOTE: sentence(description)}
    tags |= environment_tags(execution.device)
    run_id = records.create_run(tracking, parent_id, str(pretraining), tags)
    parameters = {
        **json.loads(pretraining.parameters),
        schema.EXTRACTOR: pretraining.extractor,
        "dataset": pretraining.pool.name,
        "held_out_class": pretraining.held_out_class if pretraining.held_out_class is not None else "none",
        schema.SEED: pretraining.seed,
        "limit": pretraining.limit or "none",
        schema.N_FEATURES: extractor.n_features_out_,
        "images": description["n_images"],
        "weights_count": sum(value.numel() for value in extractor.network_.backbone.parameters()),
    }
    with TemporaryDirectory() as temporary:
        pool = load_dataset(pretraining.pool, execution.data_dir)
        trained = Trained(str(pretraining), pretraining.key, description, extractor, pretraining.pool, pool)
        files = write_extractor_page(trained, Path(temporary), execution.data_dir)
        values = accuracy_values(description)
        records.write(tracking, run_id, Record(parameters, values, files=files, time=records.now()))
    shape, width, packages = extractor.input_spec.shape, extractor.n_features_out_, needed_packages(folder)
    log_extractor(tracking, run_id, pretraining.extractor, folder, shape, width, packages)
    records.finish(tracking, run_id)
    return run_id


def accuracy_values(description: Mapping[str, Any]) -> list[Value]:
    """Metrics of an extractor's run: each epoch's as step, domains by name; the test's at the best epoch."""
    values = [
        Value(name, value, epoch)
        for epoch, entry in enumerate(description["history"], start=1)
        for name, value in entry.items()
    ]
    best = description["best_epoch"]
    values += [Value(f"accuracy_test_{name}", value, best) for name, value in description["test_accuracy"].items()]
    if best:
        values.append(Value("best_epoch", best, best))
    return values
