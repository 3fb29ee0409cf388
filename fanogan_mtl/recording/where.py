"""The part of a comparison's page that holds anomaly maps against masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from fanogan_mtl.evaluation.pixels import ALL, PixelFigures
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Entry, PageBlock, Section, Table, Text, section, share
from fanogan_mtl.report.charts.where import BEST_AND_WORST, example_maps_figure
from fanogan_mtl.sweep.result import DoneCell

_EXPLAINED = (
    "Pixels of the maps against the masks, over normal images and those with a mask. AUPRO: every connected region of"
    " the masks counts the same, up to 30 % or 5 % false positives. Best F1 is that of the best threshold, chosen on"
    " the test. In brackets: 95 % of bootstrap resamples of the images."
)
_COLUMNS = ("anomaly", "images", "AUROC", "average precision", "AUPRO", "AUPRO at 5 %", "best F1")


def where_sections(cells: Sequence[DoneCell], classes: Sequence[str], seed: str, title: str) -> Iterator[Section]:
    """Make the sections of cells whose maps were held against masks; none without them.

    Parameters
    ----------
    cells : sequence of DoneCell
        Of one seed.
    classes : sequence of str
        The data set's.
    seed : str
        Which seed and budget, as a sentence.
    title : str
        Of the figures.
    """
    for cell in cells:
        if (where := cell.result.where) is None:
            continue
        normal = cell.normal_class
        heading = f"Where anomalies are, {normal} is normal"
        yield section(heading, partial(_figures, where.figures, normal, seed))
        if len(where.examples.labels):
            make = partial(example_maps_figure, where.examples, classes)
            heading = f"Best and worst maps, {normal} is normal"
            yield Section(heading, (Text(BEST_AND_WORST), chart(heading, make, title=title)))


def _figures(of: dict[str, PixelFigures], normal: str, seed: str) -> Iterable[PageBlock]:
    return Text(f"{_EXPLAINED} {seed}"), _table(of, normal)


def _table(of: dict[str, PixelFigures], normal: str) -> Table:
    rows = tuple((name if name != ALL else "all", _entries(each)) for name, each in of.items())
    return Table(f"pixels {normal}", "In percent.", _COLUMNS, rows)


def _entries(of: PixelFigures) -> tuple[Entry, ...]:
    interval = f"{percent(of.auroc)} ({percent(of.auroc_low)} to {percent(of.auroc_high)})"
    auroc = Entry(interval, {"mean": of.auroc, "low": of.auroc_low, "high": of.auroc_high})
    others = (of.auprc, of.aupro, of.aupro_05, of.f1)
    return Entry(f"{of.n_images:,}", {"value": of.n_images}), auroc, *map(share, others)
