"""The page of figures that an extractor's run gets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fanogan_mtl import figures
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Section, Text
from fanogan_mtl.pages.render import write_page
from fanogan_mtl.report.charts.extractors import (
    Trained,
    accuracy_charts,
    batch_chart,
    component_charts,
    example_rows,
    joint_set,
    maps_chart,
)
from fanogan_mtl.sweep.pretraining import images_of

SHOWN_PROJECTED = 1000  # images whose features are projected, or fewer large ones
SHOWN_PIXELS = 2**27
ACCURACY = (
    "Training accuracy is measured while the epoch trains. The epoch was chosen by validation accuracy; the test was "
    "measured once, at that epoch."
)
COUNTS = (
    "Images that were learned from, the fifth for validation included. In the joint set the smaller domains are "
    "resampled up to the largest one's number of each class."
)


def write_extractor_page(trained: Trained, folder: Path, data_dir: Path) -> list[Path]:
    """Write `extractor.html`: curves, what was learned from, feature maps, a projection of features."""
    return write_page(folder / "extractor.html", trained.title, partial(_sections, trained, data_dir))


def _sections(trained: Trained, data_dir: Path) -> Iterator[Section]:
    for curves in accuracy_charts(trained):
        yield Section("Accuracy against epochs", (Text(ACCURACY), curves))
    for curves in component_charts(trained):
        text = "Share of the variance, and the mean squared error left, of what the components are made of."
        yield Section("Principal components", (Text(text), curves))
    pool = trained.pool
    rows = example_rows(trained, data_dir)
    if trained.extractor.learns:
        counts, batch = joint_set(trained, rows)
        counted = chart(f"Images of each class of {pool.name}", partial(figures.class_counts_figure, counts))
        yield Section("Images of each class", (Text(COUNTS), counted))
        yield Section("A joint batch", (Text("Every batch mixes all domains."), batch_chart(trained, batch)))
    most = max(2, min(SHOWN_PROJECTED, SHOWN_PIXELS // trained.extractor.input_spec.image_size**2))
    shown = rows[:: -(-len(rows) // most)]
    images = images_of(trained.spec, pool, shown, trained.extractor.input_spec, data_dir)
    features, labels = trained.extractor.transform(images), pool.train.labels[shown]
    different, first = np.unique(labels, return_index=True)
    names = np.array(pool.classes)[different].tolist()
    yield Section("Features as maps", (Text("One image of each class."), maps_chart(trained, features[first], names)))
    if features.shape[1] > 1:
        points = figures.projection_data(features, labels, pool.train.domains[shown], pool.classes, pool.domains)
        projected = chart(f"Features of {trained.title}", partial(figures.projection_figure, points))
        text = "Principal components of the features of images that were learned from."
        yield Section("Features in two dimensions", (Text(text), projected))
