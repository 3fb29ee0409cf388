"""Makes charts for pages, among them those that several pages have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.pages.content import Chart, Table, share


def chart(label: str, make: Callable[[str], go.Figure], table: Table | None = None, title: str = "") -> Chart:
    """Make a chart; a figure that can't be made is replaced by its title (by default the label) and the reason."""
    title = title or label
    return Chart(figures.drawn(lambda: make(title), title), label, table)


def epochs_chart(
    name: str, head: str, title: str, means: Mapping[str, Mapping[int, float]], stds: Mapping[str, Mapping[int, float]]
) -> Chart:
    """Draw AUROC against epochs.

    Parameters
    ----------
    name : str
        Of the table, unique on the page.
    head : str
        What the lines are: `method` or `data set`.
    title : str
        Whose AUROC it is.
    means, stds : mapping
        Line to budget to the mean AUROC, and to its deviation over seeds where there is one.
    """
    budgets = sorted({budget for of in means.values() for budget in of})
    rows = tuple(
        (line, tuple(share(of.get(budget), stds.get(line, {}).get(budget)) for budget in budgets))
        for line, of in means.items()
    )
    table = Table(name, "Mean AUROC in percent at each budget.", (head, *map(str, budgets)), rows)

    def draw(title: str) -> go.Figure:
        return figures.auroc_by_epochs_figure(figures.auroc_by_epochs_data(means, stds), title)

    return chart(f"AUROC against epochs: {title}", draw, table, title)


def classes_chart(name: str, head: str, title: str, values: Mapping[str, Mapping[str, float]]) -> Chart:
    """Draw AUROC by normal class at the last budget; parameters as in `epochs_chart`."""
    classes = list(dict.fromkeys(each for of in values.values() for each in of))
    rows = tuple((line, tuple(share(of.get(each)) for each in classes)) for line, of in values.items())
    table = Table(name, "AUROC in percent by normal class, last budget.", (head, *classes), rows)

    def draw(title: str) -> go.Figure:
        return figures.auroc_by_class_figure(figures.auroc_bars_data(values), title)

    return chart(f"AUROC by class: {title}", draw, table, title)
