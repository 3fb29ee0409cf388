"""Makes the plan of a sweep: options as typed become checked data sets, comparisons and cells; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from pathlib import Path

import click

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset, copies_of_training_images, under_two_classes
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets
from fanogan_mtl.data.splits import split_rows
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import BenchmarkOptions, WhereOptions
from fanogan_mtl.plan.words import DetectorChoice, FindStudy
from fanogan_mtl.sweep.cell import Cell, Comparison, result_version
from fanogan_mtl.sweep.cluster import Cluster
from fanogan_mtl.sweep.parameters import cells_of, comparison_parameters
from fanogan_mtl.sweep.processes import prepare_processes
from fanogan_mtl.sweep.workers import Workers

SOME_COPIES = 0.01  # of the test images: fewer are no news


@dataclass(frozen=True)
class Execution:
    """How cells are run; none of it changes a result.

    Attributes
    ----------
    data_dir : Path
        Where prepared data is.
    device : {"auto", "cpu", "cuda"}
    workers : int
        Worker processes on this machine, one thread each.
    cluster : Cluster or None
        Workers elsewhere, used in their stead.
    log_models : {"none", "best", "all"}
    dry_run, retry : bool
    """

    data_dir: Path
    device: str
    workers: int
    cluster: Cluster | None = None
    log_models: str = "none"
    dry_run: bool = False
    retry: bool = False

    @property
    def n_workers(self) -> int:
        """How many cells run at a time."""
        return self.cluster.n_workers if self.cluster else self.workers

    def prepare_workers(self) -> None:
        """Let worker processes of this machine import what they need, while the caller does something else."""
        if self.cluster is None and not self.dry_run:
            prepare_processes()

    def open_workers(self) -> Workers:
        """Open the workers, in a `with`."""
        return Workers(self.workers, self.cluster)

    @property
    def kept_models(self) -> Path | None:
        """Where trained detectors wait for the end of the sweep, when it is known which are logged."""
        return None if self.log_models == "none" else self.data_dir / "models"


@dataclass(frozen=True)
class PlannedComparison:
    """A comparison with its data set, the detector's setting as chosen, and the cells asked for.

    Attributes
    ----------
    extractor_parameters : str
        JSON object, and the domains that the extractor learned from as `data`; of comparisons on features.
    seen : str
        One sentence on what the extractor had seen.
    """

    comparison: Comparison
    dataset: Dataset
    setting: str
    cells: tuple[Cell, ...]
    extractor_parameters: str = "{}"
    seen: str = ""

    @property
    def label(self) -> str:
        """The comparison's."""
        return self.comparison.label


@dataclass(frozen=True)
class Plan:
    """Everything a sweep is going to do."""

    comparisons: tuple[PlannedComparison, ...]
    execution: Execution

    @property
    def datasets(self) -> list[tuple[DatasetSpec, Dataset]]:
        """The data sets, each once, in the order asked for."""
        return list({each.dataset.name: (each.comparison.dataset, each.dataset) for each in self.comparisons}.values())

    @property
    def cells(self) -> list[Cell]:
        """All cells in the order they run.

        First one of each comparison, with all checks, so that what is wrong or slow
        shows early. Then data set by data set, the largest first, so that the last cells are short and no core waits
        long for another; its comparisons in turn: with short cells between long ones, recording keeps pace.
        """
        cells = [replace(each.cells[0], untrained=True) for each in self.comparisons]
        by_size = sorted(self.comparisons, key=lambda each: -len(each.dataset.train.labels))
        for _, own in groupby(by_size, key=lambda each: each.dataset.name):
            for turn in zip_longest(*(each.cells[1:] for each in own)):
                cells += [cell for cell in turn if cell is not None]
        return cells


@dataclass(frozen=True)
class Asked:
    """The options of every entry that trains detectors, read and checked.

    Attributes
    ----------
    datasets : tuple of (DatasetSpec, Dataset, tuple of str)
        Each with the classes that are normal in turn.
    """

    datasets: tuple[tuple[DatasetSpec, Dataset, tuple[str, ...]], ...]
    detectors: tuple[DetectorChoice, ...]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]
    limit: int | None
    execution: Execution


def read_options(options: BenchmarkOptions, find_study: FindStudy | None = None) -> Asked:
    """Check every option and prepare the data.

    Parameters
    ----------
    find_study : callable, optional
        Looks up tuning studies that the options name.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    specs = parse_datasets(options.dataset)
    detectors = read_detectors(options, find_study)
    budgets = read.parse_integers("epochs", options.epochs, 1)
    seeds = read.parse_integers("seeds", options.seeds, 0)
    limit = read.parse_integer("limit", options.limit, 1, "none")
    execution = read_execution(options)
    datasets = []
    for spec, dataset in [(spec, load_dataset(spec, execution.data_dir)) for spec in specs]:
        classes = read.parse_classes(options.classes, dataset.normal_classes, dataset.name)
        _say_copies(dataset)
        datasets.append((spec, dataset, _large_enough(dataset, classes, seeds[0], limit, options.classes == "all")))
    return Asked(tuple(datasets), detectors, budgets, seeds, limit, execution)


def _say_copies(dataset: Dataset) -> None:
    """Say which images are not tested although they are there: those under two classes, and copies of training images.

    A split can't count the former as anomalies of either class.
    """
    number, names = under_two_classes(dataset) if dataset.is_images else (0, ())
    if number:
        click.echo(
            f"{dataset.name}: {number:,} images have the same content under another class, too ({', '.join(names)}): "
            "where one of them is normal, its copies are no anomalies",
            err=True,
        )
    copies = copies_of_training_images(dataset) if dataset.is_images else 0
    if copies > SOME_COPIES * len(dataset.test.labels):
        click.echo(f"{dataset.name}: {copies:,} test images are copies of training images, and not tested", err=True)


def _large_enough(
    dataset: Dataset, classes: Sequence[str], seed: int, limit: int | None, all_asked: bool
) -> tuple[str, ...]:
    """Classes that can be the normal one; of all of them, those that are too small are left out with one line.

    Raises
    ------
    UserError
        For a class that is too small and was asked for by name, and where all are.
    """
    kept, refused = [], []
    for name in classes:
        try:
            split_rows(dataset, name, seed, limit)
            kept.append(name)
        except UserError as error:
            refused.append((name, error))
    if refused and (not all_asked or not kept):
        raise refused[0][1]
    if refused:
        names = ", ".join(name for name, _ in refused)
        click.echo(f"{dataset.name}: never the normal class, but an anomaly: {names} ({refused[0][1]})", err=True)
    return tuple(kept)


def read_detectors(options: BenchmarkOptions, find_study: FindStudy | None = None) -> tuple[DetectorChoice, ...]:
    """Check the options that say which detectors, in which settings."""
    common = {name: getattr(options, name) for name in ("batch_size", "latent_dim", "kappa")}
    return tuple(read.parse_detectors(options.detectors, options.detector_params, common, find_study))


def make_plan(options: BenchmarkOptions, find_study: FindStudy | None = None) -> Plan:
    """Read the options and lay out the cells.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    asked = read_options(options, find_study)
    comparisons = []
    for spec, dataset, classes in asked.datasets:
        for choice in asked.detectors:
            parameters = comparison_parameters(choice.name, choice.parameters)
            comparison = Comparison(
                spec,
                dataset.digest,
                choice.name,
                parameters,
                asked.budgets,
                asked.limit,
                result_version=result_version(choice.name),
            )
            cells = tuple(cells_of(comparison, classes, asked.seeds))
            comparisons.append(PlannedComparison(comparison, dataset, choice.setting, cells))
    return Plan(tuple(comparisons), asked.execution)


def read_where(options: WhereOptions) -> Execution:
    """Check the options that say where tasks run."""
    data_dir = read.parse_data_dir(options.data_dir)
    return Execution(
        data_dir=data_dir,
        device=read.parse_device(options.device),
        workers=read.parse_workers(options.workers),
        cluster=read.parse_scheduler(options.scheduler, data_dir),
    )


def read_execution(options: BenchmarkOptions) -> Execution:
    """Check the options that say how cells are run."""
    return replace(
        read_where(options),
        log_models=read.parse_choice("log_models", options.log_models, ("none", "best", "all")),
        dry_run=read.parse_flag("dry_run", options.dry_run),
        retry=read.parse_flag("retry", options.retry),
    )
