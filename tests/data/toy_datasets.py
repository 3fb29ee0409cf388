"""Small data sets in memory, whose images are told apart by a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import Dataset, Images
from fanogan_mtl.data.hashing import content_hashes


def make_images(contents: NDArray[np.integer], labels: NDArray[np.integer], domains: NDArray[np.integer]) -> Images:
    """Make images that are equal where their content number is."""
    pixels = np.zeros((len(contents), 28, 28), np.uint8)
    pixels.reshape(len(contents), -1)[:, :4] = np.asarray(contents, "<u4")[:, None].view(np.uint8)
    sizes = np.zeros((len(pixels), 3), np.int64)
    return Images(pixels, labels.astype(np.int64), domains.astype(np.int64), content_hashes(pixels), sizes)


def make_dataset(
    train: tuple[NDArray[np.integer], NDArray[np.integer]],
    test: tuple[NDArray[np.integer], NDArray[np.integer]],
    n_domains: int = 1,
) -> Dataset:
    """Make a data set of (content numbers, labels); rows belong to the domains in turn."""
    n_classes = int(max([*train[1].tolist(), *test[1].tolist()])) + 1
    parts = [make_images(*part, np.arange(len(part[0])) % n_domains) for part in (train, test)]
    classes = tuple(str(number) for number in range(n_classes))
    return Dataset("toy", "0" * 64, classes, tuple("abc"[:n_domains]), *parts)


def make_vectors(
    contents: NDArray[np.integer], labels: NDArray[np.integer], contaminated: bool = False, unique: bool = False
) -> Dataset:
    """Make a data set of vectors (content number, 1), 0 normal and 1 an anomaly."""
    vectors = np.stack([contents, np.ones(len(contents))], axis=1).astype(np.float32)
    domains, sizes = np.zeros(len(labels), np.int64), np.zeros((len(labels), 3), np.int64)
    train = Images(vectors, labels.astype(np.int64), domains, content_hashes(vectors), sizes)
    test = Images(*(array[:0] for array in vars(train).values()))
    return Dataset("toy", "0" * 64, ("normal", "anomaly"), ("toy",), train, test, contaminated, unique)


def balanced_dataset(n_train: int, n_test: int, n_classes: int = 10, n_domains: int = 1) -> Dataset:
    """Make a data set with so many different images of each class, sorted by class."""
    train_labels, test_labels = (np.repeat(np.arange(n_classes), n) for n in (n_train, n_test))
    contents = np.arange(len(train_labels) + len(test_labels))
    return make_dataset(
        (contents[: len(train_labels)], train_labels), (contents[len(train_labels) :], test_labels), n_domains
    )
