"""Charts that several pages have: AUROC against epochs and by class, each with its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from fanogan_mtl import figures
from fanogan_mtl.pages.content import Chart, Table, share


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
    return Chart(
        figures.drawn(lambda: figures.auroc_by_epochs_figure(figures.auroc_by_epochs_data(means, stds), title), title),
        f"AUROC against epochs: {title}",
        table,
    )


def classes_chart(name: str, head: str, title: str, values: Mapping[str, Mapping[str, float]]) -> Chart:
    """Draw AUROC by normal class at the last budget; parameters as in `epochs_chart`."""
    classes = list(dict.fromkeys(each for of in values.values() for each in of))
    rows = tuple((line, tuple(share(of.get(each)) for each in classes)) for line, of in values.items())
    table = Table(name, "AUROC in percent by normal class, last budget.", (head, *classes), rows)
    return Chart(
        figures.drawn(lambda: figures.auroc_by_class_figure(figures.auroc_by_class_data(values), title), title),
        f"AUROC by class: {title}",
        table,
    )
