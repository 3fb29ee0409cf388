"""Error analysis: the images that each method is most confidently wrong about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.figures.images import png, shrunk
from fanogan_mtl.pages.content import Card, Fold, Gallery, PageBlock, Picture, Section, Table, Text, number
from fanogan_mtl.report.evidence import Evidence, Result
from fanogan_mtl.sweep.cell import ALL_SEEN
from fanogan_mtl.sweep.result import DoneCell

Pixels = NDArray[np.uint8] | NDArray[np.float32]

MISTAKES_SHOWN = 3  # of each kind a class
MOST_CLASSES = 10
MISTAKE_SIDE = 56  # px; larger images are averaged down

TEXT = (
    "Of each class that was normal, the false alarms with the highest scores and the missed anomalies with the lowest, "
    "against the threshold (the 0.9 quantile of the training scores), at the last budget of the first seed. Scores are "
    "in the detector's own unit, given as multiples of the threshold where that is positive."
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
    blocks.append(Fold(f"Pictures of {len(galleries)} methods and data sets", tuple(galleries)))
    return Section("What the methods get wrong", tuple(blocks), "mistakes")


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


def _row(cell: DoneCell, pixels: tuple[Pixels, Pixels], classes: Sequence[str]) -> tuple[str, tuple[Card, ...]]:
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


def _image(pixels: tuple[Pixels, Pixels], row: int) -> NDArray[np.uint8]:
    train, test = pixels
    image = train[row] if row < len(train) else test[row - len(train)]
    picture: NDArray[np.uint8] = shrunk(np.asarray(image, np.uint8)[None], MISTAKE_SIDE)[0]
    return picture
