"""Sample sheets: a few training images of each class, as their source has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import RawDataset
from fanogan_mtl.data.files import ImageFiles, image_hashes, prepare_images
from fanogan_mtl.data.hashing import random_ranks
from fanogan_mtl.data.images.levels import eight_bits
from fanogan_mtl.data.transforms import Preparation

_SHEET_IMAGES = 8  # of a class
_THUMBNAIL = Preparation(56, "rgb")  # of raw images of different sizes


@dataclass(frozen=True)
class SampleSheet:
    """A few training images of each class of one source, before and after preparation.

    Attributes
    ----------
    name : str
    classes : tuple of str
        Those with training images.
    raw : array of shape (classes, images, height, width) or (classes, images, height, width, 3), uint8
        Thumbnails of a folder's images.
    prepared : array of shape (classes, images, size, size) or (classes, images, size, size, 3), uint8
    """

    name: str
    classes: tuple[str, ...]
    raw: NDArray[np.uint8]
    prepared: NDArray[np.uint8]


def sheet_arrays(raw: RawDataset, depth: int | None) -> tuple[dict[str, NDArray[Any]], list[int]]:
    """Draw up to eight training images of each class, of each as many.

    Returns
    -------
    arrays : dict
        `sheet_rows`, positions of the images, shape (classes, images), and `sheet_raw`, the images themselves.
    classes : list of int
        Those that have training images.
    """
    order = np.argsort(random_ranks(image_hashes(raw.train.images), "sample sheet"), kind="stable")
    labels = raw.train.labels[order]
    classes, counts = np.unique(labels, return_counts=True)
    n_images = min(_SHEET_IMAGES, int(counts.min()))
    rows = np.stack([order[labels == label][:n_images] for label in classes])
    return {"sheet_raw": _shown(raw.train.images, rows, depth), "sheet_rows": rows}, classes.tolist()


def _shown(images: NDArray[Any] | ImageFiles, rows: NDArray[np.int64], depth: int | None) -> NDArray[np.uint8]:
    if not isinstance(images, ImageFiles):
        return eight_bits(images[rows], depth)
    thumbnails = prepare_images(images[rows.reshape(-1)], replace(_THUMBNAIL, depth=depth))
    return thumbnails.reshape(*rows.shape, *thumbnails.shape[1:])
