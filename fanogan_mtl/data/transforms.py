"""The preparation of images, the same code in training and in serving."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.images.levels import Pixels, eight_bits, grey_levels
from fanogan_mtl.data.images.resampling import contrasted, resized, sharpened

Cropped = TypeVar("Cropped", bound=np.generic)

_CHUNK_VALUES = 2**24  # pixel values transformed at once, so that memory stays bounded


@dataclass(frozen=True)
class Preparation:
    """How raw images become a detector's input; its fields are plain JSON values.

    Attributes
    ----------
    image_size : int
        Height and width of the result, in pixels.
    colour : {"grey", "rgb", "grey_rgb"}
        The last is grey in three equal channels, for extractors that take colours.
    crop : float
        Share of height and width that is kept around the centre, in (0, 1].
    contrast, sharpness : float
        Factors as in torchvision's `adjust_contrast` and `adjust_sharpness`; 1 changes nothing.
    depth : int or None
        Bits that 16-bit images use, 8 to 16; None where it was not determined, which is taken as 16. It changes no
        8-bit image.
    """

    image_size: int = 28
    colour: Literal["grey", "rgb", "grey_rgb"] = "grey"
    crop: float = 1.0
    contrast: float = 1.0
    sharpness: float = 1.0
    depth: int | None = None


@dataclass(frozen=True, kw_only=True)
class EnlargedPreparation(Preparation):
    """As a data set prepares its images, in all but size; small ones are prepared at its size and then enlarged.

    So digits are what pixels' detectors see of them, and large images lose nothing on the way.

    Attributes
    ----------
    own : Preparation
        The data set's.
    """

    own: Preparation

    def is_small(self, height: int, width: int) -> bool:
        """Whether what is kept of an image is at most twice as large as the data set prepares it."""
        return max(height, width) * self.crop <= 2 * self.own.image_size


class Wanted(Protocol):
    """What an extractor says of its input; see `fanogan_mtl.extractors.base.InputSpec`."""

    @property
    def image_size(self) -> int: ...  # noqa: D102
    @property
    def colour(self) -> Literal["grey", "rgb", "own"]: ...  # noqa: D102
    @property
    def original(self) -> bool: ...  # noqa: D102


def extractor_preparation(preparation: Preparation, wanted: Wanted) -> Preparation:
    """How raw images become an extractor's input, given how they become a detector's.

    The size is the extractor's, and the colour, unless it takes the data set's. The depth is the data set's; so are
    crop, contrast and sharpness, unless the extractor wants originals.
    """
    base = Preparation(depth=preparation.depth) if wanted.original else preparation
    if wanted.colour == "own":
        own = {each.name: getattr(base, each.name) for each in fields(Preparation)}
        colour = "grey_rgb" if base.colour == "grey" else "rgb"
        return EnlargedPreparation(**{**own, "image_size": wanted.image_size, "colour": colour}, own=base)
    return replace(base, image_size=wanted.image_size, colour=wanted.colour)


def prepare(images: Pixels, preparation: Preparation) -> NDArray[np.uint8]:
    """Scale to 8 bits, crop, recolour, resize (bilinear, antialiased when shrinking), raise contrast and sharpness.

    Parameters
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3), uint8 or uint16
    preparation : Preparation

    Returns
    -------
    array of shape (n, image_size, image_size), and a last axis of 3 unless `colour` is `grey`, uint8
        The input itself where there is nothing to do.
    """
    if isinstance(preparation, EnlargedPreparation) and preparation.is_small(*images.shape[1:3]):
        images = prepare(images, preparation.own)
        preparation = Preparation(preparation.image_size, preparation.colour)
    size = preparation.image_size
    if preparation.colour == "grey_rgb":
        return np.repeat(prepare(images, replace(preparation, colour="grey"))[..., None], 3, axis=3)
    if images.shape[1:] == (size, size) and replace(preparation, depth=None) == Preparation(size):
        return eight_bits(images, preparation.depth)
    chunk = max(1, _CHUNK_VALUES // max(int(np.prod(images.shape[1:])), size * size * 3))
    prepared = []
    for start in range(0, len(images), chunk):
        kept = eight_bits(cropped(images[start : start + chunk], preparation.crop), preparation.depth)
        prepared.append(_adjusted(_recoloured(kept, preparation.colour), preparation))
    channels = () if preparation.colour == "grey" else (3,)
    return np.concatenate(prepared) if prepared else np.zeros((0, size, size, *channels), np.uint8)


def cropped(images: NDArray[Cropped], share: float) -> NDArray[Cropped]:
    """Keep a share of height and width around the centre, of images (n, height, width[, 3])."""
    if share == 1:
        return images
    top, left, height, width = cropped_part(images.shape[1], images.shape[2], share)
    return images[:, top : top + height, left : left + width]


def cropped_part(height: int, width: int, share: float) -> tuple[int, int, int, int]:
    """Give top, left, height and width in pixels of what is kept of an image."""
    kept_height, kept_width = (max(1, round(side * share)) for side in (height, width))
    return round((height - kept_height) / 2), round((width - kept_width) / 2), kept_height, kept_width


def _recoloured(images: NDArray[np.uint8], colour: str) -> NDArray[np.uint8]:
    """Make one channel (n, height, width) or three (n, height, width, 3) of either."""
    if colour == "grey":
        return images if images.ndim == 3 else grey_levels(images)
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3)


def _adjusted(images: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.uint8]:
    size = preparation.image_size
    if images.ndim == 3:
        made = resized(images, size)
    else:
        made = np.stack([resized(np.ascontiguousarray(images[..., channel]), size) for channel in range(3)], axis=-1)
    if preparation.contrast != 1:
        made = contrasted(made, preparation.contrast)
    return made if preparation.sharpness == 1 else sharpened(made, preparation.sharpness)
