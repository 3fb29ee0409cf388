"""The style of all figures: lines differ without colour too, and text is legible at the width of a telephone."""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import Any

# Okabe and Ito's colours, less the yellow, which is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CLASS_COLOURS = (*COLOURS, "#882255", "#999933", "#999999")  # where only colour tells classes apart, ten differ
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "triangle-down")
PATTERNS = ("", "/", "\\", "x", "-", "|", "+", ".")
GRID = "#DDDDDD"
TITLE_LETTERS = 40  # a line of a title that fits 390 px beside the buttons


def line_style(position: int) -> dict[str, Any]:
    """Colour, dash and marker of the line at that position: 42 lines differ."""
    colour = COLOURS[position % len(COLOURS)]
    return {
        "line": {"color": colour, "dash": DASHES[position % len(DASHES)], "width": 2},
        "marker": {"color": colour, "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 8},
    }


def bar_style(position: int) -> dict[str, Any]:
    """Colour and pattern of the bars at that position: 56 differ."""
    colour = COLOURS[position % len(COLOURS)]
    pattern = {"shape": PATTERNS[position % len(PATTERNS)], "fillmode": "replace", "fgcolor": colour, "size": 6}
    return {"marker": {"color": colour, "pattern": pattern, "line": {"color": colour, "width": 1}}}


def layout(title: str, x: dict[str, Any], y: dict[str, Any], height: int = 440) -> dict[str, Any]:
    """Layout with the legend below the plot.

    Parameters
    ----------
    title : plain text, wrapped to the width of a telephone
    x, y : settings of the axes; `title` is plain text
    height : px; the width is the page's
    """
    lines = wrap(title, TITLE_LETTERS)
    axis = {"gridcolor": GRID, "linecolor": "#444444", "zeroline": False, "ticks": "outside", "automargin": True}
    return {
        "template": "none",
        "title": {
            "text": "<br>".join(map(escape, lines)),
            "font": {"size": 15},
            "x": 0,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 8, "t": 8 if len(lines) == 1 else 18},  # Plotly lifts titles of several lines over the edge
        },
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222222"},
        "xaxis": axis | x,
        "yaxis": axis | y,
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "margin": {"l": 50, "r": 12, "t": 34 + 20 * len(lines), "b": 50},
        "height": height,
        "autosize": True,
    }
