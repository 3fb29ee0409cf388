"""What the data room hands out: raw sets, prepared sets, counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.files import ImageFiles
from fanogan_mtl.data.images.levels import Pixels

VECTOR_CLASSES = ("normal", "anomaly")
"""Classes of every data set of vectors, in the order of their labels 0 and 1."""
FEWEST_VECTORS = (10, 3)
"""Rows of each of these classes that are needed, so that every part of a split has both."""

MASK_SIZE = 256
"""Height and width at which masks are kept and held against maps, in pixels."""
PICTURE_SIZE = 128
"""Height and width at which images are shown beside their masks, in pixels."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class RawImages:
    """Images as their source has them.

    Attributes
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3), uint8 or uint16, or ImageFiles
        Files where images are of different sizes.
    labels : array of shape (n,), int64
        Positions in the set's `classes`.
    masks : tuple of Path or None
        For each image the file that says where its anomaly is; empty where there are no masks.
    """

    images: Pixels | ImageFiles
    labels: NDArray[np.int64]
    masks: tuple[Path | None, ...] = ()


@dataclass(frozen=True)
class RawDataset:
    """A source of images before preparation; `classes` are names in the order of `class_order`."""

    classes: tuple[str, ...]
    train: RawImages
    test: RawImages


@dataclass(frozen=True)
class RawVectors:
    """A source of vectors; which are trained and which are tested on, `splits` decides.

    Attributes
    ----------
    vectors : array of shape (n, features), float32
    labels : array of shape (n,), int64
        Positions in `VECTOR_CLASSES`.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """Prepared images, or vectors.

    Attributes
    ----------
    pixels : array of shape (n, size, size) or (n, size, size, 3), uint8, or of shape (n, features), float32
        A read-only memory map: images, or vectors.
    labels : array of shape (n,), int64
        Positions in the data set's `classes`.
    domains : array of shape (n,), int64
        Positions in the data set's `domains`.
    hashes : array of shape (n,), uint64
        `content_hashes` of the pixels.
    sizes : array of shape (n, 3), int64
        Height and width of the raw image in pixels, and bytes of its file, 0 without one; zeros for vectors.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    domains: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Masks:
    """Where the anomalies of test images are.

    Attributes
    ----------
    rows : array of shape (k,), int64, ascending
        Positions of the test images that have a mask.
    packed : array of shape (k, MASK_SIZE, MASK_SIZE / 8), uint8
        True for anomalous pixels; `numpy.packbits` of the last axis.
    pictures : array of shape (k, PICTURE_SIZE, PICTURE_SIZE) or (k, PICTURE_SIZE, PICTURE_SIZE, 3), uint8
        The images, to be shown beside their masks.
    """

    rows: NDArray[np.int64]
    packed: NDArray[np.uint8]
    pictures: NDArray[np.uint8]

    def mask(self, position: int) -> NDArray[np.bool_]:
        """One of them, unpacked, (MASK_SIZE, MASK_SIZE)."""
        return np.unpackbits(self.packed[position], axis=-1).astype(bool)


@dataclass(frozen=True)
class Dataset:
    """A prepared data set or pool.

    Attributes
    ----------
    name : str
    digest : str
        SHA-256 of pixels, labels, masks, class names, which image is of which domain, and how vectors are split
        (contaminated, unique); names of set and domains aside.
    classes : tuple of str
        In the order of `class_order`; of vectors `VECTOR_CLASSES`.
    domains : tuple of str
        The members' names; one unless it is a pool.
    train, test : Images
        All vectors are in `train`: the split parts them.
    contaminated : bool
        Whether the training part of a split keeps its anomalies; only vectors have some.
    unique : bool
        Whether a split of vectors keeps copies on one side; images always do.
    masks : Masks or None
        Where the anomalies of test images are, if some have masks.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    train: Images
    test: Images
    contaminated: bool = False
    unique: bool = False
    masks: Masks | None = None

    @property
    def is_images(self) -> bool:
        """Whether `pixels` are images; vectors otherwise."""
        return self.train.pixels.ndim > 2

    @property
    def normal_classes(self) -> tuple[str, ...]:
        """Names of the classes that can be the normal one: those with training images, of vectors `normal` alone."""
        if not self.is_images:
            return self.classes[:1]
        return tuple(self.classes[label] for label in np.unique(self.train.labels))


def copy_count(dataset: Dataset) -> int:
    """Count the images or vectors whose content an earlier one has already, whatever their classes."""
    hashes = np.concatenate([dataset.train.hashes, dataset.test.hashes])
    return len(hashes) - len(np.unique(hashes))


def under_two_classes(dataset: Dataset) -> tuple[int, tuple[str, ...]]:
    """Count the images whose content lies under another class, too, and name those classes."""
    hashes = np.concatenate([dataset.train.hashes, dataset.test.hashes])
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    of_classes = np.concatenate([np.unique(hashes[labels == label]) for label in np.unique(labels)])
    contents, counts = np.unique(of_classes, return_counts=True)
    doubled = np.isin(hashes, contents[counts > 1])
    return int(doubled.sum()), tuple(dataset.classes[label] for label in np.unique(labels[doubled]))


def copies_of_training_images(dataset: Dataset) -> int:
    """Count the test images whose content is among the training images of their class."""
    number = 0
    for label in range(len(dataset.classes)):
        tested, trained = (part.hashes[part.labels == label] for part in (dataset.test, dataset.train))
        number += int(np.isin(tested, trained).sum())
    return number


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Count images: `{"train": {class: number, ...}, "test": {...}}`, every class in each, as ordered in `classes`."""

    def counts(images: Images) -> dict[str, int]:
        numbers = np.bincount(images.labels, minlength=len(dataset.classes)).tolist()
        return dict(zip(dataset.classes, numbers, strict=True))

    return {"train": counts(dataset.train), "test": counts(dataset.test)}


def class_order(name: str) -> tuple[object, ...]:
    """Key that sorts class names as people do: whole numbers first, and numbers within names as numbers."""
    if _WHOLE_NUMBER.fullmatch(name):
        return (0, int(name), name)
    parts = re.split(r"([0-9]+)", name.casefold())  # text and number in turn
    return (1, tuple(int(part) if number % 2 else part for number, part in enumerate(parts)), name)


def numbered_classes(
    train_labels: NDArray[np.integer], test_labels: NDArray[np.integer]
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Name classes after integer labels.

    Returns
    -------
    classes : tuple of str
        The different labels of both arrays in ascending order.
    train_positions, test_positions : arrays of int64
        Each label's position in `classes`.
    """
    numbers = sorted({*train_labels.tolist(), *test_labels.tolist()})  # exact for uint64 beside int64
    position = {number: index for index, number in enumerate(numbers)}

    def positions(labels: NDArray[np.integer]) -> NDArray[np.int64]:
        return np.array([position[label] for label in labels.tolist()], dtype=np.int64)

    return tuple(str(number) for number in numbers), positions(train_labels), positions(test_labels)
