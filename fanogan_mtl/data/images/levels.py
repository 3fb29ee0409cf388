"""The rules by which colours become grey and 16 bits become 8, for every kind of source."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

GREY_WEIGHTS = (19595, 38470, 7471)
"""ITU-R 601's, in 65536ths: they sum to one, so that grey is not changed."""

Pixels = NDArray[np.uint8 | np.uint16]


def depth_of(highest: int) -> int:
    """Give the bits, 8 to 16, that a set of 16-bit images uses: as few as its highest value needs."""
    return max(8, highest.bit_length())


def eight_bits(images: Pixels, depth: int | None = None) -> NDArray[np.uint8]:
    """Keep the eight highest of the bits that 16-bit pixels use; 8-bit ones are what they are.

    So 12-bit values give the same pixels whether a file has them in its lower or its upper bits, and `v * 257` gives
    `v`.

    Parameters
    ----------
    images : array of any shape, uint8 or uint16
    depth : int, optional
        Bits that 16-bit pixels use, 8 to 16; all without. Values beyond are white.

    Returns
    -------
    array of the same shape, uint8
    """
    if images.dtype == np.uint8:
        return cast("NDArray[np.uint8]", images)
    depth = depth or 16
    return (images.clip(max=2**depth - 1) >> np.uint16(depth - 8)).astype(np.uint8)


def grey_levels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make grey of RGB (..., 3) by `GREY_WEIGHTS`."""
    red, green, blue = map(np.uint32, GREY_WEIGHTS)
    weighted = images[..., 0] * red
    weighted += images[..., 1] * green
    weighted += images[..., 2] * blue
    weighted += np.uint32(2**15)
    weighted >>= np.uint32(16)
    return weighted.astype(np.uint8)
