"""Replaces a figure that can't be made by the reason: an error in drawing must not lose what was measured."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from textwrap import wrap

import plotly.graph_objects as go

from fanogan_mtl.errors import unshown
from fanogan_mtl.figures.style import TITLE_LETTERS, layout


def drawn(make: Callable[[], go.Figure], title: str) -> go.Figure:
    """Make a figure; one that can't be made is replaced by a text that says why."""
    try:
        return make()
    except Exception as error:
        reason = unshown(error)
    hidden = {"visible": False}
    lines = "<br>".join(map(escape, wrap(reason, TITLE_LETTERS)))
    note = {"text": lines, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    return go.Figure(layout=layout(title, hidden, hidden, height=240) | {"annotations": [note]})
