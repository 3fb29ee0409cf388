"""Figures of AUROC: of methods on data sets, against epochs, by class and by protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from fanogan_mtl.figures.style import bar_style, layout, line_style

AUROC_PERCENT = {"title": "AUROC (%)"}
LIGHT_AT, DARKEST = 50, "#08519C"  # of a map: white at chance and below, this blue at 100 %
DARK_FROM = 89  # from here on white text has more contrast than black
MAP_ROW = 27  # px


_Place = tuple[float | None, str, bool]
"""Of one method on one data set: AUROC in [0, 1], or None where it was not run; a text; and whether it is the best."""


@dataclass(frozen=True)
class EpochLine:
    """One detector's mean AUROC in percent at each budget, with its deviations over seeds where there are any."""

    detector: str
    epochs: list[int]
    auroc: list[float]
    std: list[float] | None


@dataclass(frozen=True)
class AurocBars:
    """AUROC in percent in several places (classes, or detectors), of one detector or one protocol."""

    name: str
    places: list[str]
    auroc: list[float]


def auroc_map_figure(datasets: Sequence[str], rows: Mapping[str, Sequence[_Place]], title: str) -> go.Figure:
    """AUROC of methods (rows) on data sets as colour and text: the darker the higher, from 50 % (chance) on.

    The best are bold with a star; what was not run is grey.
    """
    plain = {"type": "category", "showgrid": False, "showline": False, "ticks": ""}
    x = {"side": "top", "range": [-0.5, len(datasets) - 0.5], **plain}
    y = {"range": [len(rows) - 0.5, -0.5], **plain}
    figure = go.Figure(layout=layout(title, x, y, height=80 + MAP_ROW * len(rows)))
    columns = [escape(name) for name in datasets]
    figure.add_heatmap(
        z=[[None if auroc is None else 100 * auroc for auroc, _, _ in row] for row in rows.values()],
        x=columns,
        y=[escape(method) for method in rows],
        zmin=LIGHT_AT,
        zmax=100,
        colorscale=[[0, "#FFFFFF"], [1, DARKEST]],
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{y} on %{x}: %{z:.1f} %<extra></extra>",
    )
    places = [place for row in rows.values() for place in row]
    figure.add_scatter(
        x=columns * len(rows),
        y=[escape(method) for method, row in rows.items() for _ in row],
        mode="text",
        text=[f"<b>{escape(text)} ★</b>" if best else escape(text) for _, text, best in places],
        textfont={"color": [_text_colour(auroc) for auroc, _, _ in places], "size": 13},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(plot_bgcolor="#EEEEEE", margin_b=8, margin_t=figure.layout.margin.t + 24)
    return figure


def _text_colour(auroc: float | None) -> str:
    """White on what is dark, black on what is light, grey on what was not run."""
    if auroc is None:
        return "#555555"
    return "#FFFFFF" if 100 * auroc > DARK_FROM else "#000000"


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
    """AUROC against epochs, one line per detector, with error bars for the deviation over seeds."""
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


def auroc_bars_data(values: Mapping[str, Mapping[str, float]]) -> list[AurocBars]:
    """Bars of one data set: `values` is detector -> class, or protocol -> detector -> mean AUROC in [0, 1]."""
    return [
        AurocBars(name, list(by_place), [100 * auroc for auroc in by_place.values()])
        for name, by_place in values.items()
    ]


def auroc_by_class_figure(bars: Sequence[AurocBars], dataset: str) -> go.Figure:
    """AUROC by class, bars grouped by detector."""
    return _bars_figure(bars, f"AUROC by class on {dataset}", "normal class", "class %{x}: %{y:.1f} %")


def protocols_figure(bars: Sequence[AurocBars], title: str) -> go.Figure:
    """Mean AUROC by detector, bars grouped by protocol."""
    return _bars_figure(bars, title, "detector", "%{x}: %{y:.1f} %")


def _bars_figure(bars: Sequence[AurocBars], title: str, places: str, hover: str) -> go.Figure:
    """Grouped bars; the axis starts at 50 % (chance) unless a bar is lower."""
    lowest = min((auroc for each in bars for auroc in each.auroc), default=50.0)
    y = AUROC_PERCENT | {"range": [0 if lowest < 50 else 50, 100]}
    figure = go.Figure(layout=layout(title, {"title": places, "type": "category"}, y, height=460))
    for position, each in enumerate(bars):
        x = [escape(name) for name in each.places]
        figure.add_bar(x=x, y=each.auroc, name=escape(each.name), hovertemplate=hover, **bar_style(position))
    figure.update_layout(barmode="group", bargap=0.25)
    return figure
