"""The preparation of images, the same code in training and in serving."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK_VALUES = 2**24  # pixel values transformed at once, so that memory stays bounded


@dataclass(frozen=True)
class Preparation:
    """How raw images become a detector's input; its fields are plain JSON values.

    Attributes
    ----------
    image_size : int
        Height and width of the result, in pixels.
    colour : {"grey", "rgb"}
    crop : float
        Share of height and width that is kept around the centre, in (0, 1].
    contrast, sharpness : float
        Factors as in torchvision's `adjust_contrast` and `adjust_sharpness`; 1 changes nothing.
    """

    image_size: int = 28
    colour: Literal["grey", "rgb"] = "grey"
    crop: float = 1.0
    contrast: float = 1.0
    sharpness: float = 1.0


class Wanted(Protocol):
    """What an extractor says of its input; see `fanogan_mtl.extractors.base.InputSpec`."""

    @property
    def image_size(self) -> int: ...  # noqa: D102
    @property
    def colour(self) -> Literal["grey", "rgb"]: ...  # noqa: D102
    @property
    def original(self) -> bool: ...  # noqa: D102


def extractor_preparation(preparation: Preparation, wanted: Wanted) -> Preparation:
    """How raw images become an extractor's input, given how they become a detector's.

    Size and colour are the extractor's own; crop, contrast and sharpness are the data set's, unless it wants originals.
    """
    base = Preparation() if wanted.original else preparation
    return replace(base, image_size=wanted.image_size, colour=wanted.colour)


def prepare(images: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.uint8]:
    """Crop, recolour, resize (bilinear, antialiased when shrinking), raise contrast and sharpness.

    Parameters
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3), uint8
    preparation : Preparation

    Returns
    -------
    array of shape (n, image_size, image_size), and a last axis of 3 if `colour` is `rgb`, uint8
        The input itself where there is nothing to do.
    """
    size = preparation.image_size
    if preparation == Preparation(size) and images.shape[1:] == (size, size):
        return images
    import torch  # takes seconds, and a cached set needs none of it

    chunk = max(1, _CHUNK_VALUES // max(int(np.prod(images.shape[1:])), size * size * 3))
    prepared = [
        _prepare_chunk(torch.from_numpy(np.array(images[start : start + chunk])), preparation).numpy()
        for start in range(0, len(images), chunk)
    ]
    channels = () if preparation.colour == "grey" else (3,)
    return np.concatenate(prepared) if prepared else np.zeros((0, size, size, *channels), np.uint8)


def _prepare_chunk(images: Tensor, preparation: Preparation) -> Tensor:
    from torchvision.transforms import v2

    images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images.unsqueeze(1)  # (n, channels, h, w)
    if preparation.crop != 1:
        kept = [max(1, round(side * preparation.crop)) for side in images.shape[2:]]
        images = v2.functional.center_crop(images, kept)
    if preparation.colour == "grey" and images.shape[1] == 3:
        images = v2.functional.rgb_to_grayscale(images)
    elif preparation.colour == "rgb":
        images = images.expand(-1, 3, -1, -1)
    size = [preparation.image_size, preparation.image_size]
    images = v2.functional.resize(images.contiguous(), size, v2.InterpolationMode.BILINEAR, antialias=True)
    if preparation.contrast != 1:
        images = v2.functional.adjust_contrast(images, preparation.contrast)
    if preparation.sharpness != 1:
        images = v2.functional.adjust_sharpness(images, preparation.sharpness)
    return images.squeeze(1) if preparation.colour == "grey" else images.permute(0, 2, 3, 1).contiguous()
