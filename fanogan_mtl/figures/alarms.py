"""The figure of false alarms: the rate that was asked for against the one that came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fanogan_mtl.evaluation.alarms import NormalScores
from fanogan_mtl.evaluation.conformal import alarm_band, lowest_rate
from fanogan_mtl.figures.style import COLOURS, layout

MOST = 0.3  # the greatest rate that is shown
_STEPS = 60


@dataclass(frozen=True)
class AlarmCurves:
    """Realised false-alarm rates of heads, and the band in which those of a head of their middle size lie.

    Attributes
    ----------
    asked : float array of shape (k,), ascending
    realised : dict of str to float array of shape (k,)
        NaN where a head can't promise the rate.
    low, high : float arrays of shape (k,)
        95 of 100 heads lie between them; NaN where a head of the middle size can't promise the rate.
    """

    asked: NDArray[np.float64]
    realised: dict[str, NDArray[np.float64]]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def alarm_curves_data(heads: Mapping[str, NormalScores]) -> AlarmCurves:
    """Realised rates of each head at every rate up to 30 %."""
    asked = np.linspace(0, MOST, _STEPS + 1)[1:]
    realised = {
        name: np.array([head.realised(rate) if head.promises(rate) else np.nan for rate in asked])
        for name, head in heads.items()
    }
    n_held_out = int(np.median([len(head.held_out) for head in heads.values()]))
    n_tested = int(np.median([len(head.tested) for head in heads.values()]))
    bands = [
        alarm_band(n_held_out, rate, n_tested) if lowest_rate(n_held_out) <= rate else (np.nan, np.nan)
        for rate in asked
    ]
    low, high = np.array(bands).T
    return AlarmCurves(asked, realised, low, high)


def alarm_curves_figure(data: AlarmCurves, title: str) -> go.Figure:
    """A thin line for each head, a thick one for their mean, and the band around what was asked for."""
    x = 100 * data.asked
    band = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "x": x}
    head = {
        "mode": "lines",
        "line": {"color": "#888888", "width": 1, "shape": "hv"},
        "x": x,
        "hovertemplate": "%{x:.1f}: %{y:.1f} %",
    }
    lines = [
        {"y": 100 * data.low, "showlegend": False, **band},
        {"y": 100 * data.high, "name": "band of 95 %", "fill": "tonexty", "fillcolor": "rgba(0,114,178,0.15)", **band},
        *(
            {"y": 100 * values, "name": f"{escape(name)} is normal", **head} | {"showlegend": False}
            for name, values in data.realised.items()
        ),
        {"x": x, "y": x, "mode": "lines", "name": "as asked for", "line": {"color": "#000000", "dash": "dash"}},
    ]
    known = [values for values in data.realised.values() if not np.isnan(values).all()]
    if known:
        complete = ~np.isnan(np.array(known)).any(axis=0)
        mean = np.where(complete, np.mean(known, axis=0), np.nan)
        style = {
            "mode": "lines",
            "line": {"color": COLOURS[1], "width": 3, "shape": "hv"},
            "hovertemplate": "%{x:.1f}: %{y:.1f} %",
        }
        lines.append({"x": x, "y": 100 * mean, "name": "mean of the heads", **style})
    axes = {"title": "false alarms asked for (%)"}, {"title": "normal test rows flagged (%)"}
    return go.Figure([{"type": "scatter", **line} for line in lines], layout(title, *axes))
