"""Pictures for people and programs: thumbnails, heat maps laid over them in red, and maps as PNG."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fanogan_mtl.data.images.levels import Pixels, eight_bits
from fanogan_mtl.data.transforms import cropped_part
from fanogan_mtl.serving.explain import HeatMap

_SIDE = 160  # px, for screens that show two or three of them to one of the page
RED = np.array([230, 0, 0], np.float32)
OUTLINE = np.array([240, 228, 66], np.float32)  # yellow, seen on grey and on red
_STRONGEST = 0.7  # share of red where the map is strongest


def thumbnail(image: Pixels, side: int = _SIDE, depth: int | None = None) -> Pixels:
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


def overlaid(picture: Pixels, heat_map: HeatMap, threshold: float | None = None) -> Pixels:
    """Lay a heat map over an RGB picture of its image, and an outline around what lies above a threshold."""
    top, left, height, width = cropped_part(picture.shape[0], picture.shape[1], heat_map.crop)
    covered = (slice(top, top + height), slice(left, left + width))
    mixed = picture.astype(np.float32)
    alpha = _STRONGEST * _resized(heat_map.strength, height, width)[..., None]
    mixed[covered] = mixed[covered] * (1 - alpha) + RED * alpha
    if threshold is not None:
        mixed[covered][_outline(_resized(heat_map.values, height, width) > threshold)] = OUTLINE
    return np.rint(mixed).astype(np.uint8)


def grey_png(heat_map: HeatMap) -> str:
    """Encode a map as a PNG of 8 bits in base64: white at its strongest place, black where there is nothing."""
    return _base64(Image.fromarray(np.rint(255 * heat_map.strength).astype(np.uint8)), "PNG")


def deep_png(heat_map: HeatMap) -> tuple[str, float]:
    """Encode a map's values as a PNG of 16 bits in base64; give as well the value that 65535 stands for, 0 for 0."""
    highest = float(heat_map.values.max())
    levels = np.rint(heat_map.values.astype(np.float64) * (65535 / highest if highest > 0 else 0)).astype(np.uint16)
    return _base64(Image.fromarray(levels), "PNG"), highest


def jpeg(picture: Pixels) -> str:
    """Encode a picture as a JPEG in base64."""
    return _base64(Image.fromarray(picture), "JPEG", quality=88, subsampling=0)


def jpeg_url(picture: Pixels) -> str:
    """Give a picture as a JPEG in a data URL."""
    return "data:image/jpeg;base64," + jpeg(picture)


def _resized(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR), np.float32)


def _outline(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels around a region (height, width), two wide: inside of it and at its edge."""
    from scipy.ndimage import binary_erosion

    inside: NDArray[np.bool_] = region & ~binary_erosion(region, np.ones((3, 3)), iterations=2, border_value=0)
    return inside


def _base64(picture: Image.Image, kind: str, **options: Any) -> str:
    file = BytesIO()
    picture.save(file, kind, **options)
    return b64encode(file.getvalue()).decode("ascii")
