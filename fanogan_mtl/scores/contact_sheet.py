"""The page of a table of scores: for each head, the images it finds most anomalous, and where in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from heapq import heappush, heappushpop
from html import escape
from pathlib import Path

from tqdm import tqdm

from fanogan_mtl.page import Section, html_page
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.pictures import jpeg_url, overlaid, thumbnail
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.scoring import input_of

MOST_IMAGES = 12  # of each head
MOST_HEADS = 12
MOST_ERRORS = 24

STYLE = """<style>
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 0.75rem }
.card { margin: 0; padding: 0.5rem; border: 1px solid #ddd; border-radius: 6px; break-inside: avoid; min-width: 0 }
.anomaly { border-left: 4px solid #D55E00 }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 4px }
.pair > * { width: 100%; aspect-ratio: 1; object-fit: contain; background: #f3f3f3; border-radius: 3px }
.gone { grid-column: 1 / 3; aspect-ratio: 2; display: grid; place-items: center; color: #666 }
figcaption { font-size: 0.85rem; line-height: 1.4; font-variant-numeric: tabular-nums }
.path { display: block; margin: 0.25rem 0; font-weight: 600; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: auto auto; margin: 0 } dt { color: #555 } dd { margin: 0; text-align: right }
li { overflow-wrap: anywhere }
@media (max-width: 26rem) { .cards { gap: 0.5rem; grid-template-columns: 1fr 1fr } .card { padding: 0.4rem }
  th, td { padding: 0.2rem 0.3rem } }
</style>"""

Picture = tuple[str, str]  # data URLs of an image, and of it under its heat map


@dataclass
class Summary:
    """What a page shows of a table.

    Attributes
    ----------
    images : int
    errors : int
    first_errors : list of ScoredRow
    anomalies : dict of str to int
        How many images are above each head's threshold.
    top : dict of str to list of ScoredRow
        The images with the highest scores of each head that is shown, the highest first.
    """

    images: int = 0
    errors: int = 0
    first_errors: list[ScoredRow] = field(default_factory=list)
    anomalies: dict[str, int] = field(default_factory=dict)
    top: dict[str, list[ScoredRow]] = field(default_factory=dict)


def summarise(rows: Iterable[ScoredRow], heads: Sequence[str]) -> Summary:
    """Read a table once, and keep what the page shows."""
    summary = Summary(anomalies=dict.fromkeys(heads, 0))
    heaps: dict[str, list[tuple[float, int, ScoredRow]]] = {name: [] for name in heads[:MOST_HEADS]}
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


def contact_sheet(title: str, summary: Summary, model: Model, heads: Sequence[Head], files: Mapping[str, Path]) -> str:
    """Make the page.

    Parameters
    ----------
    title : str
    summary : Summary
    model : Model
    heads : sequence of Head
    files : mapping of str to Path
        Where the images are that the summary names.
    """
    return html_page(title, partial(_sections, summary, model, heads, files))


def _sections(summary: Summary, model: Model, heads: Sequence[Head], files: Mapping[str, Path]) -> list[Section]:
    pictures = _pictures(summary, model, heads, files)
    sections: list[Section] = [("All heads", _overview(summary, heads), STYLE + _table(summary, heads))]
    for head in heads[:MOST_HEADS]:
        spec, rows = head.spec, summary.top[head.spec.name]
        what = f"{spec.detector} on {'features' if spec.extractor else 'pixels'}, threshold {head.threshold:.4g}."
        cards = "".join(_card(row, pictures.get((row.path, row.head))) for row in rows)
        sections.append((f"{spec.name}: highest scores", what, f'<div class="cards">{cards}</div>'))
    if summary.errors:
        items = "".join(f"<li><b>{escape(row.path)}</b>: {escape(row.error)}</li>" for row in summary.first_errors)
        more = f" The first {MOST_ERRORS}:" if summary.errors > MOST_ERRORS else ""
        sections.append(
            ("Not scored", f"{_count(summary.errors, 'image')} could not be read.{more}", f"<ul>{items}</ul>")
        )
    return sections


def _pictures(
    summary: Summary, model: Model, heads: Sequence[Head], files: Mapping[str, Path]
) -> dict[tuple[str, str], Picture]:
    """By path and head; one image is held at a time. One that has gone since it was scored is left out."""
    by_name = {head.spec.name: head for head in heads}
    wanted: dict[str, list[Head]] = {}
    for rows in summary.top.values():
        for row in rows:
            wanted.setdefault(row.path, []).append(by_name[row.head])
    pictures: dict[tuple[str, str], Picture] = {}
    for path, own in tqdm(wanted.items(), desc="heat maps", unit="image", delay=2, leave=False):
        with suppress(Exception):  # the score is there; its picture may have gone since, or not be drawn
            image = read_image_file(files[path])
            for head, heat_map in zip(own, heat_maps(model, own, image), strict=True):
                preparation = input_of(model, head)[1]
                shown = thumbnail(image, depth=preparation.depth)
                over = overlaid(shown, heat_map, preparation.crop)
                pictures[path, head.spec.name] = jpeg_url(shown), jpeg_url(over)
    return pictures


def _overview(summary: Summary, heads: Sequence[Head]) -> str:
    text = (
        f"{_count(summary.images, 'image')} scored. A head knows one class; what else it sees is an anomaly to it. "
        "Red marks where in an image the anomaly is. An orange edge: the score is above the head's threshold."
    )
    if len(heads) > MOST_HEADS:
        text += f" Images are shown for the first {MOST_HEADS} of {len(heads)} heads; the option heads chooses others."
    return text


def _table(summary: Summary, heads: Sequence[Head]) -> str:
    lines = []
    for head in heads:
        name = head.spec.name
        above = summary.anomalies[name]
        share = f"{above / summary.images:.1%}" if summary.images else ""
        lines.append(f"<tr><td>{escape(name)}</td><td>{head.threshold:.4g}</td><td>{above:,}</td><td>{share}</td></tr>")
    header = "<tr><th>head</th><th>threshold</th><th>above it</th><th>share</th></tr>"
    return f"<table>{header}{''.join(lines)}</table>"


def _card(row: ScoredRow, picture: Picture | None) -> str:
    if picture:
        plain, over = picture
        shown = f'<img src="{plain}" alt="the image"><img src="{over}" alt="its heat map">'
    else:
        shown = '<div class="gone">no picture</div>'
    facts = {"score": f"{row.score:.4g}", "threshold": f"{row.threshold:.4g}", "probability": f"{row.probability:.1%}"}
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    kind = "card anomaly" if row.is_anomaly else "card"
    return (
        f'<figure class="{kind}"><div class="pair">{shown}</div>'
        f'<figcaption><span class="path">{escape(row.path)}</span><dl>{listed}</dl></figcaption></figure>'
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
