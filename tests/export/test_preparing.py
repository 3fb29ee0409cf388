"""The exported preparation gives the pixels of the real one, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fanogan_mtl.data.transforms import Preparation, extractor_preparation, prepare
from fanogan_mtl.export.preparing import Preparing
from fanogan_mtl.extractors.input_spec import InputSpec

FACTORS = st.one_of(st.just(1.0), st.floats(0.05, 4))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.integers(2, 64),  # PyTorch itself refuses some colour images of one pixel
    colour=st.sampled_from(["grey", "rgb", "grey_rgb"]),
    crop=st.one_of(st.just(1.0), st.floats(0.05, 1)),
    contrast=FACTORS,
    sharpness=FACTORS,
    enlarged=st.booleans(),
)
def test_pixels_are_those_of_prepare(
    seed: int,
    sides: tuple[int, int],
    size: int,
    colour: str,
    crop: float,
    contrast: float,
    sharpness: float,
    enlarged: bool,
) -> None:
    preparation = Preparation(size, colour, crop, contrast, sharpness)  # type: ignore[arg-type]
    if enlarged:
        preparation = extractor_preparation(preparation, InputSpec(72, "own"))
    random = np.random.default_rng(seed)
    images = random.integers(256, size=(2, *sides, 3), dtype=np.uint8)
    images[1] = images[1, ..., :1]  # grey
    made = Preparing(preparation)(torch.from_numpy(images))
    expected = prepare(images, preparation)
    assert made.dtype == torch.uint8
    np.testing.assert_array_equal(made.numpy(), expected)


@pytest.mark.parametrize("sides", [(600, 800), (1000, 31), (3, 700)])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_large_and_narrow_images(sides: tuple[int, int], colour: str) -> None:
    images = np.random.default_rng(0).integers(256, size=(1, *sides, 3), dtype=np.uint8)
    preparation = Preparation(224, colour)  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        Preparing(preparation)(torch.from_numpy(images)).numpy(), prepare(images, preparation)
    )
