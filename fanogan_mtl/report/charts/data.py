"""The study's figures of the data: samples of each set (3.1) and class counts (3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.data.catalog import sample_sheets
from fanogan_mtl.data.dataset import Dataset, class_counts, copy_count
from fanogan_mtl.data.sheets import SampleSheet
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Chart, Fold, PageBlock, Section, Table, Text, number


def data_section(datasets: Mapping[str, tuple[DatasetSpec, Dataset | None]], data_dir: Path) -> Section:
    """Show what the data sets are; `datasets` is name to spec and data, None where it isn't to be had as it was."""
    blocks: list[PageBlock] = []
    for name, (spec, dataset) in datasets.items():
        if dataset is None:
            blocks.append(Text(f"{name}: the data isn't here as it was, so it isn't shown.", "note"))
            continue
        blocks.append(Fold(f"{name}: how many images, and samples", data_charts(name, spec, dataset, data_dir)))
    return Section("The data (study's figures 3.1 and 3.4)", tuple(blocks), "data")


def data_charts(name: str, spec: DatasetSpec, dataset: Dataset, data_dir: Path) -> tuple[Chart, ...]:
    """Draw how many images each class has, and samples of them; those of a pool are its members'."""
    counts = class_counts(dataset)
    charts = [_counts_chart(name, dataset, counts)]
    if len(spec.sources) == 1 and dataset.is_images:
        (sheet,) = sample_sheets(spec, data_dir)
        charts.append(_samples_chart(name, sheet, counts))
    return tuple(charts)


def _counts_chart(name: str, dataset: Dataset, counts: Mapping[str, Mapping[str, int]]) -> Chart:
    labels = {"train": dataset.train.labels, "test": dataset.test.labels}
    rows = tuple(
        (each, tuple(number(counts[part][each], "{:,.0f}") for part in ("train", "test"))) for each in dataset.classes
    )
    caption = "Images of each class."
    if copies := copy_count(dataset):
        caption += f" {copies:,} of them are copies of others."
    table = Table(f"class counts of {name}", caption, ("class", "train", "test"), rows)
    draw = partial(figures.class_counts_figure, figures.class_counts_data(labels, dataset.classes))
    return chart(f"{name}: images of each class", draw, table)


def _samples_chart(name: str, sheet: SampleSheet, counts: Mapping[str, Mapping[str, int]]) -> Chart:
    shown = sheet.raw.shape[1]
    sizes = [" × ".join(map(str, images.shape[2:4])) for images in (sheet.raw, sheet.prepared)]
    caption = (
        f"First training images of each class, as they are ({sizes[0]} px) and as they are prepared ({sizes[1]} px)."
    )
    rows = tuple(
        (each, (number(min(4, shown), "{:.0f}"), number(counts["train"][each], "{:,.0f}"))) for each in sheet.classes
    )
    table = Table(f"samples of {name}", caption, ("class", "shown", "training images"), rows)
    return chart(f"{name}: raw and prepared", partial(_sample_figure, sheet), table)


def _sample_figure(sheet: SampleSheet, title: str) -> go.Figure:
    """Draw a set's sample sheet."""
    classes, images = sheet.raw.shape[:2]
    labels = np.repeat(np.arange(classes), images)
    raw, prepared = (array.reshape(classes * images, *array.shape[2:]) for array in (sheet.raw, sheet.prepared))
    data = figures.sample_sheet_data(raw, prepared, labels, sheet.classes)
    return figures.sample_sheet_figure(data, title)
