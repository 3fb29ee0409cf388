"""Evidence made by hand: comparisons whose scores are drawn, so that it is known which method is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.evaluation.metrics import detection_metrics
from fanogan_mtl.report.evidence import Recorded
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.result import CellResult, DoneCell

IMAGES = 60  # of a test; a tenth is normal
HELD_OUT = 60  # normal rows of the validation


def made(
    detector: str = "fanogan",
    dataset: str = "handwritten",
    quality: float = 1.0,
    *,
    extractor: str | None = None,
    protocol: str | None = None,
    setting: str = "default",
    classes: Sequence[str] = ("0", "1", "2", "3"),
    seeds: Sequence[int] = (0,),
    budgets: tuple[int, ...] = (2, 4),
    limit: int | None = None,
    digest: str | None = None,
    parameters: dict[str, object] | None = None,
    n_classes: int = 4,
) -> Recorded:
    """A recorded comparison; anomalies score `quality` deviations higher, a little more at each budget."""
    (spec,) = parse_datasets(dataset)
    protocol = protocol or ("paper" if extractor else None)
    comparison = Comparison(
        spec, digest or f"digest of {dataset}", detector, comparison_parameters(detector, parameters or {}), budgets,
        limit, extractor, extractor and "learned", protocol,
    )  # fmt: skip
    cells = [_cell(name, seed, quality, budgets, comparison) for name in classes for seed in seeds]
    run_id = f"run of {comparison.label} on {dataset} {setting} {comparison.key[:4]}"
    return Recorded(run_id, comparison, setting, tuple(cells), 784, n_classes)


def _cell(name: str, seed: int, quality: float, budgets: tuple[int, ...], comparison: Comparison) -> DoneCell:
    random = np.random.default_rng([seed, int(name), sum(map(ord, comparison.dataset.name))])
    rows = np.sort(random.choice(1000, IMAGES, replace=False))
    labels = random.integers(0, 10, IMAGES)
    anomaly = np.arange(IMAGES) % 10 != 0
    labels[~anomaly] = int(name)
    labels[anomaly & (labels == int(name))] = (int(name) + 1) % 10
    noise = random.normal(size=IMAGES)
    scores = np.stack([5 + noise + (quality + 0.1 * place) * anomaly for place in range(len(budgets))])
    held_out = np.repeat(5 + random.normal(size=(1, HELD_OUT)), len(budgets), axis=0)
    metrics = {}
    for budget, of_budget in zip(budgets, scores, strict=True):
        own = float(np.quantile(of_budget[~anomaly], 0.9))
        metrics[budget] = detection_metrics(anomaly, of_budget, own, normal_scores=held_out[0])
        metrics[budget] |= {"validation_auroc": 0.5, "fit_seconds": 0.1 * budget, "score_seconds": 0.01}
    result = CellResult(metrics, scores, anomaly, labels, rows, normal_scores=held_out)
    key = f"key of {comparison.extractor}" if comparison.extractor else None
    anomalous = "9" if comparison.protocol == "unseen-class" else None
    return DoneCell(Cell(comparison, name, seed, key, anomalous), result)
