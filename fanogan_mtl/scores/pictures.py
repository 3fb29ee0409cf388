"""Pictures for people: thumbnails, and heat maps laid over them in red."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image

from fanogan_mtl.data.images.levels import Pixels, eight_bits
from fanogan_mtl.serving.explain import HeatMap

SIDE = 160  # px, for screens that show two or three of them to one of the page
RED = np.array([230, 0, 0], np.float32)
STRONGEST = 0.7  # share of red where the map is strongest


def thumbnail(image: Pixels, side: int = SIDE, depth: int | None = None) -> Pixels:
    """Make an RGB picture of an image, its longer side `side` at most; pixels of a small one become squares.

    Parameters
    ----------
    image : array of shape (height, width) or (height, width, 3), uint8 or uint16
    depth : int, optional
        Bits that a 16-bit image uses; see `Preparation`.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    picture = Image.fromarray(eight_bits(image, depth)).convert("RGB")
    if longer > side:
        size = max(1, round(width * side / longer)), max(1, round(height * side / longer))
        return np.asarray(picture.resize(size, Image.Resampling.BOX))
    times = side // longer
    return np.asarray(picture.resize((width * times, height * times), Image.Resampling.NEAREST))


def overlaid(picture: Pixels, heat_map: HeatMap, crop: float) -> Pixels:
    """Lay a heat map over an RGB picture.

    Parameters
    ----------
    crop : float
        Share of each side, from the middle, that the map covers.
    """
    height, width = (max(1, round(length * crop)) for length in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    strongest = heat_map.max()
    strength = Image.fromarray(heat_map / strongest if strongest > 0 else heat_map)
    alpha = np.zeros((*picture.shape[:2], 1), np.float32)
    resized = np.asarray(strength.resize((width, height), Image.Resampling.BILINEAR))
    alpha[top : top + height, left : left + width, 0] = STRONGEST * resized
    mixed: Pixels = np.rint(picture * (1 - alpha) + RED * alpha).astype(np.uint8)
    return mixed


def jpeg_url(picture: Pixels) -> str:
    """Give a picture as a JPEG in a data URL."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + b64encode(file.getvalue()).decode("ascii")
