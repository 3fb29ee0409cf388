"""A figure that can't be made."""

import plotly.graph_objects as go

from fanogan_mtl import figures


def test_a_figure_that_cannot_be_made_says_so_and_why_in_its_place() -> None:
    def broken() -> go.Figure:
        raise ZeroDivisionError("no <b>rows</b>")

    figure = figures.drawn(broken, "Scores")
    assert figure.layout.title.text == "Scores"
    said = figure.layout.annotations[0].text.replace("<br>", " ")
    assert said == "This can&#x27;t be shown (ZeroDivisionError: no &lt;b&gt;rows&lt;/b&gt;)."


def test_a_figure_that_can_be_made_is_it() -> None:
    made = go.Figure()
    assert figures.drawn(lambda: made, "Scores") is made
