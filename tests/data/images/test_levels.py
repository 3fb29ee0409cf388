"""One picture gives the same bytes by every way in."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toy_folders import encoded

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.images.levels import depth_of, eight_bits, grey_levels
from fanogan_mtl.data.prepared import found_preparation
from fanogan_mtl.data.specs import parse_datasets, parse_source
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.serving.requests import decode_sent

VALUES = np.arange(256, dtype=np.uint8)


def test_grey_of_equal_channels_is_the_channel():
    np.testing.assert_array_equal(grey_levels(np.stack([VALUES] * 3, axis=-1)), VALUES)


def test_grey_is_what_pillow_makes_of_colours():
    colours = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grey_levels(colours), np.asarray(Image.fromarray(colours).convert("L")))


@pytest.mark.parametrize("depth", range(8, 17))
def test_depth(depth: int):
    assert depth_of(2**depth - 1) == depth
    values = np.arange(2**depth, dtype=np.uint16)
    levels = eight_bits(values, depth)
    assert np.unique(levels).tolist() == list(range(256))
    np.testing.assert_array_equal(eight_bits(values << np.uint16(16 - depth)), levels)  # in the upper bits
    assert eight_bits(np.array([2**depth - 1, 65535], np.uint16), depth).tolist() == [255, 255]
    np.testing.assert_array_equal(eight_bits(VALUES.astype(np.uint16) * 257), VALUES)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    preparation=st.builds(
        Preparation,
        image_size=st.integers(4, 32),
        colour=st.sampled_from(["grey", "rgb"]),
        crop=st.sampled_from([1.0, 0.7]),
        contrast=st.sampled_from([1.0, 1.5]),
        sharpness=st.sampled_from([1.0, 2.0]),
    ),
)
def test_one_picture_is_the_same_bytes_however_it_comes(seed: int, shape: tuple[int, int], preparation: Preparation):
    grey = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    deep = grey.astype(np.uint16) * 257
    image = Image.fromarray(grey)
    ways = [
        np.dstack([grey] * 3),
        deep,
        np.dstack([deep] * 3),
        *(decode_sent(b64encode(encoded(each, kind)).decode()) for kind in ("PNG", "TIFF") for each in
          (image, image.convert("RGB"), Image.fromarray(deep))),
        decode_sent(encoded(image.convert("LA"))),
        decode_sent(grey.tolist()),
        decode_sent(np.dstack([grey] * 3).tolist()),
    ]  # fmt: skip
    expected = prepare(grey[None], preparation)
    for way in ways:
        np.testing.assert_array_equal(prepare(way[None], preparation), expected)


def folder_of(path: Path, pictures: dict[str, np.ndarray]) -> str:
    for name, pixels in pictures.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(encoded(Image.fromarray(pixels)))
    return f"folder:{path}"


def camera(path: Path, scale: int = 1, highest_in_test: int = 4000) -> str:
    """A folder of 12-bit pictures, in whichever of 16 bits."""
    random = np.random.default_rng(0)
    pictures = {
        f"{part}/{name}/{number}.png": random.integers(0, 4096, (28, 28)) * scale
        for part, name in (("train", "good"), ("test", "good"), ("test", "bad"))
        for number in range(6)
    }
    pictures["test/bad/0.png"] = np.full((28, 28), highest_in_test * scale)
    return folder_of(path, {name: pixels.astype(np.uint16) for name, pixels in pictures.items()})


def test_the_depth_is_found_in_training_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plain, scaled = camera(tmp_path / "plain", highest_in_test=9000), camera(tmp_path / "scaled", 16)
    sets = [load_dataset(parse_datasets(text)[0], tmp_path / "data") for text in (plain, scaled)]
    np.testing.assert_array_equal(sets[0].train.pixels, sets[1].train.pixels)
    assert len(np.unique(sets[0].train.pixels)) == 256
    preparation = found_preparation(parse_source(plain), tmp_path / "data")
    assert preparation == Preparation(depth=12)
    told = capsys.readouterr().err
    assert "'plain': 1 test images have values above 4,095" in told
    assert "if that matters, set ?depth=14\n" in told  # 9,000
    served = decode_sent((tmp_path / "plain/test/good/0.png").read_bytes())
    assert prepare(served[None], preparation)[0].tolist() in sets[0].test.pixels.tolist()


def test_a_depth_that_is_set_holds(tmp_path: Path):
    text = camera(tmp_path / "parts") + "?depth=14"
    images = load_dataset(parse_datasets(text)[0], tmp_path / "data").train.pixels
    assert images.max() == 4095 >> 6


def test_deep_arrays_are_prepared_as_deep_files_are(tmp_path: Path):
    text = camera(tmp_path / "parts")
    files = load_dataset(parse_datasets(text)[0], tmp_path / "data")
    paths = sorted((tmp_path / "parts/train/good").iterdir())
    raw = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(np.uint16)
    np.savez(tmp_path / "parts.npz", x_train=raw, y_train=[0] * 6, x_test=raw, y_test=[1] * 6)
    arrays = load_dataset(parse_datasets(f"npz:{tmp_path / 'parts.npz'}")[0], tmp_path / "data")
    np.testing.assert_array_equal(np.sort(arrays.train.hashes), np.sort(files.train.hashes))


@pytest.mark.parametrize(
    ("lowest", "kind", "advice"),
    [
        (100, np.uint8, ""),
        (4, np.uint16, ""),  # ?depth= begins at 8, which is what they have
        (300, np.uint16, ", or set ?depth= if they have fewer than 9 bits"),
    ],
)
def test_a_range_that_is_hardly_used_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lowest: int, kind: type[np.uint8 | np.uint16], advice: str
):
    dark = {f"{name}/{number}.png": np.full((8, 8), lowest + number, kind) for name in "ab" for number in range(10)}
    load_dataset(parse_datasets(folder_of(tmp_path / "dark", dark))[0], tmp_path / "data")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("data set 'dark' uses ")
    assert line.endswith(f"stretch the images to the range they use{advice}")


def test_marks_that_are_burnt_in_hide_no_loss_of_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    random = np.random.default_rng(0)
    twelve_bits = random.integers(100, 4096, (20, 64, 64)).astype(np.uint16)
    marked = twelve_bits.copy()
    marked[:, :5, :5] = 65535
    for name, arrays in (("plain", twelve_bits), ("marked", marked)):
        pictures = {f"{name}/{at}.png": each for at, each in enumerate(arrays) for name in "ab"[at % 2]}
        load_dataset(parse_datasets(folder_of(tmp_path / name, pictures))[0], tmp_path / "data")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("data set 'marked': nearly all pixels of its training images have under a tenth of the grey")
    assert line.endswith("set ?depth=12")


def test_sizes_are_those_of_the_raw_images(tmp_path: Path):
    pictures = {f"{part}/{name}/{at}.png": np.full((5 + at, 9), at, np.uint8) for part in ("train", "test")
                for name in "ab" for at in range(3)}  # fmt: skip
    text = folder_of(tmp_path / "parts", pictures)
    dataset = load_dataset(parse_datasets(text)[0], tmp_path / "data")
    bytes_of = [(tmp_path / f"parts/train/a/{at}.png").stat().st_size for at in range(3)]
    assert dataset.train.sizes[:3].tolist() == [[5 + at, 9, bytes_of[at]] for at in range(3)]
    (spec,) = parse_datasets("optdigits")
    assert np.unique(load_dataset(spec, tmp_path / "data").test.sizes, axis=0).tolist() == [[8, 8, 0]]
