"""The figure of scores: how far normal and anomalous rows lie apart, and where the threshold is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fanogan_mtl.evaluation.curves import HistogramData, histogram_data
from fanogan_mtl.figures.style import bar_style, layout


@dataclass(frozen=True)
class ScoreHistogram:
    """Normal and anomalous scores in bins, the threshold in score units, and how many rows are of either kind."""

    counts: HistogramData
    threshold: float
    n_normal: int
    n_anomalous: int


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
