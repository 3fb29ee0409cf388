"""Preprocessing: prepare the data sets, check them, and show in MLflow what they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.data.catalog import load_dataset, sample_sheets
from fanogan_mtl.data.dataset import Dataset, class_counts, copy_count
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets
from fanogan_mtl.page import Section, write_page
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import PreprocessOptions
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.state import data_input
from fanogan_mtl.report.charts.data import sample_figure
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.upkeep.prune import size_line


def preprocess(options: PreprocessOptions, tracking: Tracking | None = None) -> int:
    """Prepare data sets and record them as one run.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        For an unknown data set, one that can't be read, or a folder that can't be written.
    """
    specs = parse_datasets(options.dataset)
    data_dir = read.parse_data_dir(options.data_dir)
    datasets = []
    for spec in specs:
        click.echo(f"preparing {spec.name}", err=True)
        datasets.append(load_dataset(spec, data_dir))
    tracking = tracking or connect()
    inputs = [data_input(spec, dataset) for spec, dataset in zip(specs, datasets, strict=True)]
    with (
        entry_run(tracking, "preprocess", options.dataset, options, data_dir=data_dir) as run_id,
        TemporaryDirectory() as folder,
    ):
        records.log_data(tracking, run_id, inputs)
        page = Path(folder) / "data.html"
        write_page(page, "The data sets", partial(_sections, specs, datasets, data_dir))
        tags = {schema.PREPROCESS_KEY: preprocess_key(datasets)}
        records.write(tracking, run_id, Record(values=_values(datasets), tags=tags, files=[page], time=records.now()))
    _print(datasets, data_dir, tracking, run_id)
    return 0


def preprocess_key(datasets: Sequence[Dataset]) -> str:
    """Digest of which data was prepared and under which names."""
    return digest_of([(dataset.name, dataset.digest) for dataset in datasets])


def _sections(specs: tuple[DatasetSpec, ...], datasets: list[Dataset], data_dir: Path) -> list[Section]:
    sections: list[Section] = []
    for spec, dataset in zip(specs, datasets, strict=True):
        sections.append((f"{dataset.name}: images of each class", "", partial(_counts, dataset)))
        if len(spec.sources) == 1 and dataset.is_images:  # a pool's images are its members'
            sections.append((f"{dataset.name}: raw and prepared", "", partial(_samples, spec, data_dir)))
    return sections


def _counts(dataset: Dataset) -> go.Figure:
    labels = {"train": dataset.train.labels, "test": dataset.test.labels}
    return figures.class_counts_figure(figures.class_counts_data(labels, dataset.classes), dataset.name)


def _samples(spec: DatasetSpec, data_dir: Path) -> go.Figure:
    return sample_figure(sample_sheets(spec, data_dir)[0])


def _values(datasets: list[Dataset]) -> list[records.Value]:
    return [
        records.Value(f"{part}_images_{dataset.name.replace('+', '.')}", sum(counts.values()), 0)
        for dataset in datasets
        for part, counts in class_counts(dataset).items()
    ]


def _print(datasets: list[Dataset], data_dir: Path, tracking: Tracking, run_id: str) -> None:
    click.echo(f"{'data set':40} {'training':>9} {'test':>7} {'classes':>8} {'copies':>7}  digest")
    for dataset in datasets:
        sizes = f"{len(dataset.train.labels):9} {len(dataset.test.labels):7} {len(dataset.classes):8}"
        click.echo(f"{dataset.name:40} {sizes} {copy_count(dataset):7}  {dataset.digest[:16]}")
    click.echo(f"\n{size_line(data_dir)}")
    click.echo(f"Sheets and counts are in data.html of run {run_id} in {tracking.shown}")
