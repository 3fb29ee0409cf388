"""Runs a network's features as an ONNX graph, by ONNX Runtime alone.

On a processor ONNX Runtime makes features several times as fast as PyTorch, and gives an image the same bits in a batch
of any size. Its last bits are others than PyTorch's, so features for training and for serving come from the same graph.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.extractors.input_spec import InputSpec

_BATCH_IMAGES = 8  # at once: more of them no longer lie in a processor's cache


class FeatureGraph:
    """Maps images to features on one thread.

    Parameters
    ----------
    source : bytes or Path
        An ONNX model, or its file, with one input of images (n, height, width[, 3]), uint8, and one output of features
        (n, d). By a file its weights, 45 MB of ResNet18, are in memory once, not twice.
    """

    def __init__(self, source: bytes | Path) -> None:
        import onnxruntime

        self._content: bytes | mmap = source if isinstance(source, bytes) else _mapped(source)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        _return_freed_memory()

    @property
    def content(self) -> bytes:
        """The ONNX model."""
        return bytes(self._content)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, d) of at least one image; each image has the same bits in any company."""
        batches = range(0, len(images), _BATCH_IMAGES)
        made = [self._session.run(None, {self._input: images[start : start + _BATCH_IMAGES]})[0] for start in batches]
        return np.concatenate(made)

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureGraph, (self.content,)


@dataclass(frozen=True)
class GraphExtractor:
    """What a saved extractor is to those that only want its features: its graph, and what it takes and gives.

    Attributes
    ----------
    graph_ : FeatureGraph
    input_spec : InputSpec
    n_features_out_ : int
    positions : int
        Squares a side that the features are apart for.
    """

    graph_: FeatureGraph
    input_spec: InputSpec
    n_features_out_: int
    positions: int

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Features (n, n_features_out_), float32, of images as `input_spec` says; the bits of `Extractor.transform`."""
        images = self.input_spec.checked(X)
        return self.graph_(images) if len(images) else np.zeros((0, self.n_features_out_), np.float32)


def _mapped(path: Path) -> mmap:
    """A file's bytes, in memory only when they are looked at, and there even if the file is removed."""
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _return_freed_memory() -> None:
    """Give memory that is free back to the system, where the C library is GNU's: a graph that was read leaves 45 MB."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has no such function
            ctypes.CDLL(None).malloc_trim(0)
