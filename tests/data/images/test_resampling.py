"""Pixels are torchvision's, to the bit, where the processor has AVX2."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import InterpolationMode, functional

from fanogan_mtl.data.images import resampling
from fanogan_mtl.data.images.resampling import contrasted, resized, sharpened

WHOLE_NUMBERS = pytest.mark.skipif(
    "AVX" not in torch.backends.cpu.get_cpu_capability(), reason="torchvision resizes floats here"
)
SIDE = st.integers(1, 130)


def drawn(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(seed)
    levels = random.choice([2, 256])
    return random.integers(levels, size=shape).astype(np.uint8) * np.uint8(255 // (levels - 1))


def as_tensor(images: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(images)
    return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)


def as_images(tensor: torch.Tensor) -> np.ndarray:
    return (tensor[:, 0] if tensor.shape[1] == 1 else tensor.permute(0, 2, 3, 1)).numpy()


@WHOLE_NUMBERS
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1), height=SIDE, width=SIDE, size=SIDE)
def test_resized(seed: int, height: int, width: int, size: int) -> None:
    images = drawn(seed, (2, height, width))
    expected = functional.resize(as_tensor(images), [size, size], InterpolationMode.BILINEAR, antialias=True)
    np.testing.assert_array_equal(resized(images, size), as_images(expected))


@WHOLE_NUMBERS
@pytest.mark.parametrize(("shape", "size"), [((1, 900, 1300), 224), ((1, 2000, 31), 17), ((3, 224, 224), 1000)])
def test_large_images_resized_and_in_small_blocks(
    shape: tuple[int, ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = drawn(1, shape)
    expected = functional.resize(as_tensor(images), [size, size], InterpolationMode.BILINEAR, antialias=True)
    np.testing.assert_array_equal(resized(images, size), as_images(expected))
    monkeypatch.setattr(resampling, "BLOCK_VALUES", 1000)
    np.testing.assert_array_equal(resized(images, size), as_images(expected))


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    colour=st.booleans(),
    factor=st.one_of(st.floats(0, 5), st.sampled_from([0.0, 0.5, 1.5, 2.0])),
)
def test_contrasted_and_sharpened(seed: int, height: int, width: int, colour: bool, factor: float) -> None:
    images = drawn(seed, (2, height, width, *((3,) if colour else ())))
    tensor = as_tensor(images)
    np.testing.assert_array_equal(contrasted(images, factor), as_images(functional.adjust_contrast(tensor, factor)))
    np.testing.assert_array_equal(sharpened(images, factor), as_images(functional.adjust_sharpness(tensor, factor)))


def test_an_even_image_stays_even() -> None:
    for level in (0, 1, 127, 255):
        images = np.full((1, 37, 53), level, np.uint8)
        for size in (1, 20, 37, 300):
            assert (resized(images, size) == level).all()
        assert (contrasted(images, 1.7) == level).all()
        assert (sharpened(images, 1.7) == level).all()


def test_torch_is_not_needed() -> None:
    code = (
        "import sys, numpy as np; from fanogan_mtl.data.transforms import *;"
        "prepare(np.zeros((2, 30, 40, 3), np.uint8), Preparation(28, 'rgb', 0.9, 1.5, 2.0));"
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
