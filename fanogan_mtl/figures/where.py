"""Figures of anomaly maps: images beside their masks and maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fanogan_mtl.figures.images import Sheet, image_axes, png, sheet
from fanogan_mtl.figures.style import layout

_OUTLINE = (0, 158, 115)  # of masks; green beside the red of maps
_STRONGEST = (213, 0, 0)
_ROWS = ("image", "mask", "map", "both")


def maps_data(
    pictures: NDArray[np.uint8], masks: NDArray[np.bool_], maps: NDArray[np.floating], labels: Sequence[str]
) -> Sheet:
    """Lay images, masks, maps, and images under both in four rows, one column an image.

    Parameters
    ----------
    pictures : (n, size, size) or (n, size, size, 3), uint8
    masks : (n, size, size), true for anomalous pixels; shown white, and as an outline
    maps : (n, size, size), in [0, 1]; shown as grey, and as red laid over the image
    labels : of the n images
    """
    coloured = pictures if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, axis=3)
    strength = np.clip(maps, 0, 1)[..., None]
    over = np.round(coloured * (1 - 0.7 * strength) + np.array(_STRONGEST) * 0.7 * strength).astype(np.uint8)
    over[outlines(masks)] = _OUTLINE
    grey = [np.repeat(np.round(255 * each).astype(np.uint8), 3, axis=3) for each in (masks[..., None], strength)]
    return sheet(np.stack([coloured, *grey, over]), list(_ROWS), [(label, 1) for label in labels])


def maps_figure(data: Sheet, title: str) -> go.Figure:
    """Images, masks and maps as one picture."""
    figure = go.Figure(layout=layout(title, *image_axes(data), height=520))
    figure.add_image(source=png(data.pixels), hoverinfo="skip")
    return figure


def outlines(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of masks (n, height, width) that have a neighbour outside, or lie at the edge."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    inside = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    return masks & ~inside
