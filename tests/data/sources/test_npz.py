from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from traps import Trap

from fanogan_mtl.data.sources import npz
from fanogan_mtl.errors import UserError

WriteNpz = Callable[..., Path]
GREY = np.zeros((60, 4, 4), np.uint8)


def test_classes_are_sorted_as_numbers_and_labels_are_their_positions(npz_file: WriteNpz, tmp_path: Path):
    y_train = np.array([10, 2, -1] * 20)
    raw = npz.load(npz_file(y_train=y_train, y_test=np.full(30, 11, np.uint64)), tmp_path)
    assert raw.classes == ("-1", "2", "10", "11")
    assert raw.train.labels[:3].tolist() == [2, 1, 0]
    assert set(raw.test.labels.tolist()) == {3}
    assert raw.train.labels.dtype == np.int64


def test_images_come_as_they_are(npz_file: WriteNpz, tmp_path: Path):
    images = np.arange(60 * 6 * 5 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 6, 5, 3)
    np.testing.assert_array_equal(npz.load(npz_file(x_train=images), tmp_path).train.images, images)


def test_numbers_in_another_order_of_bytes_are_the_same(npz_file: WriteNpz, tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 2**16, (60, 6, 5), np.uint16)
    read = npz.load(npz_file(x_train=images.astype(">u2")), tmp_path).train.images
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, images)


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"x_test": None, "y_test": None}, "lacks x_test, y_test"),
        ({"x_train": GREY.astype(float)}, "x_train in {} is float64; scale images to 0 to 255"),
        ({"x_train": np.full((60, 4, 4), np.nan)}, "x_train in {} is float64 and has NaN"),
        ({"x_train": GREY.astype(bool)}, "is bool"),
        ({"x_train": GREY[0]}, "has shape (4, 4); images must be (n, height, width)"),
        ({"x_train": np.zeros((60, 4, 4, 1), np.uint8)}, "has shape (60, 4, 4, 1)"),
        ({"x_train": np.zeros((60, 3, 4, 4), np.uint8)}, "has shape (60, 3, 4, 4)"),
        ({"x_train": np.zeros((60, 0, 4), np.uint8)}, "has shape (60, 0, 4)"),
        ({"x_train": np.uint8(3)}, "has shape ()"),
        ({"x_test": GREY[:0], "y_test": np.zeros(0, int)}, "x_test in {} has no image"),
        ({"y_train": np.zeros(59, int)}, "y_train in {} has shape (59,) for 60 images; labels must be (60,)"),
        ({"y_train": np.zeros((60, 1), int)}, "has shape (60, 1) for 60 images"),
        ({"y_test": np.zeros(30)}, "y_test in {} is float64; number the classes"),
        ({"y_test": np.full(30, np.nan)}, "y_test in {} is float64 and has NaN"),
        ({"y_test": np.array(["cat"] * 30)}, "y_test in {} is <U3"),
        ({"y_train": np.full(60, 7), "y_test": np.full(30, 7)}, "has one class only (7)"),
    ],
)
def test_wrong_arrays_are_named_in_one_line(npz_file: WriteNpz, replaced: dict[str, object], complaint: str):
    path = npz_file(**replaced)
    assert complaint.format(path) in one_line_error(path)


@pytest.mark.parametrize("name", ["x_train", "y_test"])
def test_python_objects_are_never_unpickled(npz_file: WriteNpz, tmp_path: Path, name: str):
    path = npz_file(**{name: np.array([Trap(tmp_path / "sprung")] * 3, dtype=object)})
    assert f"{name} in {path} holds Python objects, which are never loaded" in one_line_error(path)
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_npz(tmp_path: Path):
    (tmp_path / "text.npz").write_text("not a zip")
    np.save(tmp_path / "array.npy", GREY)
    assert f"can't open {tmp_path / 'absent.npz'} (No such file or directory)" in one_line_error(
        tmp_path / "absent.npz"
    )
    assert f"{tmp_path} is a folder" in one_line_error(tmp_path)
    assert "text.npz is not an npz file" in one_line_error(tmp_path / "text.npz")
    assert "array.npy is not an npz file" in one_line_error(tmp_path / "array.npy")
    assert "can't open" in one_line_error(Path("a\0b"))


def test_damaged_files(npz_file: WriteNpz, tmp_path: Path):
    content = npz_file().read_bytes()
    for name, damaged in (("flipped", content[:500] + b"\0" * 200 + content[700:]), ("cut", content[:-1000])):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(damaged)
        assert str(path) in one_line_error(path)


@pytest.mark.parametrize("member", [b"no array", b"\x93NUMPY\x01\x00\xff\xff", None])
def test_members_that_are_no_arrays(tmp_path: Path, member: bytes | None):
    if member is None:  # a header that promises more than any memory holds
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            buffer, {"descr": "|u1", "fortran_order": False, "shape": (2**50, 2**10, 4)}
        )
        member = buffer.getvalue()
    path = tmp_path / "members.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", member)
    assert str(path) in one_line_error(path)


def one_line_error(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        npz.load(path, path.parent)
    assert "\n" not in str(caught.value)
    return str(caught.value)
