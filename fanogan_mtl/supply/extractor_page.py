"""The page of figures that an extractor's run gets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fanogan_mtl import figures
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.extractors.base import Projection
from fanogan_mtl.page import Section, write_page
from fanogan_mtl.report.charts.extractors import (
    Trained,
    accuracy_curves,
    accuracy_figure,
    component_curves,
    joint_set,
    learned_rows,
    maps_figure,
)
from fanogan_mtl.sweep.pretraining import images_of

SHOWN_PROJECTED = 1000  # images whose features are projected


def write_extractor_page(trained: Trained, folder: Path, data_dir: Path) -> list[Path]:
    """Write `extractor.html`: curves, what was learned from, feature maps, a projection of features."""
    page = folder / "extractor.html"
    write_page(page, trained.title, partial(_sections, trained, data_dir))
    return [page]


def _sections(trained: Trained, data_dir: Path) -> list[Section]:
    title, pool, extractor = trained.title, trained.pool, trained.extractor
    classes, labels, domains = np.array(pool.classes), pool.train.labels, pool.train.domains
    rows = learned_rows(trained, data_dir)
    shown = rows[:: -(-len(rows) // SHOWN_PROJECTED)]
    features = extractor.transform(images_of(trained.spec, pool, shown, extractor.input_spec, data_dir))
    sections: list[Section] = []
    if accuracy_curves(trained.description):
        text = (
            "Training accuracy is measured while the epoch trains. The epoch was chosen by validation accuracy;"
            " the test was measured once, at that epoch."
        )
        sections.append(("Accuracy against epochs", text, partial(accuracy_figure, trained.description, title)))
    projection = extractor.network_.projection
    if isinstance(projection, Projection):
        text = "Share of the variance, and the mean squared error left, of what the components are made of."
        sections.append(("Principal components", text, partial(_components, projection, title)))
    counts, batch = joint_set(pool, rows, int(trained.description["seed"]))
    text = (
        "Images that were learned from, the fifth for validation included. In the joint set the smaller domains are"
        " resampled up to the largest one's number of each class."
    )
    different, first = np.unique(labels[shown], return_index=True)
    maps = partial(maps_figure, features[first], classes[different].tolist(), f"{features.shape[1]} features")
    batch_figure = partial(figures.joint_batch_figure, batch, "Images of one batch")
    sections += [
        ("Images of each class", text, partial(figures.class_counts_figure, counts, pool.name)),
        ("A joint batch", "Every batch mixes all domains.", batch_figure),
        ("Features as maps", "One image of each class.", maps),
    ]
    if features.shape[1] > 1:
        text = "Principal components of the features of images that were learned from."
        projected = partial(_projected, features, labels[shown], domains[shown], pool, title)
        sections.append(("Features in two dimensions", text, projected))
    return sections


def _components(projection: Projection, title: str) -> go.Figure:
    return figures.pca_curves_figure(component_curves(projection), title)


def _projected(
    features: NDArray[np.float32], labels: NDArray[np.int64], domains: NDArray[np.int64], pool: Dataset, title: str
) -> go.Figure:
    points = figures.projection_data(features, labels, domains, pool.classes, pool.domains)
    return figures.projection_figure(points, title)
