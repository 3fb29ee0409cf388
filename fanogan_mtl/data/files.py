"""Images that stay in their files until they are needed: of any sizes, grey and colour mixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.decode import ImageError, decode_image
from fanogan_mtl.data.hashing import content_hashes
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

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(read_image, self.paths)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one file to (height, width) or (height, width, 3).

    Raises
    ------
    UserError
        For a file that can't be read or is no image.
    """
    try:
        return decode_image(path.read_bytes())
    except ImageError as error:
        raise UserError(f"{path} can't be read ({error}); mend it or take it out") from None
    except OSError as error:
        raise UserError(f"can't open {path} ({error.strerror}); make it readable or take it out") from None


def image_hashes(images: NDArray[np.uint8] | ImageFiles) -> NDArray[np.uint64]:
    """Hash each raw image's content: a file's bytes, an array's pixels."""
    return images.hashes if isinstance(images, ImageFiles) else content_hashes(images)


def prepare_images(
    images: NDArray[np.uint8] | ImageFiles, preparation: Preparation, shown_as: str | None = None
) -> NDArray[np.uint8]:
    """Prepare images as `prepare` does, be they an array or files; of files only the results are held.

    Parameters
    ----------
    images : array or ImageFiles
    preparation : Preparation
    shown_as : str, optional
        Label of a progress bar for files that take longer than two seconds; none without.
    """
    if not isinstance(images, ImageFiles):
        return prepare(images, preparation)
    size = preparation.image_size
    channels = () if preparation.colour == "grey" else (3,)
    prepared = np.empty((len(images), size, size, *channels), np.uint8)
    for row, image in enumerate(progress(images, len(images), shown_as) if shown_as else images):
        prepared[row] = prepare(image[None], preparation)[0]
    return prepared
