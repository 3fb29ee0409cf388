from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fanogan_mtl.data import transforms
from fanogan_mtl.data.transforms import EnlargedPreparation, Preparation, prepare

HOUSE = Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0)


def pictures(n: int = 20, size: int = 32, channels: tuple[int, ...] = (3,)) -> np.ndarray:
    """Draw smooth random pictures."""
    random = np.random.default_rng(0)
    small = random.integers(40, 216, (n, 8, 8, *channels), dtype=np.uint8)
    images = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in small]
    return np.stack(images)


def test_grey_digits_of_the_right_size_pass_unchanged_and_without_torch():
    code = (
        "import sys, numpy as np; from fanogan_mtl.data.transforms import *;"
        "images = np.ones((2, 28, 28), np.uint8); assert prepare(images, Preparation()) is images;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_step_is_what_pillow_does():
    images = pictures()
    expected = []
    for image in images:
        picture = Image.fromarray(image[2:31, 2:31]).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        expected.append(np.asarray(ImageEnhance.Sharpness(ImageEnhance.Contrast(picture).enhance(1.5)).enhance(2.0)))
    difference = np.abs(prepare(images, HOUSE).astype(int) - np.stack(expected))
    assert difference.max() <= 6  # torchvision rounds down at every step, Pillow to the nearest


def test_the_crop_loses_the_edges():
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[:, :, [0, -1]] = 255
    assert prepare(images, Preparation()).max() > 0
    assert prepare(images, Preparation(crop=29 / 32)).max() == 0


def test_shrinking_averages_instead_of_skipping():
    checkerboard = (np.indices((56, 56)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    inner = prepare(checkerboard, Preparation())[0, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("preparation", [HOUSE, Preparation(image_size=40, colour="rgb", sharpness=2.0)])
def test_an_image_is_prepared_alike_alone_in_a_batch_and_in_chunks(
    preparation: Preparation, monkeypatch: pytest.MonkeyPatch
):
    images = pictures()
    together = prepare(images, preparation)
    alone = np.concatenate([prepare(image[None], preparation) for image in images])
    monkeypatch.setattr(transforms, "_CHUNK_VALUES", 7 * 40 * 40 * 3)
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(prepare(images, preparation), together)


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (1, 1), (50, 20), (32, 32, 3), (300, 200, 3)])
@pytest.mark.parametrize("preparation", [Preparation(), HOUSE, Preparation(image_size=64, colour="rgb")])
def test_any_size_and_colour_comes_out_as_asked(shape: tuple[int, ...], preparation: Preparation):
    size = preparation.image_size
    prepared = prepare(np.full((3, *shape), 100, np.uint8), preparation)
    assert prepared.shape == ((3, size, size) if preparation.colour == "grey" else (3, size, size, 3))
    assert prepared.dtype == np.uint8
    assert np.abs(prepared.astype(int) - 100).max() <= 1
    assert prepare(np.zeros((0, *shape), np.uint8), preparation).shape == (0, *prepared.shape[1:])


def test_colours_survive_in_rgb():
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(prepare(red, Preparation(colour="rgb"))[0, 5, 5], [200, 0, 0])


def test_a_preparation_survives_json():
    assert Preparation(**json.loads(json.dumps(asdict(HOUSE)))) == HOUSE
    before_depth = {name: value for name, value in asdict(HOUSE).items() if name != "depth"}
    assert Preparation(**before_depth) == HOUSE


def test_grey_in_three_channels_is_grey_three_times() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), dtype=np.uint8)
    preparation = Preparation(12, "grey_rgb", crop=0.8, contrast=1.5, sharpness=2.0)
    prepared = prepare(images, preparation)
    assert prepared.shape == (4, 12, 12, 3)
    for channel in range(3):
        np.testing.assert_array_equal(prepared[..., channel], prepare(images, replace(preparation, colour="grey")))


@pytest.mark.parametrize("size", [20, 70])
def test_small_images_are_enlarged_from_the_data_sets_own_and_large_ones_made_from_the_original(size: int) -> None:
    images = pictures(4, size)
    own = Preparation(28, crop=0.9, contrast=1.5, sharpness=2.0)
    enlarged = EnlargedPreparation(48, "grey_rgb", crop=0.9, contrast=1.5, sharpness=2.0, own=own)
    at_once = prepare(images, replace(own, image_size=48, colour="grey_rgb"))
    by_way_of_28 = prepare(prepare(images, own), Preparation(48, "grey_rgb"))
    assert (at_once != by_way_of_28).any()
    np.testing.assert_array_equal(prepare(images, enlarged), by_way_of_28 if size == 20 else at_once)
