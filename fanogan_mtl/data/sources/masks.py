"""Finds the masks of a folder's images: which file says where an image's anomaly is.

Known are MVTec AD's and anomalib's `ground_truth/crack/7_mask.png` for `test/crack/7.png`, VisA's `Masks/Anomaly/7.png`
beside `Images/Anomaly/7.JPG`, folders `crack_mask/` beside `crack/` or `crack/mask/` in it, and `7_mask.png` beside
`7.jpg`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fanogan_mtl.data.images.formats import SUFFIXES
from fanogan_mtl.data.sources.layout import is_rubbish, mask_folders, masked_folder, masked_stems, part_of, plain
from fanogan_mtl.data.sources.left_out import MASKS

if TYPE_CHECKING:
    from fanogan_mtl.data.sources.folder import FolderFiles

_Place = tuple[str | None, tuple[str, ...], str]  # part, folders below it, stem


@dataclass(frozen=True)
class FoundMasks:
    """The masks of a folder's images.

    Attributes
    ----------
    paths : tuple of Path or None
        For each image its mask; empty where no image has one.
    used : tuple of str
        Those masks, as paths relative to the folder.
    files_left_out, folders_left_out : tuples
        As in `FolderFiles`, without the masks that are used and their folders.
    """

    paths: tuple[Path | None, ...]
    used: tuple[str, ...]
    files_left_out: tuple[tuple[str, int], ...]
    folders_left_out: tuple[tuple[str, str], ...]


def masks_of(root: Path, files: FolderFiles) -> FoundMasks:
    """Find the mask of each image of a folder.

    Raises
    ------
    OSError
        For a folder of masks that can't be read.
    """
    folders = [name for name, reason in files.folders_left_out if reason == MASKS]
    in_folders = {folder: list(_files_below(root, folder)) for folder in [*folders, *_beside(root)]}
    of_folders = (name for names in in_folders.values() for name in names if name.lower().endswith(SUFFIXES))
    candidates = [*files.mask_files, *of_folders]
    if not candidates:
        return FoundMasks((), (), files.left_out, files.folders_left_out)
    images = _by_place(files.names)
    found: dict[str, str] = {}  # image -> mask
    for mask in candidates:
        if image := _image_of(mask, images):
            found.setdefault(image, mask)
    used = set(found.values())
    counts = Counter(dict(files.left_out))
    counts[MASKS] -= sum(name in used for name in files.mask_files)
    unknown = {folder for folder, names in in_folders.items() if used.isdisjoint(names)}
    spare = [name for folder, names in in_folders.items() if folder not in unknown for name in names]
    counts["masks of no image"] += len(set(spare) - used)
    return FoundMasks(
        tuple(root / found[name] if name in found else None for name in files.names) if found else (),
        tuple(sorted(used)),
        tuple((kind, count) for kind, count in sorted(counts.items()) if count),
        tuple((name, reason) for name, reason in files.folders_left_out if reason != MASKS or name in unknown),
    )


def _beside(root: Path) -> list[str]:
    """Folders of masks beside a root that holds nothing but images, as VisA's `Masks` beside `Images`."""
    if plain(root.name) not in ("images", "image"):
        return []
    with os.scandir(root.parent) as entries:
        folders = [each.name for each in entries if each.is_dir()]
    return [f"../{name}" for name in sorted(mask_folders(folders))]


def _files_below(root: Path, folder: str) -> Iterator[str]:
    """Paths, relative to the root, of the files below a folder, rubbish aside."""
    for place, _, names in sorted(os.walk(root / folder)):
        relative = os.path.relpath(place, root).replace(os.sep, "/")
        yield from (f"{relative}/{name}" for name in sorted(names) if not is_rubbish(name))


def _by_place(names: tuple[str, ...]) -> dict[_Place, str]:
    """Images by part, folders and stem, and under no part as well, the test's before the training's."""
    places = {}
    for name in names:
        *folders, file = name.split("/")
        part = part_of(folders[0]) if len(folders) > 1 else None
        below = tuple(map(plain, folders[1:] if part else folders))
        stem = plain(file.rpartition(".")[0])
        places[part, below, stem] = name
        if part == "test":
            places[None, below, stem] = name
        else:
            places.setdefault((None, below, stem), name)
    return places


def _image_of(mask: str, images: dict[_Place, str]) -> str | None:
    *folders, file = mask.split("/")
    part = next((found for name in folders if (found := part_of(name))), None)
    named = [masked_folder(name) for name in folders if name != ".." and part_of(name) is None]
    below = tuple(name for name in named if name)
    for stem in masked_stems(file.rpartition(".")[0]):
        if image := images.get((part, below, stem)) or images.get((None, below, stem)):
            return image
    return None
