from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_folders import mixed_pictures, picture, write

from fanogan_mtl.data import files
from fanogan_mtl.data.files import ImageFiles, image_hashes, prepare_images, read_image
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.images.decode import decode_image
from fanogan_mtl.data.progress import progress
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.errors import UserError

preparations = st.builds(
    Preparation,
    image_size=st.integers(4, 40),
    colour=st.sampled_from(["grey", "rgb"]),
    crop=st.sampled_from([1.0, 0.8, 0.1]),
    contrast=st.sampled_from([1.0, 1.5]),
    sharpness=st.sampled_from([1.0, 0.0, 2.0]),
)


def files_of(folder: Path) -> ImageFiles:
    paths = tuple(sorted(folder.rglob("*.*")))
    return ImageFiles(paths, np.arange(len(paths), dtype=np.uint64))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    folder = tmp_path_factory.mktemp("mixed")
    grey = {f"grey/{number}.png": picture(number, (20 + number, 30), colour=None) for number in range(3)}
    return files_of(write(folder, mixed_pictures({"nut": 4}) | mixed_pictures({"cog": 3}, ".png") | grey))


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    folder = tmp_path_factory.mktemp("alike")
    return files_of(write(folder, {f"{number}.jpg": picture(number) for number in range(5)}))


def test_files_are_indexed_as_an_array_is(mixed: ImageFiles):
    for rows in (slice(2, 7), slice(None, None, 3), np.array([4, 0, 4]), np.arange(10) > 6, np.array([], int)):
        some = mixed[rows]
        expected = np.arange(10)[rows]
        assert some.paths == tuple(mixed.paths[row] for row in expected)
        np.testing.assert_array_equal(some.hashes, mixed.hashes[expected])
        assert len(some) == len(expected)


def test_looping_decodes(mixed: ImageFiles):
    for image, path in zip(mixed, mixed.paths, strict=True):
        np.testing.assert_array_equal(image, decode_image(path.read_bytes()))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(preparation=preparations)
def test_each_file_is_prepared_as_it_is_alone(mixed: ImageFiles, preparation: Preparation):
    prepared = prepare_images(mixed, preparation)
    assert prepared.shape[1:3] == (preparation.image_size,) * 2
    for row, image in enumerate(mixed):
        np.testing.assert_array_equal(prepared[row], prepare(image[None], preparation)[0])


@settings(max_examples=15)
@given(preparation=preparations)
def test_files_of_one_size_are_prepared_as_their_array_is(alike: ImageFiles, preparation: Preparation):
    np.testing.assert_array_equal(prepare_images(alike, preparation), prepare(np.stack(list(alike)), preparation))


def test_an_array_is_prepared_and_hashed_as_ever(alike: ImageFiles):
    array = np.stack(list(alike))
    np.testing.assert_array_equal(prepare_images(array, Preparation()), prepare(array, Preparation()))
    np.testing.assert_array_equal(image_hashes(array), content_hashes(array))
    np.testing.assert_array_equal(image_hashes(alike), alike.hashes)


def test_no_file_gives_no_image(mixed: ImageFiles):
    assert prepare_images(mixed[:0], Preparation(8, "rgb")).shape == (0, 8, 8, 3)


def test_only_what_is_asked_for_is_opened(mixed: ImageFiles, monkeypatch: pytest.MonkeyPatch):
    opened = []
    monkeypatch.setattr(files, "read_image", lambda path: opened.append(path) or read_image(path))
    prepare_images(mixed[np.array([2, 5])], Preparation())
    assert sorted(opened) == [mixed.paths[2], mixed.paths[5]]


def test_a_damaged_or_absent_file_is_one_line(mixed: ImageFiles, tmp_path: Path):
    cut = write(tmp_path, {"cut.png": mixed.paths[0].read_bytes()[:90], "text.jpg": b"hello"})
    for name, reason in (
        ("cut.png", r"can't be read \(a damaged image \(.*\)\); mend it or take it out"),
        ("text.jpg", r"can't be read \(no image that is known; PNG, JPEG, TIFF, BMP and WebP are read\)"),
        ("absent.png", r"\(No such file or directory\)"),
    ):
        with pytest.raises(UserError, match=f"{cut / name}.*{reason}") as caught:
            prepare_images(ImageFiles((*mixed.paths, cut / name), np.zeros(11, np.uint64)), Preparation())
        assert "\n" not in str(caught.value)


def test_progress_shows_after_two_seconds_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    assert list(progress(range(3), 3, "reading x")) == [0, 1, 2]
    assert capsys.readouterr().err.strip() == ""
    monkeypatch.setattr(sys.modules["fanogan_mtl.data.progress"], "_PATIENCE", 0.0)
    assert list(progress(range(3), 3, "reading x")) == [0, 1, 2]
    assert "reading x" in capsys.readouterr().err
