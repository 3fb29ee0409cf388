"""The study's figures (L. Robledo Díaz, University of Edinburgh, 2023), and what is odd about them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DETECTORS = {"fanogan": "f-AnoGAN", "vae": "VAE", "deep_svdd": "DeepSVDD", "dagmm": "DAGMM"}
EXTRACTORS = {
    "resnet18": "ResNet18",
    "resnet18_imagenet": "ResNet18(ImageNet)",
    "resnet50": "ResNet50",
    "lenet5": "LeNet-5",
    "pca": "PCA",
}
"""Our names to the study's."""
SHALLOW = ("pca", "knn", "iforest")
"""Detectors that the study lacks, and that stand in every table."""

NOTES = (
    "The study's figures are means over its budgets of 20, 100, 150 and 200 epochs, over digits and seeds; what its ± "
    "spans is not said. Ours are therefore shown as the mean over our budgets too, and at each budget.",
    "The study's thresholds can't be recovered: at 1 normal to 9 anomalies its precision and recall imply "
    "false-positive rates from 9 to 50 %. Its precision and recall are not comparable with ours row by row; AUROC is.",
    "Odd in the study's tables: AUROC's deviation equals recall's in 16 of 28 rows; AUROC is about recall for VAE and "
    "Deep SVDD on all sets; 97.75 ± 2.44 is there twice; f-AnoGAN's precision on MNIST is 98.04 and 98.05. It tests on "
    "training images of the other classes too, which serve validation here.",
)


@dataclass(frozen=True)
class PublishedFigure:
    """One published mean with its ±, both shares in [0, 1]; either may not be given."""

    mean: float | None
    std: float | None


@cache
def published_figures() -> dict[tuple[str, str, str, str], PublishedFigure]:
    """Every figure of tables 5.1 to 5.4.

    Returns
    -------
    dict
        (table, the study's name of the model, data set, metric) to figure; data sets are `mnist`, `svhn`, `usps`, `all`
        and `mean` (of the three), metrics `auroc`, `precision` and `recall`.
    """
    figures = {}
    with (Path(__file__).parent / "paper.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for metric, column in (("auroc", "auc"), ("precision", "precision"), ("recall", "recall")):
                mean, std = (float(row[name]) / 100 if row[name] else None for name in (column, f"{column}_std"))
                figures[row["table"], row["model"], row["dataset"], metric] = PublishedFigure(mean, std)
    return figures


def published(table: str, model: str | None, dataset: str | None, metric: str) -> PublishedFigure | None:
    """One figure of a table, or None where the study has none."""
    if model is None or dataset is None:
        return None
    figure = published_figures().get((table, model, dataset, metric))
    return figure if figure and figure.mean is not None else None


def published_model(extractor: str | None, detector: str) -> str | None:
    """The study's name of a method; None for what it has not."""
    if detector not in DETECTORS or (extractor is not None and extractor not in EXTRACTORS):
        return None
    return DETECTORS[detector] if extractor is None else f"{EXTRACTORS[extractor]}+{DETECTORS[detector]}"
