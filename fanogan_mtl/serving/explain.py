"""Where in an image an anomaly is: heat maps.

A detector that says where it finds what it scores (see `anomaly_maps`) shows its own map. For all others the map is
made by occlusion (Zeiler and Fergus 2014): each square of a grid in turn is painted over with the image's mean, and the
square's value is how much the score falls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.anomaly_maps import anomaly_maps, says_where, shown_map
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.data.transforms import Preparation, cropped_part, prepare
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.scoring import Input, Rows, input_of, rows_of

SQUARES = 7  # squares a side: with the image itself, 50 images, which is one batch of an extractor


@dataclass(frozen=True)
class HeatMap:
    """Where in an image a head finds its score.

    Attributes
    ----------
    values : float32 array of shape (size, size), at least 0
        At the size that the image is prepared to, of maps on a grid at most `anomaly_maps.LARGEST`; in the units of the
        score, of its square where that adds up (a residual: of pixels in [0, 1]).
    nothing : float
        The value that is shown as nothing: of a detector of patches, which has some distance everywhere, the least of
        this map; otherwise 0.
    crop : float
        Share of the image's height and width, around its centre, that the map covers.
    """

    values: NDArray[np.float32]
    nothing: float
    crop: float

    @property
    def strength(self) -> NDArray[np.float32]:
        """The map for people, in [0, 1]: 1 at its strongest place, all 0 where nothing stands out."""
        above = self.values - np.float32(self.nothing)
        strongest = above.max()
        return above / strongest if strongest > 0 else above


@dataclass(frozen=True)
class Box:
    """A connected region of a map above a threshold, in pixels of the image that the map is of.

    Attributes
    ----------
    left, top, right, bottom : int
        The last two lie just outside of it.
    highest : float
        The map's greatest value in it.
    """

    left: int
    top: int
    right: int
    bottom: int
    highest: float


def heat_maps(model: Model, heads: Sequence[Head], image: Pixels) -> list[HeatMap]:
    """Make the heat map of one image for each head.

    Parameters
    ----------
    image : array of shape (height, width) or (height, width, 3), uint8 or uint16
    """
    prepared: dict[Preparation, NDArray[np.uint8]] = {}
    rows: dict[tuple[Input, bool], Rows] = {}
    maps = []
    for head in heads:
        wanted = input_of(model, head)
        key, preparation = wanted
        if preparation not in prepared:
            prepared[preparation] = prepare(image[None], preparation)
        own = prepared[preparation][0]
        grid, shape = _grid_of(model, head), own.shape if key is None else None
        told = says_where(head.detector, grid, shape)
        if (wanted, told) not in rows:
            images = own[None] if told else _occlusions(own)
            rows[wanted, told] = rows_of(model, [wanted], {preparation: images})[wanted]
        own_rows = rows[wanted, told]
        values = anomaly_maps(head.detector, own_rows, grid, shape)[0] if told else _falls(head.detector, own_rows)
        shown = shown_map(values, len(own))
        of_patches = told and grid > 1 and hasattr(head.detector, "anomaly_maps")
        maps.append(HeatMap(shown, float(shown.min()) if of_patches else 0.0, preparation.crop))
    return maps


def boxes_of(heat_map: HeatMap, threshold: float, height: int, width: int) -> list[Box]:
    """Draw a box around each connected region of a map above a threshold, the highest first.

    Parameters
    ----------
    height, width : int
        Of the image, in pixels.
    """
    from scipy.ndimage import find_objects, label, maximum

    regions, number = label(heat_map.values > threshold, np.ones((3, 3)))
    highest = maximum(heat_map.values, regions, range(1, number + 1))
    top, left, kept_height, kept_width = cropped_part(height, width, heat_map.crop)
    down, right = kept_height / len(heat_map.values), kept_width / len(heat_map.values)
    boxes = [
        Box(
            left + math.floor(columns.start * right),
            top + math.floor(lines.start * down),
            left + math.ceil(columns.stop * right),
            top + math.ceil(lines.stop * down),
            float(value),
        )
        for (lines, columns), value in zip(find_objects(regions), highest, strict=True)
    ]
    return sorted(boxes, key=lambda box: -box.highest)


def _occlusions(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image itself, and with each square painted over, (1 + squares, size, size[, 3])."""
    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    copies = [image]
    for top, bottom in _edges(len(image)):
        for left, right in _edges(len(image)):
            copy = image.copy()
            copy[top:bottom, left:right] = mean
            copies.append(copy)
    return np.stack(copies)


def _grid_of(model: Model, head: Head) -> int:
    """Squares a side whose features are apart."""
    extractor = model.extractors.get(head.spec.extractor or "")
    return 1 if extractor is None else extractor.positions


def _falls(detector: Any, rows: Rows) -> NDArray[np.float64]:
    """How much the first row's score falls by each square; the other rows are the image with one painted over."""
    scores: NDArray[np.float64] = detector.decision_function(rows)
    side = math.isqrt(len(rows) - 1)
    falls: NDArray[np.float64] = (scores[0] - scores[1:]).reshape(side, side)
    return falls


def _edges(size: int) -> list[tuple[int, int]]:
    cuts = np.linspace(0, size, min(SQUARES, size) + 1).round().astype(int).tolist()
    return list(pairwise(cuts))
