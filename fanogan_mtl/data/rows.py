"""Images and vectors as the rows that detectors take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pixel_rows(pixels: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Flatten images (n, height, width[, channels]), uint8, to rows (n, features), float32 in [0, 1].

    Vectors (n, features), float32, are rows as they are: those are returned, not a copy.
    """
    if pixels.dtype == np.float32:
        return pixels.astype(np.float32, copy=False)
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
