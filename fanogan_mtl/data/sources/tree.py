"""Searches a folder: lists its images, and counts all other files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from fanogan_mtl.data.images.formats import SUFFIXES, holds_image, suffix_of
from fanogan_mtl.data.sources.layout import is_rubbish, mask_files, mask_folders
from fanogan_mtl.data.sources.left_out import MASKS

_USUAL = frozenset(suffix[1:] for suffix in SUFFIXES)


@dataclass
class Tree:
    """What lies below a folder.

    Attributes
    ----------
    images : list of str
        Paths relative to the root that was searched, with `/`, sorted.
    n_direct : int
        How many of the images lie in the folder itself.
    folders : list of str
        Names of the folders in the folder itself, those of masks aside.
    left_out : Counter of str
        How many files of each kind, as `.txt`, are not among the images.
    mask_folders : list of str
        Paths of folders that were not looked into.
    mask_files : list of str
        Paths of masks that lie beside images; they are counted in `left_out`, too.
    """

    images: list[str] = field(default_factory=list)
    n_direct: int = 0
    folders: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    mask_folders: list[str] = field(default_factory=list)
    mask_files: list[str] = field(default_factory=list)

    @property
    def has_masks_only(self) -> bool:
        """Whether there are masks, and nothing else."""
        return not self.images and set(self.left_out) | ({MASKS} if self.mask_folders else set()) == {MASKS}


def folders_in(folder: Path) -> list[str]:
    """Names of the folders and links to folders in a folder, rubbish aside."""
    with os.scandir(folder) as entries:
        return [each.name for each in entries if each.is_dir() and not is_rubbish(each.name)]


def link_to_what_is_read(folder: Path, names: Collection[str]) -> Path | None:
    """Find among class folders a link to one that holds it, or to the same folder as another of them."""
    links = [folder / name for name in sorted(names) if (folder / name).is_symlink()]
    if not links:
        return None
    here = folder.resolve()
    above = {here, *here.parents}
    places = Counter((folder / name).resolve() for name in names)
    return next((link for link in links if (place := link.resolve()) in above or places[place] > 1), None)


def images_beside(folder: Path) -> int:
    """How many files in a folder itself have an image's suffix."""
    with os.scandir(folder) as entries:
        return sum(each.name.lower().endswith(SUFFIXES) and each.is_file() for each in entries)


def tree_below(root: Path, folder: str, with_masks: bool = False) -> Tree:
    """Search a folder of a root, and those in it; links to folders are not followed.

    Parameters
    ----------
    with_masks : bool
        Whether what is called like a mask is an image.

    Raises
    ------
    OSError
        For a folder, or a file without an image's suffix, that can't be read.
    """
    tree = Tree()
    tree.n_direct, tree.folders = _search(f"{root}/", folder, with_masks, tree)
    tree.images.sort()
    return tree


def _search(root: str, folder: str, with_masks: bool, tree: Tree) -> tuple[int, list[str]]:
    """Add what is in a folder to the tree; tell the number of images in it, and the names of the folders."""
    images, folders = [], []
    with os.scandir(root + folder) as entries:
        for each in entries:
            name = each.name
            if name[0] == ".":
                continue
            if each.is_file():
                usual = name[name.rfind(".") + 1 :].lower() in _USUAL
                if usual or (not is_rubbish(name) and holds_image(f"{root}{folder}/{name}")):
                    images.append(name)
                elif not is_rubbish(name):
                    tree.left_out[suffix_of(name) or "without a suffix"] += 1
            elif each.is_dir(follow_symlinks=False):
                if not is_rubbish(name):
                    folders.append(name)
            elif each.is_dir():
                tree.left_out["links to folders"] += 1  # they could lead in circles
            elif each.is_symlink() and name.lower().endswith(SUFFIXES):
                images.append(name)  # it leads nowhere: reading it says so
            else:
                tree.left_out["links to nothing, pipes or the like"] += 1
    if not with_masks:
        if masks := mask_files(images):
            tree.left_out[MASKS] += len(masks)
            tree.mask_files += [f"{folder}/{name}" for name in sorted(masks)]
            images = [name for name in images if name not in masks]
        masks = mask_folders(folders)
        tree.mask_folders += [f"{folder}/{name}" for name in sorted(masks)]
        folders = [name for name in folders if name not in masks]
    below = f"{folder}/"
    tree.images += [below + name for name in images]
    for name in folders:
        _search(root, f"{folder}/{name}", with_masks, tree)
    return len(images), folders
