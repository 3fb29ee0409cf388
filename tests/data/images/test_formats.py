from __future__ import annotations

from pathlib import Path

import pytest
from toy_folders import encoded, picture

from fanogan_mtl.data.images.formats import holds_image, is_image, suffix_of


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "DIB"])
def test_images_are_told_by_their_first_bytes(kind: str):
    assert is_image(encoded(picture(1), kind)[:32]) == (kind != "DIB")  # which begins without a mark


@pytest.mark.parametrize("head", [b"", b"BM", b"BMW is a maker of cars and motorbikes", b"RIFF....AVI ", b"GIF89a"])
def test_other_files_are_none(head: bytes):
    assert not is_image(head)


def test_a_cameras_raw_file_is_none_though_it_begins_as_a_tiff(tmp_path: Path):
    for name in ("photo.DNG", "photo.x"):
        (tmp_path / name).write_bytes(encoded(picture(1), "TIFF"))
    assert [holds_image(str(tmp_path / name)) for name in ("photo.DNG", "photo.x")] == [False, True]


def test_suffixes_are_small_letters_of_names_that_have_one():
    assert [suffix_of(name) for name in ("a.PNG", "a.tar.gz", "a", "a.", ".hidden")] == [".png", ".gz", "", "", ""]
