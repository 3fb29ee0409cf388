"""What each method costs: training time, parameters, time to score, against its AUROC."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from statistics import fmean

import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.detectors.registry import detector_class, make_detector
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Fold, PageBlock, Section, Table, Text, number, share
from fanogan_mtl.report.evidence import Evidence, Result

LEAST = 1e-6  # of a time that the clock could not tell from nothing

_NOTE = (
    "Training seconds are those of one cell up to its last budget, on one thread; scoring is per image, in batches. "
    "A method on features pays the extractor's own training and its time per image on top. Parameters are the weights "
    "of a deep detector's networks; shallow ones keep training rows, components or trees instead. AUROC is the mean "
    "over the single data sets at the last budget."
)


def cost_section(evidence: Evidence) -> Section:
    """Tabulate costs and draw AUROC against them, with the Pareto front."""
    costs = {}
    for method in evidence.methods:
        results = [each for each in evidence.of(method) if each.main and not each.is_pool]
        if results:
            costs[method] = (
                fmean(_last(each, "auroc") for each in results),
                fmean(_last(each, "fit_seconds") for each in results),
                fmean(1000 * _last(each, "score_seconds") / _tested(each) for each in results),
                max((count for each in results if (count := parameter_count(each)) is not None), default=None),
            )
    if not costs:
        return Section("What it costs", (Text("No single data set was run under the main conditions."),), "costs")
    rows = tuple(
        (method, (share(auroc), number(fit, "{:.2f}"), number(score, "{:.3f}"), number(parameters, "{:,}")))
        for method, (auroc, fit, score, parameters) in costs.items()
    )
    columns = ("method", "AUROC (%)", "training (s a cell)", "scoring (ms an image)", "parameters")
    costs_table = Table("costs", "Costs of each method.", columns, rows)
    blocks: list[PageBlock] = [costs_table, Fold("What is counted", (Text(_NOTE),))]
    for position, cost in ((1, "training time (s a cell)"), (2, "scoring time (ms an image)")):
        values = {method: (each[0], max(float(each[position] or 0), LEAST)) for method, each in costs.items()}
        title = f"AUROC against {cost}"
        drawn = chart(title, partial(_pareto, values, cost))
        blocks.append(Fold(f"{title}, and which methods no other beats at the same cost", (drawn,)))
    return Section("What it costs", tuple(blocks), "costs")


def _pareto(values: Mapping[str, tuple[float, float]], cost: str, title: str) -> go.Figure:
    return figures.pareto_figure(figures.pareto_data(values), title, cost)


def parameter_count(result: Result) -> int | None:
    """Count the weights of a deep detector's networks; None for others, and where the input's width is unknown."""
    from fanogan_mtl.detectors.deep import DeepDetector

    comparison, width = result.comparison, result.recorded.n_features
    if width is None or not issubclass(detector_class(comparison.detector), DeepDetector):
        return None
    detector: DeepDetector = make_detector(comparison.detector, **comparison.chosen)
    return detector.parameter_count(width)


def _last(result: Result, metric: str) -> float:
    return result.summary(metric, result.budgets[-1:]).mean


def _tested(result: Result) -> float:
    return fmean(len(cell.result.rows) for cell in result.cells)
