"""Error analysis: the images that each method is most confidently wrong about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.evaluation.alarms import PROMISES, NormalScores, kept_promise
from fanogan_mtl.evaluation.conformal import alarm_band, told_rate
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.figures.images import png, shrunk
from fanogan_mtl.pages.content import (
    NONE,
    Card,
    Entry,
    Fold,
    Gallery,
    PageBlock,
    Picture,
    Row,
    Section,
    Table,
    Text,
    number,
    share,
)
from fanogan_mtl.report.evidence import Evidence, Result
from fanogan_mtl.sweep.cell import ALL_SEEN
from fanogan_mtl.sweep.result import DoneCell

_Pixels = NDArray[np.uint8] | NDArray[np.float32]

MISTAKES_SHOWN = 3  # of each kind a class
MOST_CLASSES = 10
MOST_OUTSIDE = 20
MISTAKE_SIDE = 56  # px; larger images are averaged down

TEXT = (
    "Of each class that was normal, the false alarms with the highest scores and the missed anomalies with the lowest, "
    "against the threshold for 10 % false alarms, made from held-out normal rows (in comparisons of earlier versions "
    "it is the 0.9 quantile of the training scores), at the last budget of the first seed. Scores are in the "
    "detector's own unit, given as multiples of the threshold where that is positive."
)


def mistake_section(evidence: Evidence, datasets: Mapping[str, Dataset | None]) -> Section:
    """Show the most confident mistakes of every method under the protocols `paper` and `label-free`, or on pixels.

    Parameters
    ----------
    datasets : mapping
        Name in the evidence to the data set; None where it isn't to be had as it was.
    """
    results = [
        each for each in evidence.results if each.main and each.comparison.protocol in (None, *ALL_SEEN, "logged")
    ]
    rows, galleries = [], []
    for result in results:
        dataset = datasets.get(result.dataset)
        cells = _first_cells(result)
        alarms, normal, misses, anomalies = np.sum([_counts(cell) for cell in cells], axis=0).tolist()
        name = f"{result.method} on {result.dataset}"
        rows.append((name, (number(alarms, f"{{:,.0f}} of {normal:,}"), number(misses, f"{{:,.0f}} of {anomalies:,}"))))
        if dataset is not None and dataset.is_images:
            pixels = (dataset.train.pixels, dataset.test.pixels)
            shown = tuple(_row(cell, pixels, dataset.classes) for cell in cells[:MOST_CLASSES])
            galleries.append(Fold(name, (Gallery(shown, small=True),)))
    blocks: list[PageBlock] = [Text(TEXT)]
    missing = sorted({each.dataset for each in results if datasets.get(each.dataset) is None})
    if missing:
        blocks.append(Text(f"Without pictures, since the data isn't here as it was: {', '.join(missing)}.", "note"))
    columns = ("method and data set", "false alarms", "missed anomalies")
    caption = "Mistakes at the threshold, over all classes of the first seed, of so many normal and anomalous images."
    blocks.append(Fold("How many mistakes each method makes", (Table("mistakes", caption, columns, tuple(rows)),)))
    blocks.extend(_promises(results))
    blocks.append(Fold(f"Pictures of {len(galleries)} methods and data sets", tuple(galleries)))
    return Section("What the methods get wrong", tuple(blocks), "mistakes")


def _promises(results: Sequence[Result]) -> Iterator[PageBlock]:
    """False-alarm rates that were asked for beside those that came; none of results of earlier versions."""
    heads = {
        f"{result.method} on {result.dataset}": {
            cell.normal_class: own for cell in _first_cells(result) if (own := cell.result.of_normal)
        }
        for result in results
    }
    kept = {name: [kept_promise(list(own.values()), rate) for rate in PROMISES] for name, own in heads.items() if own}
    if not kept:
        return
    outside = [
        _outside(name, normal_class, heads[name][normal_class], each.asked)
        for name, of in kept.items()
        for each in of
        if each
        for normal_class in (list(heads[name])[position] for position in each.outside)
    ]
    n_rates = sum(each.n_heads for of in kept.values() for each in of if each)
    columns = ("method and data set", *(f"{told_rate(rate)} % asked for" for rate in PROMISES))
    means = tuple(
        (name, tuple(share(each.mean if each else None, absent=NONE) for each in of)) for name, of in kept.items()
    )
    caption = (
        "Normal test rows above the threshold, in percent: means over the heads that can promise it. Of single heads "
        f"{len(outside):,} of {n_rates:,} rates lie outside of the band for 95 of 100."
    )
    yield Fold("False alarms asked for, and those that came", (Table("promises", caption, columns, means),))
    if outside:
        outside.sort(key=lambda row: -row[1][0].numbers["mean"])
        shown = f", the {MOST_OUTSIDE} highest" if len(outside) > MOST_OUTSIDE else ""
        caption = f"Rates of single heads that lie outside of their band{shown}, in percent."
        table = Table("outside", caption, ("head and rate", "came", "band"), tuple(outside[:MOST_OUTSIDE]))
        yield Fold("Heads whose false alarms lie outside of their band", (table,))


def _outside(name: str, normal_class: str, own: NormalScores, rate: float) -> Row:
    low, high = alarm_band(len(own.held_out), rate, len(own.tested))
    band = Entry(f"{percent(low)} to {percent(high)}", {"low": low, "high": high})
    return f"{name}, {normal_class} is normal, {told_rate(rate)} % asked for", (share(own.realised(rate)), band)


def _first_cells(result: Result) -> list[DoneCell]:
    first: dict[str, DoneCell] = {}
    for cell in result.cells:
        first.setdefault(cell.normal_class, cell)
    return list(first.values())


def _threshold(cell: DoneCell) -> float:
    return cell.result.metrics[max(cell.result.metrics)]["threshold"]


def _counts(cell: DoneCell) -> tuple[int, int, int, int]:
    """False alarms, normal images, missed anomalies and anomalies."""
    found, anomaly = cell.result.scores[-1] > _threshold(cell), cell.result.anomaly
    return int((found & ~anomaly).sum()), int((~anomaly).sum()), int((~found & anomaly).sum()), int(anomaly.sum())


def _row(cell: DoneCell, pixels: tuple[_Pixels, _Pixels], classes: Sequence[str]) -> tuple[str, tuple[Card, ...]]:
    scores, anomaly, threshold = cell.result.scores[-1], cell.result.anomaly, _threshold(cell)
    order = np.argsort(scores, kind="stable")
    alarms = [place for place in order[::-1] if scores[place] > threshold and not anomaly[place]][:MISTAKES_SHOWN]
    misses = [place for place in order if scores[place] <= threshold and anomaly[place]][:MISTAKES_SHOWN]
    cards = []
    for kind, places in (("false alarm", alarms), ("missed", misses)):
        for place in places:
            true_class = classes[cell.result.labels[place]]
            shown = f"{scores[place] / threshold:.2f} ×" if threshold > 0 else f"{scores[place]:.3g}"
            caption = f"{kind}: {true_class}, {shown}"
            cards.append(Card((Picture(png(_image(pixels, int(cell.result.rows[place]))), caption),), caption))
    return f"{cell.normal_class} is normal", tuple(cards)


def _image(pixels: tuple[_Pixels, _Pixels], row: int) -> NDArray[np.uint8]:
    train, test = pixels
    image = train[row] if row < len(train) else test[row - len(train)]
    picture: NDArray[np.uint8] = shrunk(np.asarray(image, np.uint8)[None], MISTAKE_SIDE)[0]
    return picture
