"""Resizes 8-bit images, and raises their contrast and sharpness, in whole numbers: the same pixels on any machine.

They are those of torchvision's `resize` (bilinear, antialiased), `adjust_contrast` and `adjust_sharpness` on 8-bit
tensors, to the bit, on a processor with AVX2; on others torchvision resizes floats and rounds, which gives one pixel in
five another level. NumPy alone does it here, so that a served model can do without PyTorch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 22
WEIGHT_LIMIT = 2**15
BAND = 16  # new pixels made at once, of the few old ones that count for them
BLOCK_VALUES = 2**20  # held in double precision at once
LUMA = (0.2989, 0.587, 0.114)  # by which torchvision weighs colours for the mean grey

Bytes = NDArray[np.uint8]


def resized(images: Bytes, size: int) -> Bytes:
    """Make images (n, height, width) of size × size pixels, bilinear and antialiased when shrinking; width first."""
    columns = _along_rows(images, size)
    return np.ascontiguousarray(_along_rows(columns.swapaxes(1, 2), size).swapaxes(1, 2))


def contrasted(images: Bytes, factor: float) -> Bytes:
    """Move the pixels of images (n, height, width) or (n, height, width, 3) away from an image's mean grey."""
    values = images.astype(np.float32)
    grey = values
    if images.ndim == 4:
        red, green, blue = LUMA
        grey = values[..., 0] * np.float32(red)
        grey = np.floor(_sum(_sum(grey, green, values[..., 1]), blue, values[..., 2]))
    mean = grey.reshape(len(grey), -1).mean(axis=1, dtype=np.float64).astype(np.float32)
    return _bytes(_sum(values * np.float32(factor), 1 - factor, mean.reshape(-1, *[1] * (images.ndim - 1))))


def sharpened(images: Bytes, factor: float) -> Bytes:
    """Move the pixels of images, as above, away from their neighbourhood's mean; those at the border stay."""
    if min(images.shape[1:3]) <= 2:
        return images
    values = images.astype(np.float32)
    height, width = images.shape[1:3]
    around = sum(values[:, top : height - 2 + top, left : width - 2 + left] for top in range(3) for left in range(3))
    inner = values[:, 1:-1, 1:-1]
    blurred = np.rint((around + 4 * inner) / 13)
    made = images.copy()
    made[:, 1:-1, 1:-1] = _bytes(_sum(inner, 1 - factor, blurred - inner))
    return made


def _along_rows(images: Bytes, size: int) -> Bytes:
    """Bring rows of pixels (n, height, length) to another length."""
    length = images.shape[-1]
    if length == size:
        return images
    weights, one = _weights(length, size)
    rows = images.reshape(-1, length)
    made = np.empty((len(rows), size), np.uint8)
    for start in range(0, size, BAND):
        band = weights[start : start + BAND]
        counting = np.flatnonzero(band.any(axis=0))
        used = slice(counting[0], counting[-1] + 1)
        factors = np.ascontiguousarray(band[:, used].T)
        block = max(1, BLOCK_VALUES // len(factors))
        for top in range(0, len(rows), block):
            sums = rows[top : top + block, used].astype(np.float64) @ factors  # whole numbers below 2^53: exact
            sums += one / 2
            sums /= one
            np.minimum(sums, 255, out=sums)
            made[top : top + block, start : start + BAND] = sums  # without what is behind the point
    return made.reshape(*images.shape[:-1], size)


@lru_cache(maxsize=64)
def _weights(length: int, size: int) -> tuple[NDArray[np.float64], float]:
    """How much each old pixel of a row counts for each new one, (size, length), whole numbers, and what stands for 1.

    As PyTorch's `compute_index_ranges_int16_weights`: triangles as wide as the old pixels are dense, their sums 1, in
    as many bits as leave the greatest below 2^15.
    """
    scale = length / size
    reach = max(scale, 1.0)
    centres = (scale * (np.arange(size) + 0.5))[:, None]
    first = np.maximum(np.trunc(centres - reach + 0.5), 0)
    behind = np.minimum(np.trunc(centres + reach + 0.5), length)
    places = np.arange(length)
    inside = (places >= first) & (places < behind)
    shares = np.maximum(1 - np.abs((places - centres + 0.5) / reach), 0) * inside
    shares /= shares.sum(axis=1, keepdims=True)
    bits = int((np.floor(0.5 + shares.max() * 2.0 ** np.arange(1, MOST_BITS + 1)) < WEIGHT_LIMIT).sum())
    return np.floor(0.5 + shares * 2.0**bits), 2.0**bits


def _sum(first: NDArray[np.float32], factor: float, second: NDArray[np.float32]) -> NDArray[np.float32]:
    """`first + factor * second`, rounded once, as processors that multiply and add in one step do."""
    total: NDArray[np.float32] = (first.astype(np.float64) + np.float64(np.float32(factor)) * second).astype(np.float32)
    return total


def _bytes(values: NDArray[np.floating]) -> Bytes:
    made: Bytes = np.clip(values, 0, 255).astype(np.uint8)
    return made
