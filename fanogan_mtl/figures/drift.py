"""Figures of drift: the path of the martingale with its alarm line, and the p-values it bets against."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from fanogan_mtl.evaluation.drift import Drift
from fanogan_mtl.figures.style import bar_style, layout, line_style

MOST_POINTS = 1000
FEW = 100  # below it, p-values have fewer bins
TICKS = 8


def martingale_figure(drift: Drift, title: str) -> go.Figure:
    """The martingale after each image on a logarithmic axis; of very many images the greatest of each stretch."""
    powers = drift.log_martingale / math.log(10)
    stretches = np.array_split(np.arange(len(powers)), min(len(powers), MOST_POINTS))
    shown = np.array([stretch[powers[stretch].argmax()] for stretch in stretches])
    limit = math.log10(drift.martingale_limit)
    low, high = min(-1.0, powers.min()), max(limit, powers.max())
    line = {
        "type": "scatter", "mode": "lines", "x": [0, *(shown + 1)], "y": [0, *powers[shown]], "name": "martingale",
        "customdata": [f"{10**power:.3g}" if power < 300 else f"10^{power:.0f}" for power in (0, *powers[shown])],
        "hovertemplate": "image %{x}: %{customdata}<extra></extra>", **line_style(0), "showlegend": False,
    }  # fmt: skip
    alarm = {"xref": "paper", "x0": 0, "x1": 1, "y0": limit, "y1": limit}
    note = {"xref": "paper", "x": 0, "xanchor": "left", "y": limit, "yanchor": "bottom", "showarrow": False}
    own = {
        "shapes": [{"type": "line", "line": {"dash": "dash", "color": "#000000"}, **alarm}],
        "annotations": [{"text": f"alarm: {drift.martingale_limit:,.4g}", **note}],
    }
    y = {
        "title": "martingale", "tickprefix": "10<sup>", "ticksuffix": "</sup>",
        "dtick": max(1, math.ceil((high - low) / TICKS)), "range": [low - 0.3, high + 0.08 * (high - low) + 0.3],
    }  # fmt: skip
    return go.Figure([line], layout(title, {"title": "image", "range": [0, len(powers)]}, y, height=360) | own)


def p_values_figure(drift: Drift, title: str) -> go.Figure:
    """How many online conformal p-values lie in each bin, and how many would if nothing had changed."""
    edges = np.linspace(0, 1, (10 if len(drift.p_values) < FEW else 20) + 1)
    bars = {
        "type": "bar", "x": (edges[:-1] + edges[1:]) / 2, "y": np.histogram(drift.p_values, edges)[0],
        "width": 0.92 * edges[1], "hovertemplate": "%{y} images<extra></extra>", **bar_style(0), "showlegend": False,
    }  # fmt: skip
    level = len(drift.p_values) / (len(edges) - 1)
    flat = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level, "line": {"dash": "dash"}}
    x = {"title": "p-value: share of scores so far that are higher", "range": [0, 1]}
    return go.Figure([bars], layout(title, x, {"title": "images"}, height=360) | {"shapes": [flat]})
