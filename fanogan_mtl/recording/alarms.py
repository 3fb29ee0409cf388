"""The part of a comparison's page that holds false alarms against the rate that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from fanogan_mtl import figures
from fanogan_mtl.evaluation.alarms import PROMISES, kept_promise
from fanogan_mtl.evaluation.conformal import told_rate
from fanogan_mtl.evaluation.metrics import ASKED
from fanogan_mtl.evaluation.statistics import summarise
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Entry, Section, Table, Text, share
from fanogan_mtl.sweep.result import DoneCell

HEADING = "False alarms asked for, and those that came"
_COLUMNS = ("asked for", "came, mean", "heads outside the band", "anomalies found")
_EXPLAINED = (
    "Thresholds are made from the scores of the validation's normal rows, and hold for new ones that come from where"
    " those came from. A thin line is a head, that is a class; 95 of 100 heads lie in the band, which is wide where few"
    " rows are held out or tested. A mean that keeps above the dashed line says that the test's normal rows differ from"
    " the held-out ones."
)


def alarm_sections(cells: Sequence[DoneCell], seed: str, title: str) -> Iterator[Section]:
    """Make the section of cells that kept the scores of held-out normal rows; none for others.

    Parameters
    ----------
    cells : sequence of DoneCell
        Of one seed.
    seed : str
        Which seed and budget, as a sentence.
    """
    heads = {cell.normal_class: own for cell in cells if (own := cell.result.of_normal)}
    if len(heads) < len(cells):
        return

    def draw(title: str) -> go.Figure:
        return figures.alarm_curves_figure(figures.alarm_curves_data(heads), title)

    rows = tuple((f"{told_rate(rate)} %", _row(cells, rate)) for rate in PROMISES)
    caption = "In percent, at the last budget."
    table = Table("false alarms", caption, _COLUMNS, rows)
    yield Section(HEADING, (Text(f"{_EXPLAINED} {seed}"), chart(HEADING, draw, table, title)))


def _row(cells: Sequence[DoneCell], rate: float) -> tuple[Entry, ...]:
    kept = kept_promise([own for cell in cells if (own := cell.result.of_normal)], rate)
    if kept is None:
        return (Entry("can't be promised"), Entry(""), Entry(""))
    recall = "recall" if rate == ASKED else f"recall_asked_{100 * rate:.0f}"
    of_cells = {(cell.normal_class, cell.seed): cell.result.metrics[max(cell.result.metrics)] for cell in cells}
    found = summarise({of: metrics[recall] for of, metrics in of_cells.items() if recall in metrics})
    return share(kept.mean), Entry(f"{len(kept.outside)} of {kept.n_heads}"), share(found.mean)
