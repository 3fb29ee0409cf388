"""Where in the image: how well anomaly maps fit the masks, of each method on each data set that has masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Entry, Fold, PageBlock, Section, Table, Text, best_marked, share
from fanogan_mtl.report.evidence import Evidence, Result
from fanogan_mtl.sweep.where import MapExamples

BEST_AND_WORST = (
    "The images whose maps fit their masks best, and those where they fit worst, with the AUROC of each image's own"
    " pixels. White is the mask, and the map's highest value in this test; below, the map in red and the mask's outline"
    " in green over the image."
)
_NOTE = (
    "Pixels of the maps against the masks at the last budget, over normal images and those with a mask, as means over "
    "classes and seeds. AUPRO: every connected region of the masks counts the same, up to 30 % or 5 % false positives. "
    "Best F1 is that of the best threshold, chosen on the test. Nothing is decided by pixels. Each comparison's page "
    "in MLflow has intervals."
)
FIGURES = {
    "auroc": "images: AUROC",
    "pixel_auroc": "pixels: AUROC",
    "pixel_auprc": "pixels: average precision",
    "pixel_aupro": "pixels: AUPRO",
    "pixel_aupro_05": "pixels: AUPRO at 5 %",
    "pixel_f1": "pixels: best F1",
}


def where_section(evidence: Evidence, datasets: Mapping[str, Dataset | None]) -> list[Section]:
    """Make the section; none where no maps were held against masks."""
    blocks: list[PageBlock] = []
    for dataset in evidence.datasets:
        results = [each for each in evidence.results if each.dataset == dataset and _kinds(each) is not None]
        if results:
            blocks += [_table(dataset, results), *_maps(results, datasets.get(dataset))]
    return [Section("Where in the image", (Text(_NOTE), *blocks), "where")] if blocks else []


def example_maps_figure(examples: MapExamples, classes: Sequence[str], title: str) -> go.Figure:
    """Draw examples, each under its class and its AUROC."""
    labels = [
        f"{classes[label]} {percent(auroc)}" for label, auroc in zip(examples.labels, examples.aurocs, strict=True)
    ]
    return figures.maps_figure(figures.maps_data(examples.pictures, examples.masks, examples.maps, labels), title)


def _kinds(result: Result) -> list[str] | None:
    """Kinds of anomalies that have figures of their own, as metrics' names; None unless all cells have some."""
    of_cells = [cell.result.metrics[result.budgets[-1]] for cell in result.cells]
    if not all("pixel_auroc" in metrics for metrics in of_cells):
        return None
    return [name for name in of_cells[0] if name.startswith("pixel_auroc_") and all(name in each for each in of_cells)]


def _table(dataset: str, results: Sequence[Result]) -> Table:
    of_kinds = dict.fromkeys(name for each in results for name in _kinds(each) or ())
    names = FIGURES | {name: f"{name.removeprefix('pixel_auroc_')}: AUROC" for name in of_kinds}
    rows = tuple((label, best_marked([_mean(each, name) for each in results])) for name, label in names.items())
    columns = ("method", *(each.method for each in results))
    return Table(
        f"where: {dataset}", f"{dataset}, in percent. ★ is the best of its column.", columns, rows, turned=True
    )


def _mean(result: Result, name: str) -> Entry:
    there = name in FIGURES or name in (_kinds(result) or ())
    return share(result.summary(name, result.budgets[-1:]).mean if there else None, marked=bool(result.marks))


def _maps(results: Sequence[Result], dataset: Dataset | None) -> list[PageBlock]:
    """Maps of the method that validation likes best; none where its data isn't here."""
    best = max(results, key=lambda each: each.summary("validation_auroc", each.budgets[-1:]).mean)
    cell = min(best.cells, key=lambda each: each.seed)
    if dataset is None or cell.result.where is None or not len(cell.result.where.examples.labels):
        return []
    title = f"Maps of {best.method} on {best.dataset}, the best by validation"
    drawn = chart(title, partial(example_maps_figure, cell.result.where.examples, dataset.classes))
    return [Fold(title, (Text(BEST_AND_WORST), drawn))]
