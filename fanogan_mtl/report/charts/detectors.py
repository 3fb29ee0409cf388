"""The study's figures of detectors: AUROC against epochs and by class (5.1, 5.5, A.1, A.2), ROC curves (5.6)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.evaluation.curves import roc_data
from fanogan_mtl.pages.charts import chart, classes_chart, epochs_chart
from fanogan_mtl.pages.content import Chart, Fold, PageBlock, Section, Table, Text, best_marked, share
from fanogan_mtl.report.evidence import Evidence, Result
from fanogan_mtl.sweep.cell import ALL_SEEN


def detector_section(evidence: Evidence) -> Section:
    """Draw every method on pixels: AUROC against epochs and by class."""
    return Section("Detectors (study's figure 5.1)", _folded(evidence, on_features=False), "detectors")


def hybrid_section(evidence: Evidence) -> Section:
    """Draw every method on features, and f-AnoGAN's ROC curves with and without an extractor."""
    blocks: list[PageBlock] = [*_folded(evidence, on_features=True)]
    if roc := _roc_charts(evidence):
        blocks.append(Fold("ROC curves with and without an extractor", tuple(roc)))
    title = "Detectors on features (study's figures 5.5, 5.6, A.1 and A.2)"
    return Section(title, tuple(blocks or [Text("No detector was run on features.")]), "hybrids")


def _folded(evidence: Evidence, on_features: bool) -> tuple[PageBlock, ...]:
    """Fold two charts per method away: AUROC against epochs and by class."""
    of = {name: evidence.of(name) for name in evidence.methods}
    return tuple(
        Fold(f"{name}: AUROC against epochs and by class", _charts(name, results))
        for name, results in of.items()
        if (results[0].comparison.extractor is not None) == on_features
    )


def _charts(method: str, results: Sequence[Result]) -> tuple[Chart, Chart]:
    auroc = {each.dataset: {budget: each.summary("auroc", [budget]) for budget in each.budgets} for each in results}
    means = {name: {budget: one.mean for budget, one in of.items()} for name, of in auroc.items()}
    stds = {
        name: {budget: one.std_over_seeds for budget, one in of.items() if one.std_over_seeds is not None}
        for name, of in auroc.items()
    }
    by_class = {each.dataset: each.summary("auroc", each.budgets[-1:]).by_class for each in results}
    title = f"every data set: {method}"
    return (
        epochs_chart(f"{method} by epochs", "data set", title, means, stds),
        classes_chart(f"{method} by class", "data set", title, by_class),
    )


def _roc_charts(evidence: Evidence) -> list[Chart]:
    """f-AnoGAN's (or the first detector's) ROC curves with the best known extractor, on each single data set."""
    charts = []
    for dataset in evidence.datasets:
        pairs = [
            (each, alone)
            for each in evidence.where("resnet18", pool=False) or _any_hybrid(evidence)
            if each.dataset == dataset and (alone := _alone(evidence, each))
        ]
        if pairs:
            hybrid, alone = min(pairs, key=lambda pair: pair[0].comparison.detector != "fanogan")
            charts.append(_roc_chart(hybrid, alone))
    return charts


def _any_hybrid(evidence: Evidence) -> list[Result]:
    return [
        each for each in evidence.results if each.main and each.comparison.protocol in ALL_SEEN and not each.is_pool
    ]


def _alone(evidence: Evidence, hybrid: Result) -> Result | None:
    of = hybrid.comparison
    found = [each for each in evidence.where(None, of.detector) if each.dataset == hybrid.dataset]
    same = [each for each in found if each.comparison.parameters == of.parameters]
    return same[0] if same else None


def _roc_chart(hybrid: Result, alone: Result) -> Chart:
    seed = min(hybrid.seeds)
    tests = {}
    without = {cell.normal_class: cell for cell in alone.cells if cell.seed == seed}
    for cell in hybrid.cells:
        if cell.seed == seed and cell.normal_class in without:
            name = cell.normal_class
            tests[name] = {"without": without[name].result.test, "with": cell.result.test}
    rows = []
    for name, pair in tests.items():
        areas = [(roc_data(*pair["without"]).auroc, alone), (roc_data(*pair["with"]).auroc, hybrid)]
        entries = [share(area, marked=bool(of.marks)) for area, of in areas]
        rows.append((name, best_marked(entries)))
    title = f"{hybrid.method} and {alone.method} on {hybrid.dataset}"
    caption = f"AUROC in percent by normal class, at {hybrid.budgets[-1]} epochs, seed {seed}."
    table = Table(f"ROC: {title}", caption, ("class", alone.method, hybrid.method), tuple(rows))

    def draw(title: str) -> go.Figure:
        return figures.roc_with_and_without_figure(figures.roc_with_and_without_data(tests), title)

    return chart(f"ROC curves of {title}", draw, table, title)
