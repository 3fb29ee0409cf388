"""Figures of images: reconstructions, samples before and after preparation, training batches, class counts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fanogan_mtl.figures.style import bar_style, layout

GAP = 2  # px between the images of a sheet
CELL = 56  # px of a sample's side on the sheet, whatever its own size
LARGEST_SIDE = 128  # px of a reconstruction's side; larger images are averaged down
ROW = 48  # px of a row of images on a wide screen
BATCH_COLUMNS = 16  # images of a domain that are shown
MOST_GREY_VALUES = 100_000  # as numbers in a page; a picture is a tenth of their size


@dataclass(frozen=True)
class Sheet:
    """Images in rows and columns on one white sheet.

    Attributes
    ----------
    pixels : (height, width) or (height, width, 3), uint8
    rows, columns : labels
    row_centres, column_centres : where the labels stand, in px of the sheet
    """

    pixels: NDArray[np.uint8]
    rows: list[str]
    row_centres: list[float]
    columns: list[str]
    column_centres: list[float]


@dataclass(frozen=True)
class JointBatch(Sheet):
    """One training batch, one row per domain.

    Attributes
    ----------
    labels : of each row's images, the class names
    """

    labels: list[list[str]]


@dataclass(frozen=True)
class ClassCounts:
    """Images of each class in each part of a data set."""

    classes: list[str]
    counts: dict[str, list[int]]


def reconstruction_data(
    images: NDArray[np.floating], reconstructions: NDArray[np.floating], labels: Sequence[str]
) -> Sheet:
    """Lay inputs, reconstructions and residuals (absolute differences) in three rows, one column per image.

    Parameters
    ----------
    images, reconstructions : (n, height, width) or (n, height, width, 3), in [0, 1]; values beyond are cut off
    labels : of the n images; neighbours with the same label share it
    """
    rows = np.stack([images, reconstructions, np.abs(images - reconstructions)])  # (3, n, height, width)
    pixels = np.round(255 * np.clip(rows, 0, 1)).astype(np.uint8)
    pixels = np.stack([shrunk(row, LARGEST_SIDE) for row in pixels])
    groups = [(label, len(list(same))) for label, same in groupby(labels)]
    return sheet(pixels, ["input", "reconstruction", "residual"], groups)


def reconstruction_figure(sheet: Sheet, title: str) -> go.Figure:
    """Inputs, reconstructions and residuals: grey values to point at where they are few, otherwise a picture."""
    figure = go.Figure(layout=layout(title, *image_axes(sheet), height=420))
    if sheet.pixels.ndim == 3 or sheet.pixels.size > MOST_GREY_VALUES:
        figure.add_image(source=png(sheet.pixels), hoverinfo="skip")
        return figure
    figure.add_heatmap(
        z=sheet.pixels,
        colorscale="gray",
        zmin=0,
        zmax=255,
        colorbar={
            "orientation": "h",
            "title": {"text": "grey value, 0 to 255", "side": "bottom"},
            "thickness": 10,
            "y": -0.04,
            "yanchor": "top",
            "tickvals": [0, 128, 255],
        },
        hovertemplate="grey value %{z}<extra></extra>",
    )
    return figure


def sample_sheet_data(
    raw: NDArray[np.uint8],
    prepared: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    samples: int = 4,
) -> Sheet:
    """Lay the first samples of each class, raw at the left and prepared at the right, one row per class.

    Parameters
    ----------
    raw : (n, height, width) or (n, height, width, 3), uint8
    prepared : (n, height, width) or (n, height, width, 3), uint8, the same images in the same order
    labels : (n,) positions in `classes`
    samples : of each class; a class with fewer has white cells
    """
    cells = np.full((len(classes), 2 * samples, CELL, CELL, 3), 255, dtype=np.uint8)
    for row in range(len(classes)):
        for column, number in enumerate(np.flatnonzero(labels == row)[:samples]):
            cells[row, column] = _coloured_cell(raw[number])
            cells[row, samples + column] = _coloured_cell(prepared[number])
    return sheet(cells, list(classes), [("raw", samples), ("prepared", samples)])


def sample_sheet_figure(sheet: Sheet, title: str) -> go.Figure:
    """Samples of each class, raw and prepared."""
    figure = go.Figure(layout=layout(title, *image_axes(sheet), height=110 + ROW * len(sheet.rows)))
    figure.add_image(source=png(sheet.pixels), hoverinfo="skip")
    figure.update_yaxes(title="class")
    return figure


def joint_batch_data(images: NDArray[np.uint8], labels: Sequence[str], domains: Sequence[str]) -> JointBatch:
    """Lay a training batch, one row per domain, in the order of the batch.

    Parameters
    ----------
    images : (n, height, width) or (n, height, width, 3), uint8
    labels, domains : of the n images, the names; a domain's images from the 17th on are left out
    """
    rows = list(dict.fromkeys(map(str, domains)))
    shown = [[number for number, domain in enumerate(domains) if domain == row][:BATCH_COLUMNS] for row in rows]
    columns = max(map(len, shown))
    cells = np.full((len(rows), columns, *images.shape[1:]), 255, dtype=np.uint8)
    for row, numbers in enumerate(shown):
        cells[row, : len(numbers)] = images[numbers]
    laid = sheet(cells, rows, [("", 1)] * columns)
    return JointBatch(**vars(laid), labels=[[str(labels[number]) for number in numbers] for numbers in shown])


def joint_batch_figure(data: JointBatch, title: str) -> go.Figure:
    """Images of one training batch by domain; a pointer on one shows its class."""
    figure = go.Figure(layout=layout(title, *image_axes(data), height=90 + ROW * len(data.rows)))
    figure.update_layout(margin_b=8)
    figure.add_image(source=png(data.pixels), hoverinfo="skip")
    cells = [
        (x, y, label)
        for y, labels in zip(data.row_centres, data.labels, strict=True)
        for x, label in zip(data.column_centres, labels, strict=False)
    ]
    figure.add_scatter(
        x=[x for x, _, _ in cells],
        y=[y for _, y, _ in cells],
        hovertext=[escape(label) for _, _, label in cells],
        hoverinfo="text",
        mode="markers",
        marker={"opacity": 0},
        showlegend=False,
    )
    return figure


def class_counts_data(labels: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> ClassCounts:
    """Count images; `labels` is part (as `train`) -> positions in `classes`."""
    counts = {part: np.bincount(values, minlength=len(classes)).tolist() for part, values in labels.items()}
    return ClassCounts(list(classes), counts)


def class_counts_figure(data: ClassCounts, title: str) -> go.Figure:
    """Images of each class, bars grouped by part."""
    figure = go.Figure(layout=layout(title, {"title": "class", "type": "category"}, {"title": "images"}))
    for position, (part, counts) in enumerate(data.counts.items()):
        figure.add_bar(
            x=[escape(name) for name in data.classes],
            y=counts,
            name=escape(part),
            hovertemplate="class %{x}: %{y} images",
            **bar_style(position),
        )
    figure.update_layout(barmode="group")
    return figure


def sheet(cells: NDArray[np.uint8], rows: list[str], columns: list[tuple[str, int]]) -> Sheet:
    """Tile cells of shape (rows, columns, height, width[, 3]); a column label stands over so many columns."""
    height, width = cells.shape[2] + GAP, cells.shape[3] + GAP
    pixels = np.full((len(cells) * height - GAP, cells.shape[1] * width - GAP, *cells.shape[4:]), 255, dtype=np.uint8)
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            pixels[row * height :, column * width :][: cell.shape[0], : cell.shape[1]] = cell
    ends = np.cumsum([span for _, span in columns])
    return Sheet(
        pixels=pixels,
        rows=rows,
        row_centres=[(row + 0.5) * height - (GAP + 1) / 2 for row in range(len(rows))],
        columns=[label for label, _ in columns],
        column_centres=[
            (end - span / 2) * width - (GAP + 1) / 2 for end, (_, span) in zip(ends.tolist(), columns, strict=True)
        ],
    )


def _coloured_cell(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge an image to the cell, each pixel a square, or shrink it; give it three channels."""
    if max(image.shape[:2]) > CELL:
        image = shrunk(image[None], CELL)[0]
    rows, columns = (np.arange(CELL) * side // CELL for side in image.shape[:2])
    cell = image[rows][:, columns]
    return cell if cell.ndim == 3 else np.repeat(cell[..., None], 3, axis=2)


def shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average images (n, height, width[, 3]) down to that height and width where they are larger."""
    from PIL import Image

    height, width = (min(side, own) for own in images.shape[1:3])
    if images.shape[1:3] == (height, width):
        return images
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BOX)) for each in images]
    )


def image_axes(sheet: Sheet) -> tuple[dict[str, Any], dict[str, Any]]:
    """Axes of square pixels from the top downwards, labelled with the rows and columns."""
    height, width = sheet.pixels.shape[:2]
    plain = {"showgrid": False, "showline": False, "ticks": "", "tickangle": 0, "constrain": "domain"}
    x = {"tickvals": sheet.column_centres, "ticktext": [escape(text) for text in sheet.columns], "side": "top"}
    y = {"tickvals": sheet.row_centres, "ticktext": [escape(text) for text in sheet.rows]}
    return plain | x | {"range": [-0.5, width - 0.5]}, plain | y | {
        "range": [height - 0.5, -0.5],
        "scaleanchor": "x",
        "constraintoward": "top",
    }


def png(pixels: NDArray[np.uint8]) -> str:
    """Give pixels as a PNG in a data URL."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")
