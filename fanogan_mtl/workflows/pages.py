"""The pages and files of figures that runs get."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fanogan_mtl import figures
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.page import html_page
from fanogan_mtl.sweep.cell import CellResult
from fanogan_mtl.workflows.plan import PlannedComparison
from fanogan_mtl.workflows.results import ComparisonResult
from fanogan_mtl.workflows.summary import DoneCell, summaries

if TYPE_CHECKING:
    import plotly.graph_objects as go

Section = tuple[str, str, "go.Figure | str"]
RECONSTRUCTED_CLASSES = 3  # shown on a comparison's page


def write_cell_figures(result: CellResult, folder: Path) -> list[Path]:
    """Write a cell's ROC curve and score histogram at its last budget as Plotly JSON."""
    budget = max(result.metrics)
    named = {
        "roc.json": figures.roc_by_class_figure(
            figures.roc_by_class_data({"ROC curve": (result.anomaly, result.scores[-1])}), f"{budget} epochs"
        ),
        "scores.json": _histogram(result, f"Scores at {budget} epochs"),
    }
    for name, figure in named.items():
        (folder / name).write_text(figure.to_json())
    return [folder / name for name in named]


def write_comparison_page(planned: PlannedComparison, cells: Sequence[DoneCell], folder: Path) -> list[Path]:
    """Write a comparison's page, `figures.html`."""
    detector, dataset = planned.comparison.detector, planned.dataset.name
    budgets = sorted(cells[0].result.metrics)
    auroc = {budget: summaries(cells, budget)["auroc"] for budget in budgets}
    last = auroc[budgets[-1]]
    stds = {budget: each.std_over_seeds for budget, each in auroc.items() if each.std_over_seeds is not None}
    n_seeds = len({cell.seed for cell in cells})
    first_seed = min(cell.seed for cell in cells)
    shown = [cell for cell in cells if cell.seed == first_seed]
    seed = f"Seed {first_seed}, {budgets[-1]} epochs."
    tests = {cell.normal_class: (cell.result.anomaly, cell.result.scores[-1]) for cell in shown}
    lines = figures.auroc_by_epochs_data(
        {detector: {budget: each.mean for budget, each in auroc.items()}}, {detector: stds}
    )
    sections: list[Section] = [
        (
            "AUROC against epochs",
            f"Mean over {len(last.by_class)} classes and {n_seeds} seed{'s' * (n_seeds > 1)}: "
            f"{percent(last.mean, last.std_over_classes)} at {budgets[-1]} epochs, ± std over classes.",
            figures.auroc_by_epochs_figure(lines, dataset),
        ),
        (
            "AUROC by class",
            f"Each class in turn is normal, the others are anomalies. {budgets[-1]} epochs.",
            figures.auroc_by_class_figure(figures.auroc_by_class_data({detector: last.by_class}), dataset),
        ),
        (
            "ROC curves by class",
            seed,
            figures.roc_by_class_figure(figures.roc_by_class_data(tests), f"{detector} on {dataset}"),
        ),
    ]
    sections += [
        (
            f"Reconstructions, {cell.normal_class} is normal",
            f"{seed} Some normal and some anomalous test images: what the detector cannot reproduce is abnormal to it.",
            _reconstructions(cell, detector),
        )
        for cell in shown[:RECONSTRUCTED_CLASSES]
        if cell.result.examples
    ]
    sections += [
        (f"Scores, {cell.normal_class} is normal", seed, _histogram(cell.result, f"{detector} on {dataset}"))
        for cell in shown
    ]
    page = folder / "figures.html"
    page.write_text(html_page(f"{detector} on {dataset}", sections))
    return [page]


def write_overview(results: Sequence[ComparisonResult], folder: Path) -> list[Path]:
    """Write a sweep's page `overview.html`, which sets detectors side by side, and `results.csv` with its numbers."""
    sections: list[Section] = [
        ("Mean AUROC", "In percent at the last budget, ± std over classes.", _table(results)),
    ]
    for dataset in _datasets(results):
        of = {each.planned.comparison.detector: each for each in results if each.planned.dataset.name == dataset}
        lines = figures.auroc_by_epochs_data(
            {name: each.auroc for name, each in of.items()}, {name: each.std_over_seeds for name, each in of.items()}
        )
        bars = figures.auroc_by_class_data({name: each.by_class for name, each in of.items()})
        sections += [
            (f"{dataset}: AUROC against epochs", "", figures.auroc_by_epochs_figure(lines, dataset)),
            (f"{dataset}: AUROC by class", "", figures.auroc_by_class_figure(bars, dataset)),
        ]
    page, table = folder / "overview.html", folder / "results.csv"
    page.write_text(html_page("Detectors side by side", sections))
    _write_csv(results, table)
    return [page, table]


def _histogram(result: CellResult, title: str) -> go.Figure:
    threshold = result.metrics[max(result.metrics)]["threshold"]
    return figures.score_histogram_figure(
        figures.score_histogram_data(result.anomaly, result.scores[-1], threshold), title
    )


def _reconstructions(cell: DoneCell, detector: str) -> go.Figure:
    examples = cell.result.examples
    assert examples is not None
    labels = np.where(examples.anomaly, "anomalous", "normal").tolist()
    sheet = figures.reconstruction_data(examples.images, examples.reconstructions, labels)
    return figures.reconstruction_figure(sheet, detector)


def _datasets(results: Sequence[ComparisonResult]) -> list[str]:
    return list(dict.fromkeys(each.planned.dataset.name for each in results))


def _table(results: Sequence[ComparisonResult]) -> str:
    datasets = _datasets(results)
    detectors = list(dict.fromkeys(each.planned.comparison.detector for each in results))
    by_cell = {(each.planned.comparison.detector, each.planned.dataset.name): each for each in results}
    head = "".join(f"<th>{escape(name)}</th>" for name in ["detector", *datasets])
    rows = [f"<tr>{head}</tr>"]
    for detector in detectors:
        texts = [
            percent(each.auroc[max(each.auroc)], each.std_over_classes.get(max(each.auroc)))
            if (each := by_cell.get((detector, dataset)))
            else "-"
            for dataset in datasets
        ]
        rows.append(f"<tr><td>{escape(detector)}</td>{''.join(f'<td>{text}</td>' for text in texts)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _write_csv(results: Sequence[ComparisonResult], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["dataset", "detector", "setting", "epochs", "auroc", "std_over_seeds", "std_over_classes", "run_id"]
        )
        for each in results:
            planned = each.planned
            for budget, auroc in each.auroc.items():
                stds = [each.std_over_seeds.get(budget), each.std_over_classes.get(budget)]
                name = [planned.dataset.name, planned.comparison.detector, planned.setting]
                writer.writerow([*name, budget, auroc, *stds, each.run_id])
