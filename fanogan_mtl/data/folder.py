"""Anyone's own images in a folder of class folders, read without trusting it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fanogan_mtl.data.cache import file_digests
from fanogan_mtl.data.dataset import RawDataset, RawImages, class_order
from fanogan_mtl.data.files import ImageFiles
from fanogan_mtl.data.samples import train_and_test_rows
from fanogan_mtl.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")
_CLASS = re.compile(r"[\w.\-]([\w.\- ]*[\w.\-])?")
_MOST_LETTERS = 100  # MLflow's names of metrics end at 250
_RESERVED = ("all", "none")  # words of the options classes and hold_out_class


@dataclass(frozen=True)
class FolderFiles:
    """The images of a folder, not opened yet.

    Attributes
    ----------
    names : tuple of str
        Paths relative to the folder, sorted within each class, with `/`.
    labels : tuple of str
        Each image's class.
    n_train : int or None
        So many of them are the training images, the others the test; None where the folder has no such parts.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    n_train: int | None


def list_folder(path: Path) -> FolderFiles:
    """Find the images of `train/<class>/` and `test/<class>/`, or, in a folder that has neither, of `<class>/`.

    Raises
    ------
    UserError
        In one line where there is no such folder, a class without an image, or a class that can't be named.
    """
    try:
        if not path.is_dir():
            if path.exists():
                raise UserError(f"{path} is a file; folder: wants a folder that has a folder for each class")
            raise UserError(f"{path} is not there; check the path after folder:")
        parts = [part for part in ("train", "test") if (path / part).is_dir()]
        if len(parts) == 1:
            other = "test" if parts == ["train"] else "train"
            raise UserError(f"{path} has {parts[0]}/ but no {other}/; add it, or put the class folders into {path}")
        found = [_classes(path, part) for part in parts or [""]]
    except OSError as error:
        raise UserError(f"can't read {error.filename} ({error.strerror}); make it readable") from None
    names, labels = (tuple(each for part in found for each in part[which]) for which in (0, 1))
    if len(different := sorted(set(labels), key=class_order)) < 2:
        only = different[0]
        raise UserError(f"{path} has one class only ({only}); a one-class benchmark needs another as anomaly")
    return FolderFiles(names, labels, len(found[0][0]) if parts else None)


def load_folder(path: Path, data_dir: Path) -> RawDataset:
    """Load a folder's images; without parts, a random 80 % of each class, by content, are for training.

    Raises
    ------
    UserError
        As `list_folder`, and for a file that can't be read. Images are decoded later.
    """
    files = list_folder(path)
    digests = folder_digests(path, files, data_dir)
    hashes = np.array([int(digest[:16], 16) for digest in digests], np.uint64)
    images = ImageFiles(tuple(path / name for name in files.names), hashes)
    classes = tuple(sorted(set(files.labels), key=class_order))
    position = {name: number for number, name in enumerate(classes)}
    labels = np.array([position[name] for name in files.labels], np.int64)
    if files.n_train is None:
        train, test = (np.sort(rows) for rows in train_and_test_rows(hashes, labels))
    else:
        train, test = np.split(np.arange(len(labels)), [files.n_train])
    if not len(train):
        raise UserError(f"{path} has too few images to train on; a class needs at least two, and rather hundreds")
    return RawDataset(classes, RawImages(images[train], labels[train]), RawImages(images[test], labels[test]))


def folder_digests(path: Path, files: FolderFiles, data_dir: Path) -> list[str]:
    """SHA-256 of each file's bytes.

    Raises
    ------
    UserError
        For a file that can't be read.
    """
    try:
        return file_digests(path, files.names, data_dir)
    except OSError as error:
        raise UserError(f"can't read {error.filename} ({error.strerror}); make it readable or take it out") from None


def _classes(root: Path, part: str) -> tuple[list[str], list[str]]:
    """Names of the images below `root/part`, and the class of each."""
    folder = root / part
    classes = [each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith(".")]
    if not classes:
        raise UserError(f"{folder} has no class folders; put the images of each class into {folder / 'CLASS'}")
    names: list[str] = []
    labels: list[str] = []
    for name in sorted(classes, key=class_order):
        _check_name(name, folder)
        images, others = _images(root, f"{part}/{name}" if part else name)
        if not images:
            only = f"only {others} other file{'s' * (others != 1)}" if others else "it is empty"
            raise UserError(f"{folder / name} has no PNG or JPEG image ({only}); add some or take the folder out")
        names += sorted(images)
        labels += [name] * len(images)
    return names, labels


def _images(root: Path, folder: str) -> tuple[list[str], int]:
    """Names of all images below a class folder, and how many other files there are."""
    images: list[str] = []
    others = 0
    for each in os.scandir(root / folder):
        name = f"{folder}/{each.name}"
        if each.name.startswith("."):
            continue
        if each.is_dir(follow_symlinks=False):  # a link could lead in circles
            below, others_below = _images(root, name)
            images += below
            others += others_below
        elif name.lower().endswith(SUFFIXES):
            images.append(name)
        else:
            others += 1
    return images, others


def _check_name(name: str, folder: Path) -> None:
    if not _CLASS.fullmatch(name):
        raise UserError(f"{str(folder / name)!r} can't name a class; use letters, digits, inner spaces, '_', '-', '.'")
    if len(name) > _MOST_LETTERS:
        raise UserError(f"{folder / name} can't name a class; use at most {_MOST_LETTERS} letters")
    if name in _RESERVED:
        raise UserError(f"{folder / name} can't name a class; '{name}' has a meaning in the options, rename it")
