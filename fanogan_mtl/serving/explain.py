"""Where in an image an anomaly is: heat maps.

A detector of pixels that reconstructs shows its residual. For the others, and for detectors on features, the map is
made by occlusion (Zeiler and Fergus 2014): each square of a grid in turn is painted over with the image's mean, and the
square's value is how much the score falls.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.data.rows import pixel_rows
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
        At the size that the image is prepared to, in the units of the score (a residual: of pixels in [0, 1]). A map
        covers the part of the image that the preparation keeps.
    """
    prepared: dict[Preparation, NDArray[np.uint8]] = {}
    occluded: dict[Input, Rows] = {}
    maps = []
    for head in heads:
        wanted = input_of(model, head)
        key, preparation = wanted
        if preparation not in prepared:
            prepared[preparation] = prepare(image[None], preparation)
        own = prepared[preparation][0]
        if key is None and hasattr(head.detector, "reconstruct"):
            maps.append(_residual(head.detector, own))
            continue
        if wanted not in occluded:
            occluded |= rows_of(model, [wanted], {preparation: _occlusions(own)})
        maps.append(_falls(head.detector, occluded[wanted], own.shape[0]))
    return maps


def png_of(heat_map: HeatMap) -> str:
    """Encode a heat map as a grey PNG in base64, 255 where it is strongest."""
    from PIL import Image

    strongest = heat_map.max()
    scaled = np.rint(heat_map * (255 / strongest if strongest > 0 else 0)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(scaled).save(file, "PNG")
    return b64encode(file.getvalue()).decode("ascii")


def _residual(detector: Any, image: NDArray[np.uint8]) -> HeatMap:
    row = pixel_rows(image[None])
    residual = np.abs(row - detector.reconstruct(row)).reshape(image.shape)
    return np.asarray(residual if residual.ndim == 2 else residual.mean(axis=2), np.float32)


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


def _falls(detector: Any, rows: Rows, size: int) -> HeatMap:
    """How much the score falls by each square, spread smoothly over the image."""
    from PIL import Image

    scores = detector.decision_function(rows)
    side = len(_edges(size))
    falls = np.maximum(scores[0] - scores[1:], 0).reshape(side, side).astype(np.float32)
    smooth = Image.fromarray(falls).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(smooth, np.float32)


def _edges(size: int) -> list[tuple[int, int]]:
    cuts = np.linspace(0, size, min(SQUARES, size) + 1).round().astype(int).tolist()
    return list(pairwise(cuts))
