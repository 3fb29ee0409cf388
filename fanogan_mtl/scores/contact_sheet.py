"""The page of a table of scores: for each head, the images it finds most anomalous, and where in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from heapq import heappush, heappushpop
from pathlib import Path

from tqdm import tqdm

from fanogan_mtl.pages.content import Card, Entry, Gallery, Items, Page, PageBlock, Picture, Table, Text, section
from fanogan_mtl.pages.render import render
from fanogan_mtl.scores.decisions import Decision
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.pictures import jpeg_url, overlaid, thumbnail
from fanogan_mtl.serving.scoring import input_of

MOST_IMAGES = 12  # of each head
_MOST_HEADS = 12
MOST_ERRORS = 24


@dataclass
class ScoreSummary:
    """What a page shows of a table.

    Attributes
    ----------
    images : int
    errors : int
    first_errors : list of ScoredRow
    thresholds : mapping of str to float
        Each head's.
    anomalies : dict of str to int
        How many images are above each head's threshold.
    top : dict of str to list of ScoredRow
        The images with the highest scores of each head that is shown, the highest first.
    """

    images: int = 0
    errors: int = 0
    first_errors: list[ScoredRow] = field(default_factory=list)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    anomalies: dict[str, int] = field(default_factory=dict)
    top: dict[str, list[ScoredRow]] = field(default_factory=dict)


def summarise_scores(rows: Iterable[ScoredRow], thresholds: Mapping[str, float]) -> ScoreSummary:
    """Read a table once, and keep what the page shows; the thresholds are those of its heads, in their order."""
    heads = list(thresholds)
    summary = ScoreSummary(thresholds=thresholds, anomalies=dict.fromkeys(heads, 0))
    heaps: dict[str, list[tuple[float, int, ScoredRow]]] = {name: [] for name in heads[:_MOST_HEADS]}
    for number, row in enumerate(rows):
        if not row.head:
            summary.errors += 1
            if summary.errors <= MOST_ERRORS:
                summary.first_errors.append(row)
            continue
        summary.images += row.head == heads[0]
        summary.anomalies[row.head] += bool(row.is_anomaly)
        if row.head in heaps and row.score is not None:
            entry = row.score, -number, row  # of equal scores, the first image
            heap = heaps[row.head]
            heappush(heap, entry) if len(heap) < MOST_IMAGES else heappushpop(heap, entry)
    summary.top = {name: [row for *_, row in sorted(heap, reverse=True)] for name, heap in heaps.items()}
    return summary


def contact_sheet(
    title: str,
    decision: Decision,
    summary: ScoreSummary,
    model: Model,
    heads: Sequence[Head],
    files: Mapping[str, Path],
) -> str:
    """Make the page.

    Parameters
    ----------
    title : str
    decision : Decision
        What the thresholds are.
    summary : ScoreSummary
    model : Model
    heads : sequence of Head
    files : mapping of str to Path
        Where the images are that the summary names.
    """
    every = section("All heads", partial(_all_heads, decision.told(heads), summary, heads))
    pictures = _pictures(summary, model, heads, files, decision.false_alarm_rate)
    of_each = [
        section(f"{head.spec.name}: highest scores", partial(_highest, summary, head, pictures))
        for head in heads[:_MOST_HEADS]
    ]
    failed = [section("Not scored", partial(_not_scored, summary))] if summary.errors else []
    return render(Page(title, (every, *of_each, *failed)))


def _highest(
    summary: ScoreSummary, head: Head, pictures: Mapping[tuple[str, str], tuple[Picture, ...]]
) -> list[PageBlock]:
    spec = head.spec
    on = "features" if spec.extractor else "pixels"
    what = f"{spec.detector} on {on}, threshold {summary.thresholds[spec.name]:.4g}."
    cards = tuple(_card(row, pictures.get((row.path, row.head), ())) for row in summary.top[spec.name])
    return [Text(what), Gallery((("", cards),))]


def _not_scored(summary: ScoreSummary) -> list[PageBlock]:
    more = f" The first {MOST_ERRORS}:" if summary.errors > MOST_ERRORS else ""
    said = Text(f"{_count(summary.errors, 'image')} could not be read.{more}")
    return [said, Items(tuple(f"{row.path}: {row.error}" for row in summary.first_errors))]


def _pictures(
    summary: ScoreSummary, model: Model, heads: Sequence[Head], files: Mapping[str, Path], rate: float | None
) -> dict[tuple[str, str], tuple[Picture, ...]]:
    """An image and its heat map, by path and head; one image is held at a time, and one that has gone is left out."""
    by_name = {head.spec.name: head for head in heads}
    wanted: dict[str, list[Head]] = {}
    for rows in summary.top.values():
        for row in rows:
            wanted.setdefault(row.path, []).append(by_name[row.head])
    pictures: dict[tuple[str, str], tuple[Picture, ...]] = {}
    for path, own in tqdm(wanted.items(), desc="heat maps", unit="image", delay=2, leave=False):
        with suppress(Exception):  # the score is there; its picture may have gone since, or not be drawn
            image = read_image_file(files[path])
            for head, heat_map in zip(own, heat_maps(model, own, image), strict=True):
                shown = thumbnail(image, depth=input_of(model, head)[1].depth)
                over = overlaid(shown, heat_map, head.map_threshold(rate))
                plain, under = Picture(jpeg_url(shown), "the image"), Picture(jpeg_url(over), "its heat map")
                pictures[path, head.spec.name] = plain, under
    return pictures


def _all_heads(decision: str, summary: ScoreSummary, heads: Sequence[Head]) -> list[PageBlock]:
    text = (
        f"{_count(summary.images, 'image')} scored. A head knows one class; what else it sees is an anomaly to it. "
        "Red shows where in an image the anomaly is, and a yellow outline what lies above the map's threshold, where "
        f"few normal images have anything. An orange edge: the score is above the head's threshold, by {decision}."
    )
    if len(heads) > _MOST_HEADS:
        text += f" Images are shown for the first {_MOST_HEADS} of {len(heads)} heads; the option heads chooses others."
    rows = []
    for head in heads:
        above = summary.anomalies[head.spec.name]
        share = f"{above / summary.images:.1%}" if summary.images else ""
        numbers = {"above": float(above)}
        rows.append(
            (
                head.spec.name,
                (Entry(f"{summary.thresholds[head.spec.name]:.4g}"), Entry(f"{above:,}", numbers), Entry(share)),
            )
        )
    caption = "Images above each head's threshold."
    return [Text(text), Table("heads", caption, ("head", "threshold", "above it", "share"), tuple(rows))]


def _card(row: ScoredRow, pictures: tuple[Picture, ...]) -> Card:
    facts = {"score": f"{row.score:.4g}", "threshold": f"{row.threshold:.4g}"}
    if row.p_value is not None:
        facts["p-value"] = f"{row.p_value:.3g}"
    facts["probability"] = f"{row.probability:.1%}"
    return Card(pictures, row.path, facts, bool(row.is_anomaly))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
