"""Figures of a trained extractor: a joint batch (3.3), feature maps (4.6), accuracy (5.2 to 5.4), components (5.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl import figures
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.joint import JointSampler
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.modules import Projection
from fanogan_mtl.figures.extractors import PcaCurves
from fanogan_mtl.figures.images import CELL, ClassCounts, JointBatch, shrunk
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Chart, Entry, Fold, PageBlock, Section, Table, Text, number, share
from fanogan_mtl.sweep.pretraining import images_of, learned_from

SHOWN_BATCH = 48  # images of a joint batch
COMPONENTS_SHOWN = (1, 2, 5, 10, 20, 50, 100, 150)  # rows of the table of components


@dataclass(frozen=True)
class Trained:
    """A trained extractor with what it learned from."""

    title: str
    key: str
    description: Mapping[str, Any]
    extractor: Extractor
    spec: DatasetSpec
    pool: Dataset


def extractor_section(trained: Sequence[Trained], data_dir: Path) -> Section:
    """Draw how extractors learned and what they make of images."""
    blocks: list[PageBlock] = []
    if first := next((each for each in trained if each.extractor.learns), None):
        _, batch = joint_set(first, example_rows(first, data_dir))
        blocks.append(Fold("A joint batch, of which every extractor learns", (batch_chart(first, batch),)))
    for each in trained:
        charts = (*accuracy_charts(each), *component_charts(each), _maps_of_each_class(each, data_dir))
        blocks.append(Fold(f"{each.title}: how it learned, and what it makes of images", charts))
    title = "Extractors (study's figures 3.3, 4.6, 5.2 to 5.4 and 5.7)"
    return Section(title, tuple(blocks or [Text("No extractor of these runs is here.")]), "extractors")


def example_rows(trained: Trained, data_dir: Path) -> NDArray[np.int64]:
    """Training rows of the pool that the extractor learned from or chose its epoch by; all where it learned nothing."""
    if not trained.extractor.learns:
        return np.arange(len(trained.pool.train.labels))
    learned = np.isin(trained.pool.train.hashes, learned_from(data_dir, trained.key))
    if trained.extractor.uses_labels:  # a copy of what was learned may lie in a class that was held out
        learned &= np.isin(np.array(trained.pool.classes)[trained.pool.train.labels], trained.extractor.classes_)
    return np.flatnonzero(learned)


def accuracy_curves(description: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """What was measured, by name (as `validation mnist`) and epoch."""
    curves: dict[str, dict[int, float]] = {}
    for epoch, entry in enumerate(description["history"], start=1):
        for name, value in entry.items():
            measured, _, part = name.partition("_")
            if measured != "accuracy":
                continue
            curves.setdefault(part.replace("_", " ", 1), {})[epoch] = value
    return curves


def joint_set(trained: Trained, rows: NDArray[np.int64]) -> tuple[ClassCounts, JointBatch]:
    """Counts of what was learned from and of the joint set, and one of its batches."""
    pool, seed = trained.pool, int(trained.description["seed"])
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
    return figures.class_counts_data(counts, pool.classes), sheet


def batch_chart(trained: Trained, batch: JointBatch) -> Chart:
    """Draw a joint batch."""
    rows = tuple((name, (Entry(" ".join(labels)),)) for name, labels in zip(batch.rows, batch.labels, strict=True))
    table = Table("a joint batch", "Classes of the images of one training batch.", ("domain", "classes"), rows)
    return chart(f"A joint batch of {trained.pool.name}", partial(figures.joint_batch_figure, batch), table)


def accuracy_charts(trained: Trained) -> list[Chart]:
    """Draw accuracy against epochs; nothing where none was measured."""
    description, best = trained.description, trained.description["best_epoch"]
    curves = accuracy_curves(description)
    if not curves:
        return []
    final = {f"test {name}": value for name, value in description["test_accuracy"].items()}
    reached = {name: by_epoch[best] for name, by_epoch in curves.items()} | final
    rows = tuple((name, (number(best, "{:.0f}"), share(value))) for name, value in reached.items())
    caption = "Accuracy in percent at the epoch chosen by validation; the test was measured once, there."
    table = Table(f"accuracy of {trained.title}", caption, ("part", "epoch", "accuracy"), rows)
    data = figures.accuracy_by_epochs_data(curves, final, best)
    return [chart(f"Accuracy: {trained.title}", partial(figures.accuracy_by_epochs_figure, data), table)]


def component_charts(trained: Trained) -> list[Chart]:
    """Draw what is kept with the first principal components; nothing of another extractor."""
    projection = trained.extractor.network_.projection
    if not isinstance(projection, Projection):
        return []
    data = _component_curves(projection)
    rows = tuple(
        (str(count), (share(data.explained[count - 1] / 100), number(data.residual[count - 1])))
        for count in sorted({*COMPONENTS_SHOWN, len(data.components)})
        if count <= len(data.components)
    )
    columns = ("components", "explained variance (%)", "mean squared error left")
    table = Table(f"components of {trained.title}", "What is kept with the first components.", columns, rows)
    return [chart(f"Principal components: {trained.title}", partial(figures.pca_curves_figure, data), table)]


def maps_chart(trained: Trained, features: NDArray[np.float32], names: Sequence[str]) -> Chart:
    """Draw features as maps, one row per image."""
    title = f"{features.shape[1]} features of an image of each class: {trained.title}"
    table = Table(
        f"features of {trained.title}", "Of the image shown of each class.",
        ("class", "least", "mean", "greatest", "share of zeros (%)"),
        tuple(
            (name, (number(row.min()), number(row.mean()), number(row.max()), share(float((row == 0).mean()))))
            for name, row in zip(names, features, strict=True)
        ),
    )  # fmt: skip
    maps = figures.feature_maps_data(features, names)
    return chart(title, partial(figures.feature_maps_figure, maps), table)


def _component_curves(projection: Projection) -> PcaCurves:
    """Variance and residual over the number of components."""
    total = float(projection.total_variance)
    ratio = projection.explained_variance.double().numpy() / total
    residual = total * (1 - np.cumsum(ratio)).clip(0) / projection.components.shape[1]
    return figures.pca_curves_data(ratio, residual)


def _maps_of_each_class(trained: Trained, data_dir: Path) -> Chart:
    rows = example_rows(trained, data_dir)
    _, first = np.unique(trained.pool.train.labels[rows], return_index=True)
    order = np.sort(rows[first])
    names = np.array(trained.pool.classes)[trained.pool.train.labels[order]].tolist()
    images = images_of(trained.spec, trained.pool, order, trained.extractor.input_spec, data_dir)
    return maps_chart(trained, trained.extractor.transform(images), names)
