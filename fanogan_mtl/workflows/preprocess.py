"""Preprocessing: prepare the data sets, check them, and show in MLflow what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset, class_counts, copy_count
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets
from fanogan_mtl.pages.content import Section
from fanogan_mtl.pages.render import write_page
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import PreprocessOptions
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.state import data_input
from fanogan_mtl.report.charts.data import data_charts
from fanogan_mtl.text_table import text_table
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
        make = partial(_sections, specs, datasets, data_dir)
        files = write_page(Path(folder) / "data.html", "The data sets", make)
        tags = {schema.PREPROCESS_KEY: preprocess_key(datasets)}
        records.write(tracking, run_id, Record(values=_values(datasets), tags=tags, files=files, time=records.now()))
    _print(datasets, data_dir, tracking, run_id)
    return 0


def preprocess_key(datasets: Sequence[Dataset]) -> str:
    """Digest of which data was prepared and under which names."""
    return digest_of([(dataset.name, dataset.digest) for dataset in datasets])


def _sections(specs: tuple[DatasetSpec, ...], datasets: list[Dataset], data_dir: Path) -> Iterator[Section]:
    for spec, dataset in zip(specs, datasets, strict=True):
        for chart in data_charts(dataset.name, spec, dataset, data_dir):
            yield Section(chart.label, (chart,))


def _values(datasets: list[Dataset]) -> list[records.Value]:
    return [
        records.Value(f"{part}_images_{dataset.name.replace('+', '.')}", sum(counts.values()), 0)
        for dataset in datasets
        for part, counts in class_counts(dataset).items()
    ]


def _print(datasets: list[Dataset], data_dir: Path, tracking: Tracking, run_id: str) -> None:
    rows = [["data set", "training", "test", "classes", "copies", "digest"]]
    for dataset in datasets:
        counts = (len(dataset.train.labels), len(dataset.test.labels), len(dataset.classes), copy_count(dataset))
        rows.append([dataset.name, *map(str, counts), dataset.digest[:16]])
    click.echo(text_table(rows, left=(0, 5)))
    click.echo(f"\n{size_line(data_dir)}")
    click.echo(f"Sheets and counts are in data.html of run {run_id} in {tracking.shown}")
