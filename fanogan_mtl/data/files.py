"""Images that stay in their files until they are needed: of any size, grey and colour mixed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.images.decode import ImageError, decode_image
from fanogan_mtl.data.images.levels import Pixels, depth_of
from fanogan_mtl.data.progress import progress
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.errors import UserError


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A sequence of images in files; each is decoded when it is looped over, and held no longer.

    Attributes
    ----------
    paths : tuple of Path
    hashes : array of shape (n,), uint64
        Of each file's bytes: what `content_hashes` is for arrays.
    """

    paths: tuple[Path, ...]
    hashes: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> ImageFiles:
        """Some of the files, as numpy would index them."""
        chosen = np.arange(len(self))[rows]
        return ImageFiles(tuple(self.paths[row] for row in chosen.tolist()), self.hashes[chosen])

    def __iter__(self) -> Iterator[Pixels]:
        return map(read_image, self.paths)


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """What `prepare_set` makes.

    Attributes
    ----------
    pixels : array of shape (n, size, size) or (n, size, size, 3), uint8
    sizes : array of shape (n, 3), int64
        Height and width of the raw image in pixels, and bytes of its file, 0 without one.
    preparation : Preparation
        As it was done: with a depth.
    highest : tuple of int
        The highest value of each raw image of 16 bits.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    preparation: Preparation
    highest: tuple[int, ...]


def read_image(path: Path, background: int = 255) -> Pixels:
    """Decode one file to (height, width) or (height, width, 3); see `decode_image`.

    Raises
    ------
    UserError
        For a file that can't be read or is no image.
    """
    try:
        return decode_image(path.read_bytes(), background)
    except ImageError as error:
        raise UserError(f"{path} can't be read ({error}); mend it or take it out") from None
    except OSError as error:
        raise UserError(f"can't open {path} ({error.strerror}); make it readable or take it out") from None


def image_hashes(images: Pixels | ImageFiles) -> NDArray[np.uint64]:
    """Hash each raw image's content: a file's bytes, an array's pixels."""
    return images.hashes if isinstance(images, ImageFiles) else content_hashes(images)


def prepare_images(images: Pixels | ImageFiles, preparation: Preparation) -> NDArray[np.uint8]:
    """Prepare images as `prepare` does, from an array or from files; files are decoded one by one."""
    return prepare_set(images, preparation).pixels


def prepare_set(images: Pixels | ImageFiles, preparation: Preparation, shown_as: str | None = None) -> PreparedImages:
    """Prepare images as `prepare_images` does, and find out how large and how deep they are.

    Parameters
    ----------
    images : array or ImageFiles
    preparation : Preparation
        Without a depth, it is found in these images: as few bits as their highest 16-bit value needs, and 16 where all
        are of 8 bits.
    shown_as : str, optional
        Label of a progress bar for files that take longer than two seconds; none without.
    """
    if isinstance(images, ImageFiles):
        return _prepare_files(images, preparation, shown_as)
    highest = images.reshape(len(images), -1).max(axis=1).tolist() if images.dtype == np.uint16 else []
    preparation = _with_depth(preparation, highest)
    sizes = np.tile(np.array([*images.shape[1:3], 0], np.int64), (len(images), 1))
    return PreparedImages(prepare(images, preparation), sizes, preparation, tuple(highest))


def _prepare_files(files: ImageFiles, preparation: Preparation, shown_as: str | None) -> PreparedImages:
    """Prepare 8-bit images as they come, and those of 16 bits as soon as the depth is known."""
    size = preparation.image_size
    pixels = np.empty((len(files), size, size, *(() if preparation.colour == "grey" else (3,))), np.uint8)
    sizes = np.empty((len(files), 3), np.int64)
    highest: dict[int, int] = {}  # of 16-bit images, by row
    rows = progress(range(len(files)), len(files), shown_as) if shown_as else range(len(files))
    for row in rows:
        image = read_image(files.paths[row])
        sizes[row] = *image.shape[:2], files.paths[row].stat().st_size
        if image.dtype == np.uint16:
            highest[row] = int(image.max())
        if image.dtype == np.uint8 or preparation.depth:
            pixels[row] = prepare(image[None], preparation)[0]
    known = _with_depth(preparation, highest.values())
    if not preparation.depth:
        for row in highest:  # a second time, for memory holds results only
            pixels[row] = prepare(read_image(files.paths[row])[None], known)[0]
    return PreparedImages(pixels, sizes, known, tuple(highest.values()))


def _with_depth(preparation: Preparation, highest: Collection[int]) -> Preparation:
    """Settle the depth, given the highest value of each 16-bit image."""
    return replace(preparation, depth=preparation.depth or (depth_of(max(highest)) if highest else 16))
