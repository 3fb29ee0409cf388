"""Figures of what a comparison supports: the critical-difference diagram, and AUROC against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from fanogan_mtl.evaluation.significance import ALPHA, Significance
from fanogan_mtl.figures.style import COLOURS, layout, line_style

_ROW = 24  # px of a row of the critical-difference diagram
_DARK = "#222222"


@dataclass(frozen=True)
class CriticalDifferences:
    """Mean ranks of methods, and which of them the blocks do not tell apart.

    Attributes
    ----------
    methods, mean_ranks : lists of one length, the best (lowest) rank first
    groups : best and worst mean rank of each group that is not told apart; empty where none is, or none was tested
    critical_difference : of mean ranks; None where nothing was tested, or there is no difference to look for further
    """

    methods: list[str]
    mean_ranks: list[float]
    groups: list[tuple[float, float]]
    critical_difference: float | None


@dataclass(frozen=True)
class CostPoint:
    """One method's AUROC in percent and its cost; on the front if no other is as good and cheap, and better in one."""

    method: str
    cost: float
    auroc: float
    on_front: bool


def critical_difference_data(significance: Significance) -> CriticalDifferences:
    """Take the diagram's numbers from tests of three methods or more; of two or of few blocks, the ranks alone."""
    ranks, test = significance.mean_ranks, significance.friedman
    methods = sorted(ranks, key=ranks.__getitem__)
    groups = [(ranks[group[0]], ranks[group[-1]]) for group in test.groups] if test else []
    critical = test.critical_difference if test and test.is_supported else None
    return CriticalDifferences(methods, [ranks[method] for method in methods], groups, critical)


def critical_difference_figure(data: CriticalDifferences, title: str) -> go.Figure:
    """Critical-difference diagram (Demšar 2006): methods at their mean ranks, a bar over those that are not told apart.

    From top to bottom: the critical difference as a length, a bar for each group, and a row for each method.
    """
    critical, n_groups, n_methods = data.critical_difference, len(data.groups), len(data.methods)
    first = n_groups + (critical is not None)  # row of the best method
    rows = [first + position for position in range(n_methods)]
    lowest, highest = 1.0, max(float(n_methods), 1 + (critical or 0))
    margin = 0.04 * (highest - lowest)
    figure = go.Figure(
        layout=layout(
            title,
            {"title": "mean rank (1 is best)", "side": "top", "range": [lowest - margin, highest + margin], "dtick": 1},
            {"visible": False, "range": [rows[-1] + 0.7, -0.7]},
            height=150 + _ROW * (first + n_methods),
        )
    )
    figure.update_layout(
        margin={"t": figure.layout.margin.t + 40, "l": 12},  # the axis is above
        shapes=[  # from each method up to the axis, as its rank is read there and bars are met on the way
            {"type": "line", "x0": rank, "x1": rank, "y0": -0.7, "y1": row, "line": {"color": "#999999", "width": 1}}
            for rank, row in zip(data.mean_ranks, rows, strict=True)
        ],
        annotations=[
            _name(method, rank, row, rank > (lowest + highest) / 2)
            for method, rank, row in zip(data.methods, data.mean_ranks, rows, strict=True)
        ],
    )
    if critical is not None:
        figure.add_scatter(
            x=[1, 1 + critical],
            y=[0, 0],
            mode="lines+markers",
            line={"color": _DARK, "width": 2},
            marker={"symbol": "line-ns-open", "size": 12, "color": _DARK},
            name=f"critical difference {critical:.2f}",
            hovertemplate=f"critical difference {critical:.2f}<extra></extra>",
        )
    if data.groups:
        figure.add_scatter(
            x=[end for best, worst in data.groups for end in (best, worst, None)],
            y=[end for row in range(first - n_groups, first) for end in (row, row, None)],
            mode="lines",
            line={"color": COLOURS[0], "width": 7},
            name=f"not told apart at {ALPHA:.2f}",
            hovertemplate="not told apart<extra></extra>",
        )
    figure.add_scatter(
        x=data.mean_ranks,
        y=rows,
        mode="markers",
        marker={"color": _DARK, "size": 8},
        text=[escape(method) for method in data.methods],
        name="method",
        hovertemplate="%{text}: mean rank %{x:.2f}<extra></extra>",
        showlegend=False,
    )
    return figure


def pareto_data(values: Mapping[str, tuple[float, float]]) -> list[CostPoint]:
    """Points of the methods, the cheapest first.

    Parameters
    ----------
    values : method -> (AUROC in [0, 1], cost in any unit)

    Raises
    ------
    ValueError
        For a cost that is not above 0, as the axis is logarithmic.
    """
    for method, (_, cost) in values.items():
        if not 0 < cost < float("inf"):
            raise ValueError(f"cost of '{method}' must be above 0 and finite, got {cost}")
    return [
        CostPoint(method, cost, 100 * auroc, not any(_dominates(other, (auroc, cost)) for other in values.values()))
        for method, (auroc, cost) in sorted(values.items(), key=lambda item: (item[1][1], -item[1][0]))
    ]


def pareto_figure(points: Sequence[CostPoint], title: str, cost: str) -> go.Figure:
    """AUROC against a cost on a logarithmic axis; numbers lead from points to the legend.

    Points on the Pareto front are filled, and a line runs along it: for a method below or to the right of the line
    there is another that is as good at the same cost or less.

    Parameters
    ----------
    points : as `pareto_data` makes them, one or more
    title : plain text
    cost : title of the axis with its unit, such as `training time (s)`
    """
    figure = go.Figure(
        layout=layout(
            title,
            {"title": escape(cost), "type": "log", "exponentformat": "power", "minor": {"ticks": "outside"}},
            {"title": "AUROC (%)"},
            height=420 + 20 * len(points),
        )
    )
    front = [point for point in points if point.on_front]
    figure.add_scatter(
        x=[point.cost for point in front],
        y=[point.auroc for point in front],
        mode="lines",
        line={"color": _DARK, "width": 1, "dash": "dot", "shape": "hv"},
        name="Pareto front (filled)",
        hoverinfo="skip",
    )
    for position, point in enumerate(points):
        marker = line_style(position)["marker"]
        figure.add_scatter(
            x=[point.cost],
            y=[point.auroc],
            mode="markers+text",
            marker=marker | {"size": 11, "symbol": marker["symbol"] + ("" if point.on_front else "-open")},
            text=[str(position + 1)],
            textposition="top center",
            name=f"{position + 1} {escape(point.method)}: {point.auroc:.1f} %, {_short(point.cost)}",
            hovertemplate=f"{escape(point.method)}: %{{y:.1f}} % at {_short(point.cost)}<extra></extra>",
        )
    return figure


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the first (AUROC, cost) is as good and as cheap as the other, and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def _short(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def _name(method: str, rank: float, row: float, to_left: bool) -> dict[str, object]:
    """Name and rank beside the method's marker, towards the middle, over the lines of the methods below."""
    return {
        "text": f"{escape(method)} {rank:.2f}",
        "x": rank,
        "y": row,
        "xanchor": "right" if to_left else "left",
        "xshift": -7 if to_left else 7,
        "showarrow": False,
        "bgcolor": "#FFFFFF",
        "borderpad": 1,
    }
