"""Figures of how well detectors do: AUROC against epochs and by class, ROC curves, score histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fanogan_mtl.evaluation.curves import HistogramData, RocData, ScoredTest, histogram_data, roc_data
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.figures.style import bar_style, layout, line_style

AUROC_PERCENT = {"title": "AUROC (%)"}


@dataclass(frozen=True)
class EpochLine:
    """One detector's mean AUROC in percent at each budget, with its deviations over seeds where there are any."""

    detector: str
    epochs: list[int]
    auroc: list[float]
    std: list[float] | None


@dataclass(frozen=True)
class ClassBars:
    """One detector's AUROC in percent for each class that was normal."""

    detector: str
    classes: list[str]
    auroc: list[float]


@dataclass(frozen=True)
class ScoreHistogram:
    """Normal and anomalous scores in bins, the threshold in score units, and how many rows are of either kind."""

    counts: HistogramData
    threshold: float
    n_normal: int
    n_anomalous: int


def auroc_by_epochs_data(
    means: Mapping[str, Mapping[int, float]], stds: Mapping[str, Mapping[int, float]] | None = None
) -> list[EpochLine]:
    """Lines of one data set.

    Parameters
    ----------
    means : detector -> epoch budget -> mean AUROC in [0, 1]
    stds : detector -> epoch budget -> deviation over seeds; a detector or budget without one has no error bar
    """
    lines = []
    for detector, by_budget in means.items():
        std = (stds or {}).get(detector, {})
        budgets = sorted(by_budget)
        bars = [100 * std.get(budget, 0.0) for budget in budgets] if std else None
        lines.append(EpochLine(detector, budgets, [100 * by_budget[budget] for budget in budgets], bars))
    return lines


def auroc_by_epochs_figure(lines: Sequence[EpochLine], dataset: str) -> go.Figure:
    """AUROC against epochs, one line a detector, error bars the deviation over seeds."""
    note = ", bars: std over seeds" if any(line.std for line in lines) else ""
    figure = go.Figure(
        layout=layout(
            f"Mean AUROC against epochs on {dataset}{note}",
            {"title": "epochs", "tickvals": sorted({budget for line in lines for budget in line.epochs})},
            AUROC_PERCENT,
        )
    )
    for position, line in enumerate(lines):
        figure.add_scatter(
            x=line.epochs,
            y=line.auroc,
            error_y=None if line.std is None else {"array": line.std, "width": 4},
            name=escape(line.detector),
            mode="lines+markers",
            hovertemplate="%{x} epochs: %{y:.1f} %",
            **line_style(position),
        )
    return figure


def auroc_by_class_data(values: Mapping[str, Mapping[str, float]]) -> list[ClassBars]:
    """Bars of one data set: `values` is detector -> class -> mean AUROC in [0, 1]."""
    return [
        ClassBars(detector, list(by_class), [100 * auroc for auroc in by_class.values()])
        for detector, by_class in values.items()
    ]


def auroc_by_class_figure(bars: Sequence[ClassBars], dataset: str) -> go.Figure:
    """AUROC by class, bars grouped by detector; the axis starts at 50 % (chance) unless a bar is lower."""
    lowest = min((auroc for each in bars for auroc in each.auroc), default=50.0)
    figure = go.Figure(
        layout=layout(
            f"AUROC by class on {dataset}",
            {"title": "normal class", "type": "category"},
            AUROC_PERCENT | {"range": [0 if lowest < 50 else 50, 100]},
            height=460,
        )
    )
    for position, each in enumerate(bars):
        figure.add_bar(
            x=[escape(name) for name in each.classes],
            y=each.auroc,
            name=escape(each.detector),
            hovertemplate="class %{x}: %{y:.1f} %",
            **bar_style(position),
        )
    figure.update_layout(barmode="group", bargap=0.25)
    return figure


def roc_by_class_data(tests: Mapping[str, ScoredTest]) -> dict[str, RocData]:
    """ROC curve of each class; `tests` is class -> its test."""
    return {name: roc_data(*test) for name, test in tests.items()}


def roc_by_class_figure(curves: Mapping[str, RocData], title: str) -> go.Figure:
    """ROC curves of all classes in one figure; the legend has each class's AUROC."""
    rate = {"range": [-1, 101], "dtick": 20}
    lines: list[dict[str, Any]] = [
        {
            "x": 100 * curve.fpr.astype("float32"),  # a figure needs no more digits
            "y": 100 * curve.tpr.astype("float32"),
            "name": f"{escape(name)}: {percent(curve.auroc)} %",
            "mode": "lines",
            "hovertemplate": "%{y:.1f} % found at %{x:.1f} % false positives",
            "line": line_style(position)["line"],
        }
        for position, (name, curve) in enumerate(curves.items())
    ]
    lines.append({
        "x": [0, 100], "y": [0, 100], "mode": "lines", "line": {"color": "#999999", "width": 1}, "hoverinfo": "skip",
        "name": "chance: 50.0 %",
    })  # fmt: skip
    return go.Figure(  # made at once: every change to a figure costs milliseconds, and each cell has two
        [{"type": "scatter", **line} for line in lines],
        layout(
            title, rate | {"title": "false-positive rate (%)"}, rate | {"title": "true-positive rate (%)"}, height=540
        ),
    )


def score_histogram_data(
    anomaly: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> ScoreHistogram:
    """Histogram of one test; arguments and errors as in `detection_metrics`."""
    n_normal, n_anomalous = np.bincount(anomaly, minlength=2).tolist()
    return ScoreHistogram(histogram_data(anomaly, scores, weights), threshold, n_normal, n_anomalous)


def score_histogram_figure(data: ScoreHistogram, title: str) -> go.Figure:
    """Share of the normal and of the anomalous rows in each bin, and the threshold."""
    counts = data.counts
    kinds = (("normal", data.n_normal, counts.normal), ("anomalous", data.n_anomalous, counts.anomalous))
    bars = [
        {
            "type": "bar",
            "x": counts.edges[:-1] / 2 + counts.edges[1:] / 2,
            "y": 100 * rows / rows.sum(),
            "width": counts.edges[1] - counts.edges[0],
            "name": f"{name} ({n_rows} rows)",
            "opacity": 0.7,
            "hovertemplate": "%{y:.1f} %",
            **bar_style(position),
        }
        for position, (name, n_rows, rows) in enumerate(kinds)
    ]
    inside = min(max(data.threshold, counts.edges[0]), counts.edges[-1])
    line = {"x0": inside, "x1": inside, "yref": "paper", "y0": 0, "y1": 1}
    note = {"x": inside, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "top", "showarrow": False}
    own = {
        "barmode": "overlay",
        "shapes": [{"type": "line", "line": {"dash": "dash", "color": "#000000"}, **line}],
        "annotations": [{"text": f"threshold {data.threshold:.4g}", **note}],
    }
    x, y = {"title": "anomaly score (outer bins hold all beyond)"}, {"title": "share of the class's rows (%)"}
    return go.Figure(bars, layout(title, x, y) | own)
