"""Serves workers that don't share the data folder: data and detectors travel as artifacts of an MLflow run.

Each worker fetches the data once, into its own data folder, and trained detectors come back the same way; nothing but
results passes the scheduler.
"""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import click

from fanogan_mtl.data.cache import CONTENTS, default_data_dir, published_folder
from fanogan_mtl.data.prepared import fetched_folders, prepared_folder
from fanogan_mtl.data.specs import Source, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.plan.plan import Execution
from fanogan_mtl.supply.extractors import feature_tasks
from fanogan_mtl.sweep.cell import Cell, kept_detector, run_cell
from fanogan_mtl.sweep.head import HeadTask, make_head
from fanogan_mtl.sweep.pretraining import extractor_folder, feature_folder
from fanogan_mtl.sweep.result import CellResult
from fanogan_mtl.sweep.trial import ReachedBudget, Trial, TrialResult, run_trial
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.artifacts import fetching_folder
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.sender import is_away

_Result = TypeVar("_Result")

ROOT = "exchange"
LOCAL = ("sqlite:", "file:", "/")  # tracking servers that no other machine reaches
_PATIENCE = 600.0  # seconds that a worker waits for a tracking server that is away


@dataclass(frozen=True)
class Exchange:
    """The run's artifacts through which data and detectors travel.

    Attributes
    ----------
    tracking_uri, run_id : str
        The run whose artifacts they are; a worker whose environment names a tracking server asks that one.
    sources : mapping of Source to str
        Names of their prepared folders.
    folders : tuple of str
        What every worker needs, as `KIND/KEY` of a data folder.
    """

    tracking_uri: str
    run_id: str
    sources: Mapping[Source, str]
    folders: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The tracking server's address, as this process reaches it."""
        return os.environ.get("MLFLOW_TRACKING_URI", self.tracking_uri)

    def holds(self, extractor_keys: Iterable[str]) -> bool:
        """Whether workers have all of these extractors."""
        return {f"extractors/{key}" for key in extractor_keys} <= set(self.folders)

    def leave(self, folder: Path, name: str) -> None:
        """Upload a folder."""
        from mlflow import MlflowClient

        with TemporaryDirectory() as temporary:
            packed = Path(temporary) / f"{Path(name).name}.tar"
            with tarfile.open(packed, "w") as archive:
                for path in sorted(folder.iterdir()):
                    if path.name != CONTENTS:
                        archive.add(path, path.name)
            place = f"{ROOT}/{Path(name).parent}"
            _patiently(lambda: MlflowClient(self.uri).log_artifact(self.run_id, str(packed), place))

    def take(self, name: str, folder: Path) -> None:
        """Download what was uploaded under a name, into a folder that exists."""
        from mlflow.artifacts import download_artifacts

        address = {"run_id": self.run_id, "artifact_path": f"{ROOT}/{name}.tar", "tracking_uri": self.uri}
        with fetching_folder() as temporary:
            packed = _patiently(lambda: download_artifacts(**address, dst_path=temporary))
            with tarfile.open(packed) as archive:
                archive.extractall(folder, filter="data")

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """On a worker: fetch all data into its own data folder, and use them from there while active."""
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        data_dir = default_data_dir()
        for name in self.folders:
            published_folder(data_dir / name, partial(self.take, name))
        with fetched_folders(self.sources):
            yield data_dir


@contextmanager
def opened_exchange(
    tracking: Tracking, run_id: str, cells: Iterable[Cell], execution: Execution, workers: Workers
) -> Iterator[Exchange | None]:
    """Upload what cells read as a run's artifacts, for workers that need it; remove it at the end.

    Yields
    ------
    Exchange or None
        None where the workers share the data folder.

    Raises
    ------
    UserError
        If the workers can't fetch it.
    """
    cells = list(cells)
    if workers.near is workers or not cells:
        yield None
        return
    if tracking.uri.startswith(LOCAL):
        raise UserError(
            f"the cluster's workers see neither data_dir {str(execution.data_dir)!r} nor the tracking server "
            f"{tracking.shown}: give a data_dir that they share, or set MLFLOW_TRACKING_URI to a server's"
        )
    data_dir = execution.data_dir
    sources = {parse_source(text) for cell in cells for text in cell.comparison.dataset.sources}
    prepared = {source: prepared_folder(source, data_dir) for source in sources}
    folders = {*prepared.values()}
    folders |= {extractor_folder(data_dir, cell.extractor_key) for cell in cells if cell.extractor_key}
    folders |= {
        feature_folder(data_dir, task.extractor_key, task.data_digest, task.limit)
        for task in feature_tasks(cells, data_dir)
    }
    names = tuple(sorted(str(folder.relative_to(data_dir)) for folder in folders))
    exchange = Exchange(tracking.uri, run_id, {source: path.name for source, path in prepared.items()}, names)
    click.echo(f"the workers don't share the data folder: {len(names)} folders go to each by the tracking server")
    try:
        for name in names:
            exchange.leave(data_dir / name, name)
        for outcome in workers.run(_fetch, [exchange]):
            if outcome.failure:
                raise UserError(
                    f"the cluster's workers can't fetch data from {tracking.shown} ({outcome.failure.message[:200]}): "
                    "see that they reach it, or give a data_dir that they share"
                )
        yield exchange
    finally:
        with suppress(Exception):  # what is left there is only in the way
            _remove(tracking, run_id)


def cell_task(exchange: Exchange | None, execution: Execution) -> Callable[[Cell], CellResult]:
    """Make the function that trains a cell on a worker, from the shared data folder or through the exchange."""
    if exchange:
        keeps = execution.kept_models is not None
        return partial(_cell_away, exchange=exchange, device=execution.device, keeps=keeps)
    return partial(run_cell, data_dir=execution.data_dir, device=execution.device, keep=execution.kept_models)


def trial_task(
    exchange: Exchange | None, execution: Execution, is_hopeless: Callable[[ReachedBudget], bool]
) -> Callable[[Trial], TrialResult]:
    """Make the function that runs a trial on a worker."""
    if exchange:
        return partial(_trial_away, exchange=exchange, device=execution.device, is_hopeless=is_hopeless)
    return partial(run_trial, data_dir=execution.data_dir, device=execution.device, is_hopeless=is_hopeless)


def head_task(exchange: Exchange | None, execution: Execution) -> Callable[[HeadTask], Calibration]:
    """Make the function that makes a head on a worker; with an exchange, the head must be fetched afterwards."""
    if exchange:
        return partial(_head_away, exchange=exchange, device=execution.device)
    return partial(make_head, data_dir=execution.data_dir, device=execution.device)


def _cell_away(cell: Cell, exchange: Exchange, device: str, keeps: bool) -> CellResult:
    """`run_cell`, which then uploads a kept detector to the exchange."""
    with exchange.at_hand() as data_dir, TemporaryDirectory() as temporary:
        result = run_cell(cell, data_dir, device, Path(temporary) if keeps else None)
        for folder in Path(temporary).iterdir():
            with suppress(Exception):  # it can be trained again
                exchange.leave(folder, f"models/{folder.name}")
        return result


def _trial_away(
    trial: Trial, exchange: Exchange, device: str, is_hopeless: Callable[[ReachedBudget], bool]
) -> TrialResult:
    """`run_trial`."""
    with exchange.at_hand() as data_dir:
        return run_trial(trial, data_dir, device, is_hopeless)


def _head_away(task: HeadTask, exchange: Exchange, device: str) -> Calibration:
    """`make_head`, which then uploads the head to the exchange."""
    with exchange.at_hand() as data_dir, TemporaryDirectory() as temporary:
        kept = kept_detector(Path(temporary), task.cell, task.budget)
        with suppress(Exception):  # it wasn't kept: it is trained again
            (Path(temporary) / "kept").mkdir()
            exchange.take(f"models/{kept.name}", Path(temporary) / "kept")
            (Path(temporary) / "kept").rename(kept)
        folder = Path(temporary) / "head"
        calibration = make_head(replace(task, kept=kept, folder=folder), data_dir, device)
        exchange.leave(folder, head_name(task))
        return calibration


def head_name(task: HeadTask) -> str:
    """The name under which a head is uploaded."""
    return f"heads/{task.cell.key}-{task.budget}"


def _fetch(exchange: Exchange) -> None:
    with exchange.at_hand():
        pass


def _patiently(job: Callable[[], _Result]) -> _Result:
    """Do a job, and try again while the tracking server is away."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return job()
        except Exception as error:
            if not is_away(error) or time.monotonic() > end:
                raise
            time.sleep(5)


def _remove(tracking: Tracking, run_id: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    address = records.get_run(tracking, run_id).artifact_uri
    repository: Any = get_artifact_repository(address, tracking_uri=tracking.uri)
    repository.delete_artifacts(ROOT)
