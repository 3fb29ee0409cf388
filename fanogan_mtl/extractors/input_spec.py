"""The images that an extractor takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class InputSpec:
    """The images that an extractor takes.

    Attributes
    ----------
    image_size : int
        Height and width in pixels.
    colour : {"grey", "rgb", "own"}
        Arrays are (n, image_size, image_size), or with a last axis of 3. With `own` they are the data set's, in three
        equal channels where it is grey, and small images are enlarged; see `EnlargedPreparation`.
    original : bool
        Resized from the original images; otherwise from the data set's own preparation (crop, contrast, sharpness).
    """

    image_size: int = 28
    colour: Literal["grey", "rgb", "own"] = "grey"
    original: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (self.image_size, self.image_size, *(() if self.colour == "grey" else (3,)))

    def checked(self, X: ArrayLike, taker: str = "this extractor") -> NDArray[np.uint8]:
        """Give images (n, height, width[, 3]) as an array; raise `ValueError` for those of another type or shape."""
        images = np.asarray(X)
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            wanted = ", ".join(map(str, ("n", *self.shape)))
            raise ValueError(f"{taker} takes uint8 images ({wanted}), not {images.dtype} of shape {images.shape}")
        return images
