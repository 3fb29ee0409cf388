"""Runs as records: found by key, written in few calls, complete or absent.

Three levels: a *sweep*, under it its *comparisons*, under each its *cells*. A comparison and a cell have a key, and one
run per experiment: a sweep that needs one of that key uses the run that is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fanogan_mtl.errors import interruption, without_password
from fanogan_mtl.tracking import names, schema
from fanogan_mtl.tracking.artifacts import fetching_folder, read_file
from fanogan_mtl.tracking.connection import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

BATCH_METRICS = 500  # MLflow's limits for one call: 1,000 of all kinds, 100 of these, and a megabyte
BATCH_OTHERS = 100
WHOLE = "options.json"  # of a run of which an option was too long for a parameter
SWEEPS_KEPT = 200  # run ids in the tag `sweeps`, which MLflow cuts at 8,000 characters


@dataclass(frozen=True)
class Value:
    """One metric at one step (an epoch budget, or a class's position)."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """What is written into one run.

    Attributes
    ----------
    time : int
        Milliseconds since 1970 that the metrics get: sent again with the same time, a metric adds no row.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    values: Sequence[Value] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()
    time: int = 0


@dataclass(frozen=True)
class DataInput:
    """A data set that runs used: its name, the digest of its content, where it comes from, and its numbers."""

    name: str
    digest: str
    source: str
    n_train: int
    n_test: int
    n_copies: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The name and the digest by which MLflow knows it."""
        return names.dataset_key(self.name, self.digest, self.source)


_Item = TypeVar("_Item")


def batched(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """Cut a sequence into pieces of at most a size."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def find_runs(tracking: Tracking, **tags: str) -> list[schema.ReadRun]:
    """All runs with those tags, the oldest first."""
    return _find(tracking, tags)


def _find(
    tracking: Tracking, tags: Mapping[str, str], deleted: bool = False, seed: int | None = None
) -> list[schema.ReadRun]:
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    conditions = [f"tags.{name} = '{value}'" for name, value in tags.items()]
    conditions += [] if seed is None else [f"params.seed = '{seed}'"]
    runs: list[Run] = []
    token = None
    while True:
        page = tracking.client.search_runs(
            [tracking.experiment_id], " and ".join(conditions), view, max_results=1000, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return [schema.ReadRun(run) for run in sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))]


def get_run(tracking: Tracking, run_id: str) -> schema.ReadRun:
    """Read one run, of any level."""
    return schema.ReadRun(tracking.client.get_run(run_id))


def find_sweeps(tracking: Tracking, **tags: str) -> list[schema.SweepRun]:
    """Sweeps with those tags, the oldest first."""
    return [schema.SweepRun(each.run) for each in find_runs(tracking, level="sweep", **tags)]


def find_comparisons(tracking: Tracking, **tags: str) -> list[schema.ComparisonRun]:
    """Comparisons with those tags, the oldest first."""
    return [schema.ComparisonRun(each.run) for each in find_runs(tracking, level="comparison", **tags)]


def find_cells(tracking: Tracking, seed: int | None = None, **tags: str) -> list[schema.CellRun]:
    """Cells with those tags, of one seed or of all, the oldest first."""
    return [schema.CellRun(each.run) for each in _find(tracking, {schema.LEVEL: "cell", **tags}, seed=seed)]


def comparisons_with_deleted_cells(tracking: Tracking) -> set[str]:
    """Keys of the comparisons of which somebody has deleted cells."""
    return {schema.CellRun(each.run).comparison_key for each in _find(tracking, {schema.LEVEL: "cell"}, deleted=True)}


def find_extractors(tracking: Tracking, **tags: str) -> list[schema.ExtractorRun]:
    """Extractors with those tags, the oldest first."""
    return [schema.ExtractorRun(each.run) for each in find_runs(tracking, level="extractor", **tags)]


def find_trials(tracking: Tracking, **tags: str) -> list[schema.TrialRun]:
    """Trials with those tags, the oldest first."""
    return [schema.TrialRun(each.run) for each in find_runs(tracking, level="trial", **tags)]


def superseded(cells: Iterable[schema.CellRun]) -> list[schema.CellRun]:
    """Give the runs to delete: of each cell the first that FINISHED is kept, else the first that FAILED, else all."""
    order = {"FINISHED": 0, "FAILED": 1}
    by_key: dict[str, list[schema.CellRun]] = {}
    for run in cells:
        by_key.setdefault(run.key, []).append(run)
    spare = []
    for runs in by_key.values():
        ranked = sorted(runs, key=lambda run: (order.get(run.status, 2), run.ended, run.run_id))
        if ranked[0].status in order:
            spare += ranked[1:]
    return spare


def start_run(tracking: Tracking, level: str, name: str, record: Record) -> str:
    """Begin an entry point's run: the one that `mlflow run` made, or one of its own; give its id."""
    tags = {schema.LEVEL: level, **record.tags}
    if tracking.parent_run_id:
        tags[schema.PARENT] = tracking.parent_run_id
    run_id = tracking.adopted_run_id
    if run_id:
        given = tracking.client.get_run(run_id).data.params
        own = {parameter: value for parameter, value in record.parameters.items() if parameter not in given}
        tags["mlflow.runName"] = names.text(name, names.KEY)
        write(tracking, run_id, replace(record, parameters=own, tags=tags))
    else:
        run_id = str(_create_run(tracking, name, tags).info.run_id)
        write(tracking, run_id, record)
    if any(len(str(value)) > names.PARAMETER for value in record.parameters.values()):
        whole = {parameter: without_password(str(value)) for parameter, value in record.parameters.items()}
        tracking.client.log_dict(run_id, whole, WHOLE)
    return run_id


def options_of(tracking: Tracking, read: schema.ReadRun) -> dict[str, str]:
    """The options of an entry point's run as typed, also those that were too long for a parameter."""
    options: dict[str, str] = dict(read.run.data.params)
    if any(value.endswith("…") or len(value) == names.PARAMETER for value in options.values()):
        with suppress(Exception), fetching_folder() as folder:  # what was cut is better than nothing
            options |= json.loads(read_file(tracking, read, WHOLE, Path(folder)).read_text())
    return options


def create_run(tracking: Tracking, parent_id: str, name: str, tags: Mapping[str, str]) -> str:
    """Make a run under another; give its id."""
    return str(_create_run(tracking, name, {**tags, schema.PARENT: parent_id}).info.run_id)


def _create_run(tracking: Tracking, name: str, tags: Mapping[str, str]) -> Run:
    return tracking.client.create_run(
        tracking.experiment_id, run_name=names.text(name, names.KEY), tags=_storable_tags(tags)
    )


def _storable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {names.key(name): names.text(value, names.TAG) for name, value in tags.items()}


def join_sweep(tracking: Tracking, comparison: schema.ComparisonRun, sweep_id: str) -> None:
    """Note in a comparison's run that a later sweep shares it."""
    sweeps = [run_id for run_id in comparison.sweeps if run_id != sweep_id]
    tracking.client.set_tag(comparison.run_id, schema.SWEEPS, ",".join([*sweeps, sweep_id][-SWEEPS_KEPT:]))


def move(tracking: Tracking, run_id: str, parent_id: str) -> None:
    """Put a run under another."""
    from mlflow.entities import RunTag

    tags = [RunTag(schema.PARENT, parent_id), RunTag(schema.SWEEPS, parent_id)]
    tracking.client.log_batch(run_id, tags=tags)


def write(tracking: Tracking, run_id: str, record: Record) -> None:
    """Write a record into a run."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(names.key(value.name), value.value, record.time, value.step) for value in record.values]
    parameters = [
        Param(names.key(name), names.text(value, names.PARAMETER)) for name, value in record.parameters.items()
    ]
    tags = [RunTag(*tag) for tag in _storable_tags(record.tags).items()]
    for batch in zip_longest(
        batched(metrics, BATCH_METRICS), batched(parameters, BATCH_OTHERS), batched(tags, BATCH_OTHERS), fillvalue=()
    ):
        tracking.client.log_batch(run_id, *batch)
    for file in record.files:
        tracking.client.log_artifact(run_id, str(file))


def record_cell(tracking: Tracking, comparison_id: str, name: str, record: Record, failed: bool = False) -> str:
    """Write a whole cell, and set its status last: a cell that a crash cut short never counts as done."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = _create_run(tracking, name, {schema.LEVEL: "cell", **record.tags, schema.PARENT: comparison_id})
    run_id = str(run.info.run_id)
    write(tracking, run_id, replace(record, tags={}, files=()))
    store: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=tracking.uri)
    for file in record.files:
        store.log_artifact(str(file))  # the client would ask for the run first
    finish(tracking, run_id, "FAILED" if failed else "FINISHED")
    return run_id


def log_data(tracking: Tracking, run_id: str, data: Iterable[DataInput]) -> None:
    """Attach data sets to a run as its inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    inputs = [
        DatasetInput(
            Dataset(
                name=each.key[0],
                digest=each.key[1],
                source_type="local",
                source=json.dumps({"uri": names.text(each.source, names.SOURCE)}),
                profile=json.dumps(
                    {"training images": each.n_train, "test images": each.n_test, "copies": each.n_copies}
                ),
            ),
            [InputTag("mlflow.data.context", "training and test")],
        )
        for each in data
    ]
    for others in reversed(range(len(inputs) + 1)):
        try:
            tracking.client.log_inputs(run_id, datasets=inputs)
            return
        except MlflowException as error:  # another process may just have added one of them, which is found now
            if error.error_code != "BAD_REQUEST" or not others:
                raise


def history(tracking: Tracking, run_id: str, name: str) -> dict[int, float]:
    """Read a metric by step; where a step was logged again, the newest counts."""
    metrics = sorted(tracking.client.get_metric_history(run_id, names.key(name)), key=lambda metric: metric.timestamp)
    newest = {int(metric.step): float(metric.value) for metric in metrics}
    return dict(sorted(newest.items()))


def reopen(tracking: Tracking, run_id: str) -> None:
    """Set a run back to RUNNING."""
    tracking.client.update_run(run_id, status="RUNNING")


def finish(tracking: Tracking, run_id: str, status: str = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    tracking.client.set_terminated(run_id, status)


def finish_after(error: BaseException, finish: Callable[[str], object]) -> None:
    """End what an error ends as KILLED after Ctrl-C, else as FAILED; where that fails too, the next process ends it."""
    with suppress(Exception):  # it would hide the error
        finish("KILLED" if interruption(error) else "FAILED")


def delete_run(tracking: Tracking, run_id: str) -> None:
    """Delete a run that a crash cut short, or that is tried again."""
    tracking.client.delete_run(run_id)
