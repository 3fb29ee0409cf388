"""The pages and files of figures that runs get."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from statistics import fmean

import numpy as np
import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.evaluation.curves import ScoredTest
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.page import Section, write_page
from fanogan_mtl.plan.plan import PlannedComparison
from fanogan_mtl.recording.marks import MARKED, Marks, explained
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.summary import summaries
from fanogan_mtl.sweep.result import CellResult, DoneCell

PROTOCOLS_NOTE = (
    "Under paper a supervised extractor has learned with the labels of the classes that count as anomalies here, so"
    " this says how well known classes are told apart. Under unseen-class the only anomalous class is one of which the"
    " extractor saw no image; under unseen-domain it saw no image of this data set."
)
GROUPING = ("dataset", "detector", "extractor", "protocol")
RECONSTRUCTED_CLASSES = 3  # shown on a comparison's page


def write_cell_figures(result: CellResult, folder: Path) -> list[Path]:
    """Write a cell's ROC curve and score histogram at its last budget as Plotly JSON."""
    budget = max(result.metrics)
    tests = {"ROC curve": result.test}
    named = {
        "roc.json": (f"{budget} epochs", partial(_roc, tests)),
        "scores.json": (f"Scores at {budget} epochs", partial(_histogram, result)),
    }
    for name, (title, make) in named.items():
        figure = figures.drawn(partial(make, title), title)
        (folder / name).write_text(figure.to_json(), encoding="utf-8", errors="replace")
    return [folder / name for name in named]


def write_comparison_page(
    planned: PlannedComparison, cells: Sequence[DoneCell], on_pixels: Sequence[DoneCell], marks: Marks, folder: Path
) -> list[Path]:
    """Write a comparison's page, `figures.html`.

    Parameters
    ----------
    marks : mapping
        What keeps its figures from being taken as they stand; see `marks`.
    on_pixels : sequence of DoneCell
        Of the same detector without the extractor; empty where there are none.
    """
    page = folder / "figures.html"
    title = f"{planned.label} on {planned.dataset.name}"
    write_page(page, title, partial(_comparison_sections, planned, cells, on_pixels, marks))
    return [page]


def _comparison_sections(
    planned: PlannedComparison, cells: Sequence[DoneCell], on_pixels: Sequence[DoneCell], marks: Marks
) -> list[Section]:
    detector, dataset = planned.label, planned.dataset.name
    budgets = sorted(cells[0].result.metrics)
    auroc = {budget: summaries(cells, budget)["auroc"] for budget in budgets}
    last = auroc[budgets[-1]]
    stds = {budget: each.std_over_seeds for budget, each in auroc.items() if each.std_over_seeds is not None}
    n_seeds = len({cell.seed for cell in cells})
    first_seed = min(cell.seed for cell in cells)
    pairs = any(cell.anomalous_class is not None for cell in cells)
    shown = [cell for cell in cells if cell.seed == first_seed and not pairs]
    seed = f"Seed {first_seed}, {budgets[-1]} epochs."
    tests = {cell.normal_class: cell.result.test for cell in shown}
    means = {detector: {budget: each.mean for budget, each in auroc.items()}}
    others = "and the mean is over its pairs with each held-out class" if pairs else "the others are anomalies"
    sections: list[Section] = [
        (
            "AUROC against epochs",
            f"Mean over {len(last.by_class)} classes and {n_seeds} seed{'s' * (n_seeds > 1)}: "
            f"{percent(last.mean, last.std_over_classes)} at {budgets[-1]} epochs, ± std over classes.",
            partial(_auroc_by_epochs, means, {detector: stds}, dataset),
        ),
        (
            "AUROC by class",
            f"Each class in turn is normal, {others}. {budgets[-1]} epochs.",
            partial(_auroc_by_class, {detector: last.by_class}, dataset),
        ),
    ]
    if planned.seen:
        sections.insert(0, ("What the extractor had seen", planned.seen, ""))
    if marks:
        lines = [f"{mark}: {sentence}" for mark, sentence in marks.items()]
        sections.insert(0, (f"{MARKED[0].upper()}{MARKED[1:]}", "", _listed(lines)))
    if pairs:
        text = f"Row: the normal class; column: the only anomalous one, which the extractor never saw. {seed}"
        sections.append(("AUROC by pair", text, partial(_pairs_table, cells, budgets[-1])))
    else:
        sections.append(("ROC curves by class", seed, partial(_roc, tests, f"{detector} on {dataset}")))
    both = _with_and_without(tests, on_pixels, first_seed)
    if both:
        text = f"The same detector on pixels, dashed, and on features, solid. {seed}"
        figure = partial(_roc_with_and_without, both, f"{detector} on {dataset}")
        sections.append(("ROC curves with and without the extractor", text, figure))
    sections += [
        (
            f"Reconstructions, {cell.normal_class} is normal",
            f"{seed} Some normal and some anomalous test images: what the detector cannot reproduce is abnormal to it.",
            partial(_reconstructions, cell, detector),
        )
        for cell in shown[:RECONSTRUCTED_CLASSES]
        if cell.result.examples
    ]
    sections += [
        (f"Scores, {cell.normal_class} is normal", seed, partial(_histogram, cell.result, f"{detector} on {dataset}"))
        for cell in shown
    ]
    return sections


def write_overview(results: Sequence[ComparisonResult], folder: Path) -> list[Path]:
    """Write a sweep's page `overview.html`, which sets detectors side by side, and `results.csv` with its numbers."""
    page, table = folder / "overview.html", folder / "results.csv"
    write_page(page, "Detectors side by side", partial(_overview_sections, results))
    _write_csv(results, table)
    return [page, table]


def _overview_sections(results: Sequence[ComparisonResult]) -> list[Section]:
    marked = any(each.marks for each in results)
    text = "In percent at the last budget, ± std over classes." + f" * {MARKED}." * marked
    sections: list[Section] = [("Mean AUROC", text, partial(_table, results))]
    if marked:
        of_each = [(each.planned.dataset.name, each.planned.label, each.marks) for each in results]
        sections.append((f"* {MARKED}", "", _listed(explained(of_each))))
    sections += _protocols(results)
    for dataset in _datasets(results):
        of = {each.planned.label: each for each in results if each.planned.dataset.name == dataset}
        means = {name: each.auroc for name, each in of.items()}
        stds = {name: each.std_over_seeds for name, each in of.items()}
        by_class = {name: each.by_class for name, each in of.items()}
        sections += [
            (f"{dataset}: AUROC against epochs", "", partial(_auroc_by_epochs, means, stds, dataset)),
            (f"{dataset}: AUROC by class", "", partial(_auroc_by_class, by_class, dataset)),
        ]
    return sections


def _protocols(results: Sequence[ComparisonResult]) -> list[Section]:
    """Protocols side by side, where there are several: a table and a figure for each data set."""
    names = list(dict.fromkeys(each.planned.comparison.protocol for each in results))
    if len(names) < 2:
        return []
    sections: list[Section] = []
    for dataset in _datasets(results):
        values: dict[str, dict[str, float]] = {str(name): {} for name in names}
        for each in results:
            of = each.planned.comparison
            if each.planned.dataset.name == dataset:
                values[str(of.protocol)][f"{of.extractor}+{of.detector}"] = each.auroc[max(each.auroc)]
        values = {name: of_protocol for name, of_protocol in values.items() if of_protocol}
        labels = list(dict.fromkeys(label for of_protocol in values.values() for label in of_protocol))
        rows = [["mean AUROC in percent", *values]]
        rows += [
            [label, *(percent(each[label]) if label in each else "-" for each in values.values())] for label in labels
        ]
        sections += [
            (f"{dataset}: protocols side by side", PROTOCOLS_NOTE, html_table(rows)),
            (f"{dataset}: mean AUROC by protocol", "", partial(_protocols_figure, values, dataset)),
        ]
    return sections


def _with_and_without(
    tests: Mapping[str, ScoredTest], on_pixels: Sequence[DoneCell], seed: int
) -> dict[str, dict[str, ScoredTest]]:
    """Each class's test on pixels and on features, of classes that have both."""
    pixels = {cell.normal_class: cell.result.test for cell in on_pixels if cell.seed == seed}
    return {name: {"without": pixels[name], "with": test} for name, test in tests.items() if name in pixels}


def _pairs_table(cells: Sequence[DoneCell], budget: int) -> str:
    """AUROC in percent of each pair of a normal and an anomalous class, mean over seeds."""
    values: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        pair = (cell.normal_class, str(cell.anomalous_class))
        values.setdefault(pair, []).append(cell.result.metrics[budget]["auroc"])
    normal = list(dict.fromkeys(name for name, _ in values))
    anomalous = sorted({name for _, name in values}, key=lambda name: (len(name), name))
    rows = [["normal", *anomalous]]
    rows += [
        [name, *(percent(fmean(values[name, other])) if (name, other) in values else "" for other in anomalous)]
        for name in normal
    ]
    return html_table(rows)


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of plain text as an HTML table; the first is its head."""
    head, *body = ["".join(f"<{tag}>{escape(text)}</{tag}>" for text in row) for tag, row in _tagged(rows)]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in [head, *body])}</table>"


def _listed(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _tagged(rows: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("td" if number else "th", row) for number, row in enumerate(rows)]


def _auroc_by_epochs(
    means: Mapping[str, Mapping[int, float]], stds: Mapping[str, Mapping[int, float]], dataset: str
) -> go.Figure:
    return figures.auroc_by_epochs_figure(figures.auroc_by_epochs_data(means, stds), dataset)


def _auroc_by_class(values: Mapping[str, Mapping[str, float]], dataset: str) -> go.Figure:
    return figures.auroc_by_class_figure(figures.auroc_by_class_data(values), dataset)


def _protocols_figure(values: Mapping[str, Mapping[str, float]], dataset: str) -> go.Figure:
    return figures.protocols_figure(figures.protocols_data(values), dataset)


def _roc(tests: Mapping[str, ScoredTest], title: str) -> go.Figure:
    return figures.roc_by_class_figure(figures.roc_by_class_data(tests), title)


def _roc_with_and_without(tests: Mapping[str, dict[str, ScoredTest]], title: str) -> go.Figure:
    return figures.roc_with_and_without_figure(figures.roc_with_and_without_data(tests), title)


def _histogram(result: CellResult, title: str) -> go.Figure:
    threshold = result.metrics[max(result.metrics)]["threshold"]
    data = figures.score_histogram_data(result.anomaly, result.scores[-1], threshold, result.weights)
    return figures.score_histogram_figure(data, title)


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
    labels = list(dict.fromkeys(each.planned.label for each in results))
    by_cell = {(each.planned.label, each.planned.dataset.name): each for each in results}
    rows = [["detector", *datasets]]
    for label in labels:
        texts = [
            percent(each.auroc[max(each.auroc)], each.std_over_classes.get(max(each.auroc))) + "*" * bool(each.marks)
            if (each := by_cell.get((label, dataset)))
            else "-"
            for dataset in datasets
        ]
        rows.append([label, *texts])
    return html_table(rows)


def _write_csv(results: Sequence[ComparisonResult], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(
            [*GROUPING, "setting", "epochs", "auroc", "std_over_seeds", "std_over_classes", "marks", "run_id"]
        )
        for each in results:
            planned = each.planned
            for budget, auroc in each.auroc.items():
                stds = [each.std_over_seeds.get(budget), each.std_over_classes.get(budget)]
                of = planned.comparison
                name = [
                    planned.dataset.name,
                    of.detector,
                    of.extractor or "none",
                    of.protocol or "none",
                    planned.setting,
                ]
                writer.writerow([*name, budget, auroc, *stds, ", ".join(each.marks), each.run_id])
