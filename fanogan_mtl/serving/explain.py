"""Where in an image an anomaly is: heat maps.

A detector that says where it finds what it scores (see `anomaly_maps`) shows its own map. For all others the map is
made by occlusion (Zeiler and Fergus 2014): each square of a grid in turn is painted over with the image's mean, and the
square's value is how much the score falls.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.anomaly_maps import anomaly_maps, enlarged, says_where
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.scoring import Input, Rows, input_of, rows_of

SQUARES = 7  # squares a side: with the image itself, 50 images, which is one batch of an extractor

HeatMap = NDArray[np.float32]


def heat_maps(model: Model, heads: Sequence[Head], image: Pixels) -> list[HeatMap]:
    """Make the heat map of one image for each head.

    Parameters
    ----------
    image : array of shape (height, width) or (height, width, 3), uint8 or uint16

    Returns
    -------
    list of arrays of shape (size, size), float32, at least 0
        At the size that the image is prepared to, in the units of the score, of its square where that adds up (a
        residual: of pixels in [0, 1]); of a detector of patches counted from the least of the image. A map covers the
        part of the image that the preparation keeps.
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
        if told and grid > 1 and hasattr(head.detector, "anomaly_maps"):
            values = values - values.min()  # a patch has some distance everywhere
        maps.append(_as_large(values, len(own)))
    return maps


def png_of(heat_map: HeatMap) -> str:
    """Encode a heat map as a grey PNG in base64, 255 where it is strongest."""
    from PIL import Image

    strongest = heat_map.max()
    scaled = np.rint(heat_map * (255 / strongest if strongest > 0 else 0)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(scaled).save(file, "PNG")
    return b64encode(file.getvalue()).decode("ascii")


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


def _as_large(values: NDArray[np.float64], size: int) -> HeatMap:
    """A map as large as the image, smooth where it is smaller; below 0 there is none."""
    positive = np.maximum(values, 0).astype(np.float32)
    return positive if positive.shape == (size, size) else enlarged(positive, size)


def _edges(size: int) -> list[tuple[int, int]]:
    cuts = np.linspace(0, size, min(SQUARES, size) + 1).round().astype(int).tolist()
    return list(pairwise(cuts))
