"""The pages and files of figures that runs get."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.detectors.registry import takes
from fanogan_mtl.evaluation.curves import ScoredTest
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.pages.charts import chart, classes_chart, epochs_chart
from fanogan_mtl.pages.content import Entry, Items, Section, Table, Text, section, share
from fanogan_mtl.pages.render import write_page
from fanogan_mtl.plan.plan import PlannedComparison
from fanogan_mtl.recording.alarms import alarm_sections
from fanogan_mtl.recording.confounds import confound_sections
from fanogan_mtl.recording.marks import MARKED, Marks, explained
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.summary import summaries
from fanogan_mtl.recording.where import where_sections
from fanogan_mtl.sweep.result import CellResult, DoneCell

PROTOCOLS_NOTE = (
    "Under paper a supervised extractor has learned with the labels of the classes that count as anomalies here, so"
    " this says how well known classes are told apart. Under label-free the extractor has learned without any label of"
    " these data sets. Under unseen-class the only anomalous class is one of which the"
    " extractor saw no image; under unseen-domain it saw no image of this data set."
    " Under normal-only each class that is normal has an extractor of its own, which saw images of that class alone."
)
_GROUPING = ("dataset", "detector", "extractor", "protocol")
RECONSTRUCTED = "Some normal and some anomalous test images: what the detector cannot reproduce is abnormal to it."
RECONSTRUCTED_CLASSES = 3  # shown on a comparison's page


def write_cell_figures(result: CellResult, folder: Path) -> list[Path]:
    """Write a cell's ROC curve and score histogram at its last budget as Plotly JSON."""
    budget = max(result.metrics)
    tests = {"ROC curve": result.test}
    named = {
        "roc.json": (_epochs(budget), partial(_roc, tests)),
        "scores.json": (f"Scores at {_epochs(budget)}", partial(_histogram, result)),
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
    title = f"{planned.label} on {planned.dataset.name}"
    make = partial(_comparison_sections, planned, cells, on_pixels, marks)
    return write_page(folder / "figures.html", title, make)


def _comparison_sections(
    planned: PlannedComparison, cells: Sequence[DoneCell], on_pixels: Sequence[DoneCell], marks: Marks
) -> Iterator[Section]:
    detector = planned.label
    title = f"{detector} on {planned.dataset.name}"
    if marks:
        lines = tuple(f"{mark}: {sentence}" for mark, sentence in marks.items())
        yield Section(f"{MARKED[0].upper()}{MARKED[1:]}", (Items(lines),))
    if planned.seen:
        yield Section("What the extractor had seen", (Text(planned.seen),))
    last = max(cells[0].result.metrics)
    first_seed = min(cell.seed for cell in cells)
    trained = takes(planned.comparison.detector, "epochs")
    seed = f"Seed {first_seed}, {_epochs(last)}." if trained else f"Seed {first_seed}."
    pairs = any(cell.anomalous_class is not None for cell in cells)
    yield from _auroc_sections(planned, cells, trained, pairs)
    if pairs:
        text = f"Row: the normal class; column: the only anomalous one, which the extractor never saw. {seed}"
        yield section("AUROC by pair", lambda: (Text(text), _pairs_table(cells, last)))
        return
    shown = [cell for cell in cells if cell.seed == first_seed]
    tests = {cell.normal_class: cell.result.test for cell in shown}
    yield _figure_section("ROC curves by class", seed, partial(_roc, tests), title)
    if both := _with_and_without(tests, on_pixels, first_seed):
        text = f"The same detector on pixels, dashed, and on features, solid. {seed}"
        yield _figure_section("ROC curves with and without the extractor", text, partial(_roc_pairs, both), title)
    yield from alarm_sections(shown, seed, title)
    yield from confound_sections(shown)
    yield from where_sections(shown, planned.dataset.classes, seed, title)
    for cell in shown[:RECONSTRUCTED_CLASSES]:
        if cell.result.examples:
            heading = f"Reconstructions, {cell.normal_class} is normal"
            yield _figure_section(heading, f"{seed} {RECONSTRUCTED}", partial(_reconstructions, cell), detector)
    for cell in shown:
        heading = f"Scores, {cell.normal_class} is normal"
        yield _figure_section(heading, seed, partial(_histogram, cell.result), title)


def _auroc_sections(
    planned: PlannedComparison, cells: Sequence[DoneCell], trained: bool, pairs: bool
) -> Iterator[Section]:
    detector, dataset = planned.label, planned.dataset.name
    auroc = {budget: summaries(cells, budget)["auroc"] for budget in sorted(cells[0].result.metrics)}
    budget, last = max(auroc.items())
    n_seeds, at = len({cell.seed for cell in cells}), f" at {_epochs(budget)}" if trained else ""
    n_classes, deviation = len(last.by_class), ", ± std over classes" if last.std_over_classes is not None else ""
    mean = (
        f"Mean over {n_classes} class{'es' * (n_classes > 1)} and {n_seeds} seed{'s' * (n_seeds > 1)}: "
        f"{percent(last.mean, last.std_over_classes)}{at}{deviation}."
    )
    if trained:
        stds = {budget: each.std_over_seeds for budget, each in auroc.items() if each.std_over_seeds is not None}
        means = {budget: each.mean for budget, each in auroc.items()}
        lines = epochs_chart("by epochs", "detector", dataset, {detector: means}, {detector: stds})
        yield Section("AUROC against epochs", (Text(mean), lines))
    others = "and the mean is over its pairs with each held-out class" if pairs else "the others are anomalies"
    text = f"Each class in turn is normal, {others}. " + (f"{_epochs(budget)}." if trained else mean)
    bars = classes_chart("by class", "detector", dataset, {detector: last.by_class})
    yield Section("AUROC by class", (Text(text), bars))


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def _figure_section(heading: str, text: str, make: Callable[[str], go.Figure], title: str) -> Section:
    return Section(heading, (Text(text), chart(heading, make, title=title)))


def write_overview(results: Sequence[ComparisonResult], folder: Path) -> list[Path]:
    """Write a sweep's page `overview.html`, which sets detectors side by side, and `results.csv` with its numbers."""
    table = folder / "results.csv"
    _write_csv(results, table)
    return [
        *write_page(folder / "overview.html", "Detectors side by side", partial(_overview_sections, results)),
        table,
    ]


def _overview_sections(results: Sequence[ComparisonResult]) -> Iterator[Section]:
    marked = any(each.marks for each in results)
    yield section("Mean AUROC", lambda: [_table(results, f" * {MARKED}." * marked)])
    if marked:
        of_each = [(each.planned.dataset.name, each.planned.label, each.marks) for each in results]
        yield Section(f"* {MARKED}", (Items(tuple(explained(of_each))),))
    yield from _protocols(results)
    for dataset in _datasets(results):
        of = {each.planned.label: each for each in results if each.planned.dataset.name == dataset}
        means = {name: each.auroc for name, each in of.items()}
        stds = {name: each.std_over_seeds for name, each in of.items()}
        by_class = {name: each.by_class for name, each in of.items()}
        if any(takes(each.planned.comparison.detector, "epochs") for each in of.values()):
            epochs = epochs_chart(f"{dataset} by epochs", "detector", dataset, means, stds)
            yield Section(f"{dataset}: AUROC against epochs", (epochs,))
        yield Section(
            f"{dataset}: AUROC by class", (classes_chart(f"{dataset} by class", "detector", dataset, by_class),)
        )


def _protocols(results: Sequence[ComparisonResult]) -> Iterator[Section]:
    """Protocols side by side, where there are several: a figure with its table for each data set."""
    names = list(dict.fromkeys(each.planned.comparison.protocol for each in results))
    if len(names) < 2:
        return
    for dataset in _datasets(results):
        values: dict[str, dict[str, float]] = {str(name): {} for name in names}
        for each in results:
            of = each.planned.comparison
            if each.planned.dataset.name == dataset:
                values[str(of.protocol)][f"{of.extractor}+{of.detector}"] = each.auroc[max(each.auroc)]
        values = {name: of_protocol for name, of_protocol in values.items() if of_protocol}
        labels = list(dict.fromkeys(label for of_protocol in values.values() for label in of_protocol))
        rows = tuple((label, tuple(share(each.get(label), absent="-") for each in values.values())) for label in labels)
        table = Table(f"{dataset} by protocol", "Mean AUROC in percent.", ("detector", *values), rows)
        draw = partial(figures.protocols_figure, figures.auroc_bars_data(values))
        bars = chart(f"Mean AUROC by protocol on {dataset}", draw, table)
        yield Section(f"{dataset}: protocols side by side", (Text(PROTOCOLS_NOTE), bars))


def _with_and_without(
    tests: Mapping[str, ScoredTest], on_pixels: Sequence[DoneCell], seed: int
) -> dict[str, dict[str, ScoredTest]]:
    """Each class's test on pixels and on features, of classes that have both."""
    pixels = {cell.normal_class: cell.result.test for cell in on_pixels if cell.seed == seed}
    return {name: {"without": pixels[name], "with": test} for name, test in tests.items() if name in pixels}


def _pairs_table(cells: Sequence[DoneCell], budget: int) -> Table:
    """AUROC in percent of each pair of a normal and an anomalous class, mean over seeds."""
    values: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        pair = (cell.normal_class, str(cell.anomalous_class))
        values.setdefault(pair, []).append(cell.result.metrics[budget]["auroc"])
    normal = list(dict.fromkeys(name for name, _ in values))
    anomalous = sorted({name for _, name in values}, key=lambda name: (len(name), name))
    means = {pair: fmean(of_seeds) for pair, of_seeds in values.items()}
    rows = tuple((name, tuple(share(means.get((name, other)), absent="") for other in anomalous)) for name in normal)
    return Table("pairs", "AUROC in percent, mean over seeds.", ("normal", *anomalous), rows)


def _roc(tests: Mapping[str, ScoredTest], title: str) -> go.Figure:
    return figures.roc_by_class_figure(figures.roc_by_class_data(tests), title)


def _roc_pairs(tests: Mapping[str, dict[str, ScoredTest]], title: str) -> go.Figure:
    return figures.roc_with_and_without_figure(figures.roc_with_and_without_data(tests), title)


def _histogram(result: CellResult, title: str) -> go.Figure:
    threshold = result.metrics[max(result.metrics)]["threshold"]
    data = figures.score_histogram_data(result.anomaly, result.scores[-1], threshold, result.weights)
    return figures.score_histogram_figure(data, title)


def _reconstructions(cell: DoneCell, title: str) -> go.Figure:
    examples = cell.result.examples
    assert examples is not None
    labels = np.where(examples.anomaly, "anomalous", "normal").tolist()
    sheet = figures.reconstruction_data(examples.images, examples.reconstructions, labels)
    return figures.reconstruction_figure(sheet, title)


def _datasets(results: Sequence[ComparisonResult]) -> list[str]:
    return list(dict.fromkeys(each.planned.dataset.name for each in results))


def _table(results: Sequence[ComparisonResult], note: str) -> Table:
    datasets = _datasets(results)
    labels = list(dict.fromkeys(each.planned.label for each in results))
    by_cell = {(each.planned.label, each.planned.dataset.name): each for each in results}
    rows = tuple((label, tuple(_entry(by_cell.get((label, dataset))) for dataset in datasets)) for label in labels)
    caption = f"In percent at the last budget, ± std over classes.{note}"
    return Table("mean AUROC", caption, ("detector", *datasets), rows)


def _entry(result: ComparisonResult | None) -> Entry:
    if result is None:
        return share(None, absent="-")
    budget = max(result.auroc)
    return share(result.auroc[budget], result.std_over_classes.get(budget), marked=bool(result.marks))


def _write_csv(results: Sequence[ComparisonResult], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(
            [*_GROUPING, "setting", "epochs", "auroc", "std_over_seeds", "std_over_classes", "marks", "run_id"]
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
