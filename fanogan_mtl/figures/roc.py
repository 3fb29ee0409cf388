"""ROC curves: of every class, and of every class with and without an extractor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from fanogan_mtl.evaluation.curves import RocData, ScoredTest, roc_data
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.figures.style import CLASS_COLOURS, layout, line_style


@dataclass(frozen=True)
class RocPair:
    """ROC curves of one class without and with the extractor."""

    without_extractor: RocData
    with_extractor: RocData


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


def roc_with_and_without_data(tests: Mapping[str, Mapping[str, ScoredTest]]) -> dict[str, RocPair]:
    """Two ROC curves of each class; `tests` is class -> `without` and `with` -> its test."""
    return {name: RocPair(roc_data(*pair["without"]), roc_data(*pair["with"])) for name, pair in tests.items()}


def roc_with_and_without_figure(data: Mapping[str, RocPair], title: str) -> go.Figure:
    """ROC curves of all classes, dashed without and solid with the extractor; the legend has both AUROCs."""
    rate = {"range": [-1, 101], "dtick": 20}
    x, y = rate | {"title": "false-positive rate (%)"}, rate | {"title": "true-positive rate (%)"}
    figure = go.Figure(layout=layout(title, x, y, height=460 + 20 * len(data)))
    for position, (name, pair) in enumerate(data.items()):
        colour = CLASS_COLOURS[position % len(CLASS_COLOURS)]
        aurocs = f"{percent(pair.without_extractor.auroc)} → {percent(pair.with_extractor.auroc)}"
        for curve, dash, which in (
            (pair.without_extractor, "dash", "without"),
            (pair.with_extractor, "solid", "with"),
        ):
            figure.add_scatter(
                x=100 * curve.fpr.astype("float32"),  # a figure needs no more digits
                y=100 * curve.tpr.astype("float32"),
                name=f"{escape(name)}: {aurocs}",
                mode="lines",
                hovertemplate=f"{which}: %{{y:.1f}} % found at %{{x:.1f}} % false positives",
                line={"color": colour, "dash": dash, "width": 2},
                legendgroup=f"class {position}",
                showlegend=which == "with",
            )
    for x_ends, dash, name, colour in (
        ([None], "dash", "without", "#000000"),
        ([None], "solid", "with", "#000000"),
        ([0, 100], "solid", "chance: 50.0", "#999999"),
    ):
        line = {"color": colour, "dash": dash, "width": 1 if name.startswith("chance") else 2}
        figure.add_scatter(x=x_ends, y=x_ends, mode="lines", line=line, hoverinfo="skip", name=name, legendgroup=name)
    figure.update_layout(
        legend={
            "title": {"text": "AUROC (%) without → with the extractor", "side": "top"},
            "tracegroupgap": 0,
            "xref": "container",
        }
    )
    return figure
