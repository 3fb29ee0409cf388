"""An exported file against the model that it was made of, on images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.export.graph import IMAGES
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.scoring import score_images

ROUNDING = 1e-9


@dataclass(frozen=True)
class Agreement:
    """How an exported file and its model agree.

    Attributes
    ----------
    images : int
        That both have scored.
    left_out : int
        Images of 16 bits, which the file doesn't take, and those that the model itself can't score.
    difference : float
        The largest difference of a score, relative to the score or to the head's threshold, whichever is larger.
    decisions : int
        How many of `is_anomaly` differ, over all images and heads. Where the model's score is the threshold itself, as
        that of the held-out image is which set it, a rounding decides, and it isn't counted.
    """

    images: int = 0
    left_out: int = 0
    difference: float = 0.0
    decisions: int = 0

    def told(self, n_heads: int) -> str:
        """One line for people."""
        some = f"{n_heads} head{'s' * (n_heads != 1)}"
        if not self.images:
            return f"{some}, unchecked: give images by the option input"
        differ = f"{self.decisions:,} of {self.images * n_heads:,} decisions differ"
        return (
            f"{some}, checked on {self.images:,} image{'s' * (self.images != 1)}"
            + (f" ({self.left_out:,} left out: of 16 bits, or without a score)" if self.left_out else "")
            + f": scores differ by {self.difference:.1g} at most, relative to the greater of score and threshold; "
            + (differ if self.decisions else "no decision differs")
        )


def agreement(model: Model, heads: Sequence[Head], content: bytes, images: Iterable[Pixels]) -> Agreement:
    """Score images by both.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    images : iterable of arrays of shape (height, width) or (height, width, 3), uint8 or uint16
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    thresholds = np.array([head.threshold for head in heads])
    done, left_out, difference, decisions = 0, 0, 0.0, 0
    for image in images:
        try:
            if image.dtype != np.uint8:
                raise ValueError("16 bits")
            expected = score_images(model, heads, [image])
        except ValueError:
            left_out += 1
            continue
        rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        scores, verdicts = session.run(None, {IMAGES: rgb[None]})
        done += 1
        unit = np.maximum(np.abs(expected), np.abs(thresholds))
        difference = max(difference, float((np.abs(scores - expected) / unit).max()))
        is_threshold = np.isclose(expected, thresholds, rtol=ROUNDING, atol=0)
        decisions += int(((verdicts != (expected > thresholds)) & ~is_threshold).sum())
    return Agreement(done, left_out, difference, decisions)
