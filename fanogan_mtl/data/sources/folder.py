"""Anyone's own images in a folder of class folders, read without trusting it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np

from fanogan_mtl.data.cache import file_digests
from fanogan_mtl.data.dataset import RawDataset, RawImages, class_order
from fanogan_mtl.data.files import ImageFiles
from fanogan_mtl.data.images.formats import READ
from fanogan_mtl.data.sources.class_names import class_name
from fanogan_mtl.data.sources.layout import is_normal, like_parts, mask_folders, masks_are_classes, part_of, plain
from fanogan_mtl.data.sources.left_out import BESIDE, MASKS, VALIDATION, counted, say_left_out
from fanogan_mtl.data.sources.masks import masks_of
from fanogan_mtl.data.sources.samples import package_versions, train_and_test_rows
from fanogan_mtl.data.sources.tree import Tree, folders_in, images_beside, link_to_what_is_read, tree_below
from fanogan_mtl.errors import UserError

_MAYBE_TEST = ("validat", "eval", "dev", "holdout", "hold-out", "hold_out")  # where there is no test
_CONTAINERS = ("image", "images", "img", "imgs", "data", "jpegimages")  # of class folders rather than a class


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
        The first so many are the training images, the others the test; None where the folder has no such parts.
    left_out : tuple of (str, int)
        Kinds of files that are not among the images, as `.txt` or `masks`, and how many there are of each.
    folders_left_out : tuple of (str, str)
        Folders, relative, that were not looked into, and why.
    mask_files : tuple of str
        Masks that lie beside images.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    n_train: int | None
    left_out: tuple[tuple[str, int], ...] = ()
    folders_left_out: tuple[tuple[str, str], ...] = ()
    mask_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    """The classes of one part, or of the whole: each folder's name and what lies below it."""

    folder: Path
    classes: dict[str, Tree]
    masks: tuple[str, ...]
    n_beside: int


def list_folder(path: Path) -> FolderFiles:
    """Find the images of `train/<class>/` and `test/<class>/`, or, in a folder that has neither, of `<class>/`.

    The parts may also be called `Training`, `TEST`, `test_set` and the like. Masks are no images, and a folder `val`
    beside the parts is left out.

    Raises
    ------
    UserError
        In one line where there is no such folder, a class without an image, a class that can't be named, or folders
        that are to be read in another way than by their names.
    """
    try:
        if not path.is_dir():
            if path.exists():
                raise UserError(f"{path} is a file; folder: wants a folder that has a folder for each class")
            raise UserError(f"{path} is not there; check the path after folder:")
        names, beside = _parts(path)
        parts = [_part(path, name) for name in names or ("",)]
        if not names:
            _check_no_parts(path)
            _check_no_data_sets(path, parts[0].classes)
        labelled = [_labelled(path, part) for part in parts]
        _check_classes(path, parts, [[label for label, _ in part] for part in labelled])
    except OSError as error:
        raise UserError(f"can't read {error.filename} ({error.strerror}); make it readable") from None
    trees = [tree for part in labelled for _, tree in part]
    files: Counter[str] = Counter()
    for tree in trees:
        files.update(tree.left_out)
    files["images beside the class folders"] = sum(part.n_beside for part in parts)
    masks = [name for part in parts for name in part.masks] + [name for tree in trees for name in tree.mask_folders]
    return FolderFiles(
        names=tuple(chain.from_iterable(tree.images for tree in trees)),
        labels=tuple(chain.from_iterable([label] * len(tree.images) for part in labelled for label, tree in part)),
        n_train=sum(len(tree.images) for _, tree in labelled[0]) if names else None,
        left_out=tuple((kind, count) for kind, count in sorted(files.items()) if count),
        folders_left_out=(*beside, *((name, MASKS) for name in masks)),
        mask_files=tuple(chain.from_iterable(tree.mask_files for tree in trees)),
    )


def load(path: Path, data_dir: Path) -> RawDataset:
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
    masks = masks_of(path, files).paths
    of_train, of_test = (tuple(masks[row] for row in rows.tolist()) if masks else () for rows in (train, test))
    return RawDataset(
        classes,
        RawImages(images[train], labels[train], of_train),
        RawImages(images[test], labels[test], of_test),
    )


def fingerprint(path: Path, data_dir: Path) -> list[str]:
    """Pillow's version, and a digest of names, classes and bytes of the images and masks. What is left out is said.

    Raises
    ------
    UserError
        As `load`.
    """
    files = list_folder(path)
    masks = masks_of(path, files)
    say_left_out(path, masks.files_left_out, masks.folders_left_out)
    content = sha256(str(files.n_train).encode())
    texts = [files.names, files.labels, folder_digests(path, files, data_dir)]
    if masks.used:
        texts += [masks.used, file_digests(path, masks.used, data_dir)]
    for each in texts:
        content.update(os.fsencode("\0".join(("", *each))))
    return [*package_versions("pillow"), content.hexdigest()]


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


def _parts(root: Path) -> tuple[tuple[str, str] | None, list[tuple[str, str]]]:
    """Names of the training and of the test folder, if the root has them, and which others are left out, and why."""
    folders = sorted(folders_in(root))
    by_part = {part: [name for name in folders if part_of(name) == part] for part in ("train", "test", "validation")}
    train, test, validation = by_part.values()
    for part, names in (("train", train), ("test", test)):
        if len(names) > 1:
            both = " and ".join(f"{name}/" for name in names)
            raise UserError(f"{root} has {both}; put all into one {part}/, or rename what is not that part")
    masks = mask_folders(folders)
    others = [name for name in folders if name not in {*train, *test, *validation, *masks}]
    if train and test:
        reasons = [(name, VALIDATION) for name in validation] + [(name, MASKS) for name in sorted(masks)]
        return (train[0], test[0]), reasons + [(name, BESIDE) for name in others]
    if not (train or test) or (others and images_beside(root / (train or test)[0])):
        return None, []  # in the second case trains, or tests, are a class among others
    there, absent = ((train or test)[0], "test" if train else "train")
    similar = [name for name in others if plain(name).startswith((absent, *_MAYBE_TEST))] + validation
    if similar:
        raise UserError(
            f"{root} has {there}/ but no {absent}/; add it, or rename to {absent}/ what is meant "
            f"({', '.join(f'{name}/' for name in similar)})"
        )
    raise UserError(
        f"{root} has {there}/ but no {absent}/; add it, or put the class folders into {root}"
        + (f" (rename {there}/ if it is a class itself)" if others else "")
    )


def _part(root: Path, name: str) -> _Part:
    """Look through the class folders of a part, or of the root itself."""
    folder = root / name
    folders = folders_in(folder)
    masks, faces = mask_folders(folders), masks_are_classes(folders)
    if name and [part_of(each) for each in folders] == [part_of(name)]:
        inner = folder / folders[0]
        raise UserError(f"{folder} has nothing but {inner.name}/ in it; move what is in {inner} up to {folder}")
    if link := link_to_what_is_read(folder, [each for each in folders if each not in masks]):
        raise UserError(f"{link} is a link to {link.resolve()}, whose images are read anyway; take it out")
    below = f"{name}/" if name else ""
    trees = {each: tree_below(root, below + each, faces) for each in folders if each not in masks}
    masks |= {each for each, tree in trees.items() if tree.has_masks_only}
    trees = {each: tree for each, tree in trees.items() if each not in masks}
    n_beside = images_beside(folder)
    if not trees:
        lies = f" ({n_beside:,} image{'s' * (n_beside != 1)} in it)" if n_beside else ""
        only = f" but {', '.join(sorted(masks))}, taken for masks" if masks else ""
        raise UserError(
            f"{folder} has no class folders{only}{lies}; put the images of each class into {folder / 'CLASS'}"
        )
    return _Part(folder, trees, tuple(sorted(below + each for each in masks)), n_beside)


def _labelled(root: Path, part: _Part) -> list[tuple[str, Tree]]:
    """Name the classes of a part; of one that is spelt in two ways that look the same, both folders."""
    labels = {name: class_name(part.folder / name) for name in part.classes}
    for name, tree in part.classes.items():
        if plain(name) in _CONTAINERS and tree.folders and not tree.n_direct:
            inside = _inner(part.folder / name)
            remedy = f"name folder:{inside}" if part.folder == root else f"move them into {part.folder}"
            listed = _listed(folders_in(inside))
            raise UserError(f"{inside} holds folders ({listed}); if they are the classes, {remedy}")
        if not tree.images:
            only = f"only {counted(tree.left_out)}" if tree.left_out else "it is empty"
            raise UserError(f"{part.folder / name} has no {READ} image ({only}); add some or take the folder out")
    return [
        (labels[name], part.classes[name])
        for name in sorted(labels, key=lambda name: (class_order(labels[name]), name))
    ]


def _check_no_parts(root: Path) -> None:
    """Refuse folders that are called nearly like parts: as classes they would tell training images from test images."""
    if found := like_parts(folders_in(root)):
        raise UserError(
            f"{root} has {_listed(found)}: if these are parts, have the classes in them as train/CLASS/ and test/CLASS/"
            "; if they are classes, rename them"
        )


def _check_no_data_sets(root: Path, classes: dict[str, Tree]) -> None:
    """Refuse a root that is one level too high, and class folders that are parted in themselves."""
    parted = [name for name, tree in classes.items() if _is_parted(tree)]
    if parted:
        first = root / min(parted, key=class_order)
        if images_beside(next(first / name for name in classes[first.name].folders if part_of(name) == "train")):
            raise UserError(f"{first} has train/ and test/ in it; have it the other way round: train/{first.name}")
        raise UserError(f"{_data_sets(root, parted)} with train/ and test/ in it; name folder:{first}")
    filled = {name: tree for name, tree in classes.items() if tree.images}
    inner = {name: _inner(root / name) for name, tree in filled.items() if tree.folders and not tree.n_direct}
    if len(inner) == len(filled) > 1 and all(map(_has_normal_class, inner.values())):
        first = inner[min(inner, key=class_order)]
        raise UserError(f"{_data_sets(root, list(inner))} with classes in it; name folder:{first}")


def _is_parted(tree: Tree) -> bool:
    """Whether a class folder has `train` in it, and `test`, `val` or masks beside that."""
    parts = set(map(part_of, tree.folders))
    return "train" in parts and (not parts.isdisjoint({"test", "validation"}) or bool(tree.mask_folders))


def _data_sets(root: Path, names: list[str]) -> str:
    several = len(names) > 1
    return f"{root} holds {'data sets' if several else 'a data set'}: {_listed(names)}{', each' * several}"


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names, key=class_order)
    return ", ".join(ordered[:20]) + (", ..." if len(ordered) > 20 else "")


def _inner(folder: Path) -> Path:
    """Go down as long as there is nothing else but one folder, masks aside."""
    folders = folders_in(folder)
    inside = [name for name in folders if name not in mask_folders(folders)]
    return _inner(folder / inside[0]) if len(inside) == 1 and not images_beside(folder) else folder


def _has_normal_class(folder: Path) -> bool:
    return len(folders := folders_in(folder)) > 1 and any(map(is_normal, folders))


def _check_classes(root: Path, parts: list[_Part], labels: list[list[str]]) -> None:
    """Refuse a single class, and one that is called a little differently beside it, or in training."""
    for part, names in zip(parts, labels, strict=True):
        spelt: dict[str, str] = {}
        for label in names:
            if (first := spelt.setdefault(plain(label), label)) != label and len(label) > 1:  # `a` and `A` are letters
                both = " and ".join(_shown(str(part.folder.relative_to(root) / each)) for each in (first, label))
                raise UserError(f"{root} has {both}; give one class one name")
    if len(labels) > 1:
        trained = {plain(label): label for label in labels[0]}
        for label in labels[1]:
            if label not in labels[0] and (known := trained.get(plain(label))):
                train, test = (part.folder.name for part in parts)
                both = f"{_shown(f'{train}/{known}')} and {_shown(f'{test}/{label}')}"
                raise UserError(f"{root} has {both}; give one class one name")
    if len(different := {label for part in labels for label in part}) > 1:
        return
    (only,) = different
    raise UserError(
        f"{root} has one class only ({only}); a one-class benchmark needs another as anomaly{_what_else(parts)}"
    )


def _shown(path: str) -> str:
    """A path for people; letters that nobody sees, as joiners, by their number."""
    return path if path.isprintable() else repr(path)


def _what_else(parts: list[_Part]) -> str:
    """Tell what could be other classes: what is taken for masks, what lies beside the only class, what is in it."""
    hints = ""
    if masks := {name.rpartition("/")[2] for part in parts for name in part.masks}:
        hints += f"; left out as masks: {_listed(masks)} (rename what is a class)"
    if beside := sum(part.n_beside for part in parts):
        hints += f"; left out beside it: {beside:,} image{'s' * (beside != 1)} that are in no class folder"
    inner = _inner(parts[0].folder / next(iter(parts[0].classes)))
    if len(inside := folders_in(inner)) > 1 and not images_beside(inner):
        first = inner / min(inside, key=class_order)
        if {"train", "test"} <= set(map(part_of, inside)):
            hints += f"; for the data set inside name folder:{inner}"
        elif {"train", "test"} <= set(map(part_of, folders_in(first))):
            hints += f"; {_listed(inside)} in it are data sets; name folder:{first}"
        else:
            remedy = f"name folder:{inner}" if len(parts) == 1 else f"put them into {parts[0].folder}"
            hints += f"; if {_listed(inside)} are the classes, {remedy}"
    return hints
