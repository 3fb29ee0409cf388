"""MNIST, SVHN and USPS by torchvision's own loaders, which download what is absent and check it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import file_digest, published_folder
from fanogan_mtl.data.dataset import RawDataset, RawImages, numbered_classes
from fanogan_mtl.data.usage import claim
from fanogan_mtl.errors import UserError

_FILES = {
    "mnist": tuple(
        f"MNIST/raw/{name}-ubyte"
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    ),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
    "usps": ("usps.bz2", "usps.t.bz2"),
}

_ORIGINALS = {**_FILES, "mnist": tuple(f"{file}.gz" for file in _FILES["mnist"])}  # as they are published


def published_files(name: str, data_dir: Path) -> list[Path]:
    """Return the files of a published set, downloading them if they are absent.

    Raises
    ------
    UserError
        Where they are absent and can't be downloaded.
    """
    folder = _folder(name, data_dir)
    files = [folder / file for file in _FILES[name]]
    if not claim(folder, data_dir):
        published_folder(folder, lambda empty: _fetch(name, empty, folder))
    elif not all(file.is_file() for file in files):
        _fetch(name, folder, folder)  # someone put the packed files there
    return files


def load(name: str, data_dir: Path) -> RawDataset:
    """Load a published set, digit 0 as class `0` in all three.

    Raises
    ------
    UserError
        Where the files can't be read, or are absent and can't be downloaded.
    """
    published_files(name, data_dir)
    folder = _folder(name, data_dir)
    try:
        (train, train_labels), (test, test_labels) = (_load_part(name, folder, part) for part in ("train", "test"))
    except Exception as error:  # whatever a damaged file makes of the four parsers behind torchvision
        raise UserError(f"the files of '{name}' in {folder} are damaged ({_line(error)}); delete them") from None
    classes, train_labels, test_labels = numbered_classes(train_labels, test_labels)
    return RawDataset(classes, RawImages(train, train_labels), RawImages(test, test_labels))


def fingerprint(name: str, data_dir: Path) -> list[str]:
    """Digests of the files' bytes; they are downloaded if they are absent."""
    return [file_digest(file, data_dir) for file in published_files(name, data_dir)]


def _folder(name: str, data_dir: Path) -> Path:
    return data_dir / "torchvision" / name


def _open(name: str, folder: Path, part: str, download: bool) -> Any:
    from torchvision import datasets

    if name == "svhn":
        return datasets.SVHN(folder, split=part, download=download)
    loader = datasets.MNIST if name == "mnist" else datasets.USPS
    return loader(folder, train=part == "train", download=download)


def _fetch(name: str, folder: Path, final_folder: Path) -> None:
    """Download, or unpack what lies there packed."""
    try:
        for part in ("train", "test"):
            _open(name, folder, part, download=True)
    except Exception as error:  # no network, no space, or a damaged file among those there
        raise UserError(
            f"data set '{name}' is not in {final_folder} and can't be downloaded ({_line(error)}); connect once, "
            f"put its original files there ({', '.join(_ORIGINALS[name])}), or name a file: {name}=npz:PATH"
        ) from None


def _load_part(name: str, folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    loaded = _open(name, folder, part, download=False)
    if name == "svhn":
        return np.ascontiguousarray(loaded.data.transpose(0, 2, 3, 1)), np.asarray(loaded.labels)
    return np.asarray(loaded.data), np.asarray(loaded.targets)


def _line(error: BaseException) -> str:
    """Put an error's text on one line, short."""
    text = " ".join((str(error) or type(error).__name__).split())
    return text if len(text) <= 160 else f"{text[:157]}..."
