"""Anyone's own images from one npz file, read without trusting it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import RawDataset, RawImages, numbered_classes
from fanogan_mtl.data.sources.archive import archive_fingerprint, read_arrays
from fanogan_mtl.errors import UserError

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load(path: Path, data_dir: Path) -> RawDataset:
    """Load `x_train, y_train, x_test, y_test` from an npz file; nothing in it is ever unpickled.

    Images are (n, height, width) or (n, height, width, 3), uint8 or uint16, labels (n,) integers.

    Raises
    ------
    UserError
        In one line, with the file's name, for everything that is not as above, and if there is only one class.
    """
    x_train, y_train, x_test, y_test = map(_native, read_arrays(path, _ARRAYS, "npz"))
    for part, images, labels in (("train", x_train, y_train), ("test", x_test, y_test)):
        _check_images(images, f"x_{part} in {path}")
        _check_labels(labels, f"y_{part} in {path}", len(images))
    classes, train, test = numbered_classes(y_train, y_test)
    if len(classes) < 2:
        raise UserError(f"{path} has one class only ({classes[0]}); a one-class benchmark needs another as anomaly")
    return RawDataset(classes, RawImages(x_train, train), RawImages(x_test, test))


def fingerprint(path: Path, data_dir: Path) -> list[str]:
    """Digest of the file's bytes."""
    return archive_fingerprint(path, "npz", data_dir)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """An array in this machine's order of bytes."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_images(images: NDArray[Any], where: str) -> None:
    if images.dtype not in (np.uint8, np.uint16):
        nan = " and has NaN" if _has_nan(images) else ""
        remedy = "scale images to 0 to 255 and convert them to uint8, or leave 16-bit ones as uint16"
        raise UserError(f"{where} is {images.dtype}{nan}; {remedy}")
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)) or 0 in images.shape[1:]:
        raise UserError(f"{where} has shape {images.shape}; images must be (n, height, width) or (n, height, width, 3)")
    if len(images) == 0:
        raise UserError(f"{where} has no image; at least one is needed")


def _check_labels(labels: NDArray[Any], where: str, n_images: int) -> None:
    if labels.dtype.kind not in "iu":
        nan = " and has NaN" if _has_nan(labels) else ""
        raise UserError(f"{where} is {labels.dtype}{nan}; number the classes and convert labels to integers")
    if labels.shape != (n_images,):
        raise UserError(f"{where} has shape {labels.shape} for {n_images} images; labels must be ({n_images},)")


def _has_nan(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and bool(np.isnan(array).any())
