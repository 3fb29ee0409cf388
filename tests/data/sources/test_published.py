"""The published sets from small files in their originals' own formats; nothing is downloaded."""

from __future__ import annotations

import bz2
import gzip
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision
from scipy.io import savemat

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import RawDataset
from fanogan_mtl.data.sources import published
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.errors import UserError

LABELS = {"train": np.arange(40) % 10, "test": np.arange(20) % 10}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every download fail at once, and accept files of any checksum."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise URLError("Temporary failure in name resolution")

    utils = torchvision.datasets.utils
    monkeypatch.setattr(utils, "_urlretrieve", refuse)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    monkeypatch.setattr(utils, "check_md5", lambda path, md5, **kwargs: True)


def images_of(part: str, size: int, channels: tuple[int, ...] = ()) -> np.ndarray:
    shape = (len(LABELS[part]), size, size, *channels)
    return np.random.default_rng(len(part)).integers(0, 256, shape, dtype=np.uint8)


def write_mnist(data_dir: Path) -> Path:
    folder = data_dir / "torchvision/mnist/MNIST/raw"
    folder.mkdir(parents=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = images_of(part, 28), LABELS[part].astype(np.uint8)
        for name, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
            content = struct.pack(f">{1 + array.ndim}i", magic, *array.shape) + array.tobytes()
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(content))
    return folder


def write_svhn(data_dir: Path) -> Path:
    folder = data_dir / "torchvision/svhn"
    folder.mkdir(parents=True)
    for part, labels in LABELS.items():
        numbers = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]  # the original calls digit 0 ten
        savemat(folder / f"{part}_32x32.mat", {"X": images_of(part, 32, (3,)).transpose(1, 2, 3, 0), "y": numbers})
    return folder


def write_usps(data_dir: Path) -> Path:
    folder = data_dir / "torchvision/usps"
    folder.mkdir(parents=True)
    for part, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = []
        for label, image in zip(LABELS[part], images_of(part, 16), strict=True):
            values = (image.reshape(-1) + 0.5) / 255 * 2 - 1  # half a level more, as the loader rounds down
            pixels = " ".join(f"{number}:{value:.6f}" for number, value in enumerate(values, 1))
            lines.append(f"{label + 1} {pixels}\n")  # the original calls digit 0 one
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))
    return folder


WRITERS = {"mnist": write_mnist, "svhn": write_svhn, "usps": write_usps}
SHAPES: dict[str, tuple[int, tuple[int, ...]]] = {"mnist": (28, ()), "svhn": (32, (3,)), "usps": (16, ())}


@pytest.mark.parametrize("name", WRITERS)
def test_original_files_are_read_as_they_are(name: str, tmp_path: Path):
    WRITERS[name](tmp_path)
    raw: RawDataset = published.load(name, tmp_path)
    assert raw.classes == tuple("0123456789")
    for part, images in (("train", raw.train), ("test", raw.test)):
        np.testing.assert_array_equal(images.images, images_of(part, *SHAPES[name]))
        np.testing.assert_array_equal(images.labels, LABELS[part])


@pytest.mark.parametrize("name", WRITERS)
def test_published_sets_go_through_the_catalog(name: str, tmp_path: Path):
    folder = WRITERS[name](tmp_path)
    (spec,) = parse_datasets(name)
    dataset = load_dataset(spec, tmp_path)
    assert dataset.train.pixels.shape == (40, 28, 28)
    assert (dataset.name, dataset.domains) == (name, (name,))
    for packed in folder.glob("*.gz"):
        packed.unlink()  # unpacked files are enough
    assert load_dataset(spec, tmp_path).digest == dataset.digest


@pytest.mark.parametrize("name", WRITERS)
def test_offline_and_absent_is_one_line_that_says_what_to_do(name: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        load_dataset(parse_datasets(name)[0], tmp_path)
    text = str(caught.value)
    assert f"data set '{name}' is not in {tmp_path}/torchvision/{name} and can't be downloaded" in text
    assert f"name a file: {name}=npz:PATH" in text
    assert "\n" not in text
    assert not (tmp_path / "torchvision" / name).exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_is_one_line(name: str, tmp_path: Path):
    folder = WRITERS[name](tmp_path)
    published.load(name, tmp_path)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=f"the files of '{name}' in .* are damaged .*; delete them") as caught:
        published.load(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_download_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def half(name: str, folder: Path, part: str, download: bool) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("Error downloading\nTried here, got:\nnothing")

    monkeypatch.setattr(published, "_open", half)
    with pytest.raises(UserError, match="Error downloading Tried here, got: nothing"):
        published.load("usps", tmp_path)
    assert list((tmp_path / "torchvision").iterdir()) == []
