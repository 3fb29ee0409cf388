"""The page of figures that an extractor's run gets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl import figures
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.joint import JointSampler
from fanogan_mtl.extractors.base import Extractor, Projection
from fanogan_mtl.figures.images import CELL, shrunk
from fanogan_mtl.page import html_page
from fanogan_mtl.sweep.pretraining import Pretraining, images_of, learned_from
from fanogan_mtl.workflows.pages import Section

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN_BATCH = 48  # images of a joint batch
SHOWN_PROJECTED = 1000  # images whose features are projected


def write_extractor_page(
    pretraining: Pretraining,
    description: Mapping[str, Any],
    extractor: Extractor,
    pool: Dataset,
    folder: Path,
    data_dir: Path,
) -> list[Path]:
    """Write `extractor.html`: curves, what was learned from, feature maps, a projection of features."""
    title = str(pretraining)
    classes, labels, domains = np.array(pool.classes), pool.train.labels, pool.train.domains
    learned = np.isin(pool.train.hashes, learned_from(data_dir, pretraining.key))
    if extractor.uses_labels:  # a copy of what was learned may lie in a class that was held out
        learned &= np.isin(classes[labels], extractor.classes_)
    rows = np.flatnonzero(learned)
    shown = rows[:: -(-len(rows) // SHOWN_PROJECTED)]
    features = extractor.transform(images_of(pretraining.pool, pool, shown, extractor.input_spec, data_dir))
    sections: list[Section] = []
    if description["history"]:
        sections += _curves(description, title)
    projection = extractor.network_.projection
    if isinstance(projection, Projection):
        sections.append(_components(projection, title))
    sections += [
        *_joint_set(pool, rows, pretraining.seed),
        ("Features as maps", "One image of each class.", _maps(features, labels[shown], classes)),
    ]
    if features.shape[1] > 1:
        points = figures.projection_data(features, labels[shown], domains[shown], pool.classes, pool.domains)
        text = "Principal components of the features of images that were learned from."
        sections.append(("Features in two dimensions", text, figures.projection_figure(points, title)))
    page = folder / "extractor.html"
    page.write_text(html_page(title, sections))
    return [page]


def _joint_set(pool: Dataset, rows: NDArray[np.int64], seed: int) -> list[Section]:
    """Counts of what was learned from and of the joint set, and one of its batches."""
    labels, domains = pool.train.labels[rows], pool.train.domains[rows]
    joint = JointSampler(labels, domains, SHOWN_BATCH, seed).rows()
    counts = {name: labels[domains == position] for position, name in enumerate(pool.domains)}
    if len(pool.domains) > 1:
        counts["joint set"] = labels[joint]
    batch = np.sort(joint[:SHOWN_BATCH])  # domain by domain
    sheet = figures.joint_batch_data(
        shrunk(np.asarray(pool.train.pixels[rows[batch]]), CELL),
        np.array(pool.classes)[labels[batch]].tolist(),
        np.array(pool.domains)[domains[batch]].tolist(),
    )
    text = (
        "Images that were learned from, the fifth for validation included. In the joint set the smaller domains are"
        " resampled up to the largest one's number of each class."
    )
    data = figures.class_counts_data(counts, pool.classes)
    return [
        ("Images of each class", text, figures.class_counts_figure(data, pool.name)),
        ("A joint batch", "Every batch mixes all domains.", figures.joint_batch_figure(sheet, "Images of one batch")),
    ]


def _maps(features: NDArray[np.float32], labels: NDArray[np.int64], classes: NDArray[np.str_]) -> go.Figure:
    """Features of the first image of each class."""
    different, first = np.unique(labels, return_index=True)
    sheet = figures.feature_maps_data(features[first], classes[different].tolist())
    return figures.feature_maps_figure(sheet, f"{features.shape[1]} features")


def _curves_by_name(description: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """What was measured, by name (as `validation mnist`) and epoch."""
    curves: dict[str, dict[int, float]] = {}
    for epoch, entry in enumerate(description["history"], start=1):
        for name, value in entry.items():
            measured, _, part = name.partition("_")
            if measured != "accuracy":
                continue
            curves.setdefault(part.replace("_", " ", 1), {})[epoch] = value
    return curves


def _curves(description: Mapping[str, Any], title: str) -> list[Section]:
    curves = _curves_by_name(description)
    if not curves:
        return []
    final = {f"test {name}": value for name, value in description["test_accuracy"].items()}
    data = figures.accuracy_by_epochs_data(curves, final, description["best_epoch"])
    text = (
        "Training accuracy is measured while the epoch trains. The epoch was chosen by validation accuracy;"
        " the test was measured once, at that epoch."
    )
    return [("Accuracy against epochs", text, figures.accuracy_by_epochs_figure(data, title))]


def _components(projection: Projection, title: str) -> Section:
    total = float(projection.total_variance)
    ratio = projection.explained_variance.double().numpy() / total
    residual = total * (1 - np.cumsum(ratio)).clip(0) / projection.components.shape[1]
    return (
        "Principal components",
        "Share of the variance, and the mean squared error left, of what the components are made of.",
        figures.pca_curves_figure(figures.pca_curves_data(ratio, residual), title),
    )
