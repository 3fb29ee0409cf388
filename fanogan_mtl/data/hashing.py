"""Hashes of content, and random orders that depend on content alone."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray


def content_hashes(images: NDArray[np.uint8 | np.uint16] | NDArray[np.float32]) -> NDArray[np.uint64]:
    """Hash each image's pixels, or each vector (BLAKE2b, 64 bits).

    Parameters
    ----------
    images : array of shape (n, ...), uint8, uint16 or float32

    Returns
    -------
    array of shape (n,), uint64
        Equal for images of equal pixels, and for vectors of equal bytes.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:]))
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def random_ranks(hashes: NDArray[np.uint64], purpose: str) -> NDArray[np.uint64]:
    """Give each image a random rank that depends on its content and the purpose alone.

    Sorting by rank shuffles the images. Copies share a rank, and an image keeps its rank when others are added, removed
    or moved: so a draw from one class can't depend on another class's images or on the order of a file.

    Parameters
    ----------
    hashes : array of shape (n,), uint64
    purpose : str
        What is drawn, seed included: each purpose has its own order.

    Returns
    -------
    array of shape (n,), uint64
        SplitMix64's finaliser (Steele et al. 2014) of hash xor key: different hashes have different ranks.
    """
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    z: NDArray[np.uint64] = hashes ^ np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
