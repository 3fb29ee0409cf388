"""The page of figures that an extractor's run gets, and the table of several extractors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanogan_mtl import figures
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.joint import JointSampler
from fanogan_mtl.extractors.base import Extractor, InputSpec, Projection
from fanogan_mtl.page import html_page
from fanogan_mtl.sweep.pretraining import Pretraining, images_of
from fanogan_mtl.workflows.pages import Section

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
    """Write `extractor.html`: curves, the joint set, feature maps, a projection of features."""
    title = str(pretraining)
    known = np.isin(np.array(pool.classes)[pool.train.labels], extractor.classes_)
    shown = _evenly(np.flatnonzero(known), SHOWN_PROJECTED)
    images = images_of(pretraining.pool, pool, shown, extractor.input_spec, data_dir)
    features = extractor.transform(images)
    labels, domains = pool.train.labels[shown], pool.train.domains[shown]
    sections: list[Section] = []
    if description["history"]:
        sections += _curves(description, title)
    projection = extractor.network_.projection
    if isinstance(projection, Projection):
        sections.append(_components(projection, title))
    counts = {name: pool.train.labels[pool.train.domains == at] for at, name in enumerate(pool.domains)}
    sampler = JointSampler(pool.train.labels[known], pool.train.domains[known], SHOWN_BATCH, pretraining.seed)
    joint = np.flatnonzero(known)[sampler.rows()]
    if len(pool.domains) > 1:
        counts["joint set"] = pool.train.labels[joint]
    data = figures.class_counts_data(counts, pool.classes)
    batch = joint[:SHOWN_BATCH]
    of_batch = images_of(pretraining.pool, pool, np.sort(batch), InputSpec(), data_dir)
    batch = np.sort(batch)
    names = np.array(pool.classes)
    sections += [
        (
            "Images of each class",
            "In the joint set the smaller domains are resampled up to the largest one's number of each class.",
            figures.class_counts_figure(data, pool.name),
        ),
        (
            "A joint batch",
            "Every batch mixes all domains.",
            figures.joint_batch_figure(
                figures.joint_batch_data(
                    of_batch,
                    names[pool.train.labels[batch]].tolist(),
                    np.array(pool.domains)[pool.train.domains[batch]].tolist(),
                ),
                "Images of one batch",
            ),
        ),
        (
            "Features as maps",
            "One training image of each class.",
            figures.feature_maps_figure(
                figures.feature_maps_data(
                    np.stack([features[labels == label][0] for label in np.unique(labels)]),
                    names[np.unique(labels)].tolist(),
                ),
                f"{features.shape[1]} features",
            ),
        ),
    ]
    if features.shape[1] > 1:
        data2 = figures.projection_data(features, labels, domains, pool.classes, pool.domains)
        sections.append(
            (
                "Features in two dimensions",
                "Principal components of the features of training images.",
                figures.projection_figure(data2, title),
            )
        )
    page = folder / "extractor.html"
    page.write_text(html_page(title, sections))
    return [page]


def curves_of(description: Mapping[str, Any]) -> dict[str, dict[int, float]]:
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
    curves = curves_of(description)
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


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[:: max(1, -(-len(rows) // most))]
