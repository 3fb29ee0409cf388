from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_folders import encoded, mixed_pictures, picture, write

from fanogan_mtl.data import cache, files, prepared
from fanogan_mtl.data.catalog import extractor_images, load_dataset, sample_sheets
from fanogan_mtl.data.dataset import RawDataset, class_counts, class_order
from fanogan_mtl.data.files import prepare_images, read_image
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.prepared import load_raw, preparation_of
from fanogan_mtl.data.sources import folder
from fanogan_mtl.data.sources.folder import list_folder, load
from fanogan_mtl.data.specs import parse_datasets, parse_source
from fanogan_mtl.data.splits import one_vs_rest
from fanogan_mtl.data.transforms import EnlargedPreparation, Preparation, prepare
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.input_spec import InputSpec

PARTS = {"train/nut": 12, "train/bolt": 11, "train/cog": 10, "test/nut": 5, "test/bolt": 4, "test/cog": 3}


def spec_of(text: str):
    (spec,) = parse_datasets(text)
    return spec


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Three classes of JPEGs in two parts."""
    return write(tmp_path / "parts", mixed_pictures(PARTS))


def names(raw: RawDataset, root: Path) -> dict[str, list[tuple[str, str]]]:
    return {
        part: [
            (path.relative_to(root).as_posix(), raw.classes[label])
            for path, label in zip(images.images.paths, images.labels, strict=True)
        ]
        for part, images in (("train", raw.train), ("test", raw.test))
    }


def test_images_are_found_by_suffix_at_any_depth_and_in_order(tmp_path: Path):
    root = write(
        tmp_path / "parts",
        {
            "train/nut/b.JPG": picture(1), "train/nut/a/deep/er.jpeg": picture(2), "train/nut/c.Png": picture(3),
            "train/nut/notes.txt": b"", "train/nut/.hidden.png": b"", "train/nut/.thumbs/d.png": b"",
            "train/bolt/1.png": picture(4), "test/nut/1.png": picture(5), "test/bolt/1.png": picture(6),
            "train/.DS_Store": b"", "train/.cache/x.png": b"", "train/readme.txt": b"", "other/x/1.png": b"no image",
        },
    )  # fmt: skip
    assert names(load(root, tmp_path / "data"), root) == {
        "train": [
            ("train/bolt/1.png", "bolt"), ("train/nut/a/deep/er.jpeg", "nut"), ("train/nut/b.JPG", "nut"),
            ("train/nut/c.Png", "nut"),
        ],
        "test": [("test/bolt/1.png", "bolt"), ("test/nut/1.png", "nut")],
    }  # fmt: skip


def test_classes_are_sorted_naturally_and_links_are_followed(tmp_path: Path):
    folders = {f"{part}/{name}": 1 for part in ("train", "test") for name in ("10", "9", "part 10", "part 9", "Ärger")}
    root = write(tmp_path / "parts", mixed_pictures(folders))
    (root / "train" / "link").symlink_to(root / "test" / "9")
    assert load(root, tmp_path / "data").classes == ("9", "10", "link", "part 9", "part 10", "Ärger")


def test_class_order_keeps_numbers_as_numbers():
    ordered = ["-10", "-1", "2", "10", "a", "B", "img2.5", "img10", "img-2", "img-10"]
    shuffled = [ordered[row] for row in np.random.default_rng(0).permutation(len(ordered))]
    assert sorted(shuffled, key=class_order) == ordered


@given(st.lists(st.text(alphabet="aB01²٣ .-", max_size=6)))
def test_any_names_can_be_ordered_and_none_ties(given_names: list[str]):
    keys = sorted(class_order(name) for name in given_names)
    assert len(set(keys)) == len(set(given_names))


def test_a_data_set_is_its_images_prepared_one_by_one(parts: Path, tmp_path: Path):
    for settings, preparation in (("", Preparation()), ("?image_size=40&colour=rgb", Preparation(40, "rgb"))):
        dataset = load_dataset(spec_of(f"folder:{parts}{settings}"), tmp_path / "data")
        assert (dataset.name, dataset.classes, dataset.is_images) == ("parts", ("bolt", "cog", "nut"), True)
        raw = load_raw(parse_source(f"folder:{parts}"), tmp_path / "data")
        for part, images in ((dataset.train, raw.train), (dataset.test, raw.test)):
            expected = np.concatenate([prepare(image[None], preparation) for image in images.images])
            np.testing.assert_array_equal(part.pixels, expected)
            np.testing.assert_array_equal(part.hashes, content_hashes(expected))
            np.testing.assert_array_equal(part.labels, images.labels)
    assert class_counts(dataset) == {
        "train": {"bolt": 11, "cog": 10, "nut": 12}, "test": {"bolt": 4, "cog": 3, "nut": 5},
    }  # fmt: skip
    split = one_vs_rest(dataset, "nut", 0)
    assert split.train.pixels.shape == (9, 40, 40, 3)


def test_a_class_in_the_test_alone_is_an_anomaly(tmp_path: Path):
    good = mixed_pictures({"train/good": 10, "test/good": 6, "test/scratch": 5, "test/cut 2": 5})
    masks = {
        f"ground_truth/scratch/{number}_mask.png": picture(number, good[f"test/scratch/{number}.jpg"].size, None)
        for number in range(5)
    }
    dataset = load_dataset(spec_of(f"folder:{write(tmp_path / 'bottle', good | masks)}"), tmp_path / "data")
    assert dataset.classes == ("cut 2", "good", "scratch")
    assert dataset.normal_classes == ("good",)
    split = one_vs_rest(dataset, "good", 0)
    assert len(split.train.labels) == 10
    assert not split.train.anomaly.any()
    assert set(split.test.labels[split.test.anomaly]) == {0, 2}
    assert len(split.validation.labels) + len(split.test.labels) == 16


def test_a_folder_without_parts_is_split_by_content(tmp_path: Path):
    pictures = mixed_pictures({"nut": 10, "bolt": 10, "cog": 1})
    root = write(tmp_path / "parts", pictures)
    raw = load(root, tmp_path / "data")
    counts = {part: np.bincount(images.labels).tolist() for part, images in (("train", raw.train), ("test", raw.test))}
    assert counts == {"train": [8, 0, 8], "test": [2, 1, 2]}
    contents = {path.read_bytes() for path in raw.train.images.paths}
    renamed = write(tmp_path / "renamed", {
        f"{name.partition('/')[0]}/{number:03}{name[-4:]}": content
        for number, (name, content) in enumerate(reversed(pictures.items()))
    })  # fmt: skip
    assert {path.read_bytes() for path in load(renamed, tmp_path / "data").train.images.paths} == contents
    samples = load_dataset(spec_of(f"folder:{root}"), tmp_path / "data")
    assert samples.normal_classes == ("bolt", "nut")


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda root: write(root, {"train/nut/0.jpg": picture(99)}),
    "added": lambda root: write(root, {"test/nut/99.jpg": picture(99)}),
    "removed": lambda root: (root / "test/nut/0.jpg").unlink(),
    "another class": lambda root: (root / "train/nut/0.jpg").rename(root / "train/bolt/99.jpg"),
    "class renamed": lambda root: [(root / part / "cog").rename(root / part / "cow") for part in ("train", "test")],
    "two swapped": lambda root: [
        shutil.copy(root / "train/nut/0.jpg", root / "spare"),
        shutil.copy(root / "train/bolt/0.jpg", root / "train/nut/0.jpg"),
        shutil.copy(root / "spare", root / "train/bolt/0.jpg"),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_changes_is_prepared_anew(parts: Path, tmp_path: Path, change: str):
    spec = spec_of(f"folder:{parts}")
    before = load_dataset(spec, tmp_path / "data").digest
    CHANGES[change](parts)
    assert load_dataset(spec, tmp_path / "data").digest != before


def test_what_is_no_image_of_a_class_changes_nothing(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = spec_of(f"folder:{parts}")
    before = load_dataset(spec, tmp_path / "data").digest
    write(parts, {"train/nut/readme.txt": b"", "ground_truth/nut/none.png": b"", "train/nut/.x.png": b""})
    monkeypatch.setattr(prepared, "write_entry", None)
    assert load_dataset(spec, tmp_path / "data").digest == before
    moved = shutil.copytree(parts, tmp_path / "moved")
    assert load_dataset(spec_of(f"folder:{moved}"), tmp_path / "data").digest == before


def test_a_folder_is_hashed_once(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = spec_of(f"folder:{parts}")
    now = time.time
    monkeypatch.setattr(cache.time, "time", lambda: now() + 60)  # the files have lain there for a while
    first = load_dataset(spec, tmp_path / "data")
    assert len(list((tmp_path / "data/digests").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(cache.hashlib, "file_digest", None)
        patch.setattr(files, "read_image", None)
        assert load_dataset(spec, tmp_path / "data").digest == first.digest
    os.utime(parts / "train/nut/0.jpg", (1e9 + 1, 1e9 + 1))
    assert load_dataset(spec, tmp_path / "data").digest == first.digest
    assert len(list((tmp_path / "data/digests").iterdir())) == 2


def test_settings_override_what_the_name_says(tmp_path: Path):
    assert preparation_of(parse_source("svhn=folder:x?contrast=1")) == Preparation(
        crop=29 / 32, contrast=1.0, sharpness=2.0
    )
    assert preparation_of(parse_source("npz:usps.npz?image_size=16&colour=rgb&crop=.5&sharpness=0")) == Preparation(
        16, "rgb", crop=0.5, contrast=1.5, sharpness=0.0
    )


@pytest.mark.parametrize(
    "setting", ["image_size=20", "colour=rgb", "crop=0.5", "contrast=2", "sharpness=0", "crop=0.5&contrast=2"]
)
def test_every_setting_decides_on_pixels_and_digest(parts: Path, tmp_path: Path, setting: str):
    plain, other = (load_dataset(spec_of(f"folder:{parts}{each}"), tmp_path) for each in ("", f"?{setting}"))
    assert plain.digest != other.digest
    preparation = preparation_of(parse_source(f"folder:x?{setting}"))
    raw = load_raw(parse_source(f"folder:{parts}"), tmp_path)
    np.testing.assert_array_equal(other.train.pixels, prepare_images(raw.train.images, preparation))
    assert load_dataset(spec_of(f"folder:{parts}?crop=1&contrast=1"), tmp_path).digest == plain.digest


def test_pools_merge_classes_by_name(parts: Path, tmp_path: Path):
    other = write(tmp_path / "others", mixed_pictures({"train/nut": 3, "train/10": 3, "test/9": 2, "test/nut": 1}))
    spec = spec_of(f"folder:{parts}?image_size=8+folder:{other}?image_size=8&contrast=2")
    pool = load_dataset(spec, tmp_path / "data")
    assert pool.classes == ("9", "10", "bolt", "cog", "nut")
    assert pool.domains == ("parts", "others")
    assert class_counts(pool)["train"] == {"9": 0, "10": 3, "bolt": 11, "cog": 10, "nut": 15}


def test_members_of_different_size_or_colour_are_refused_before_anything_is_prepared(parts: Path, tmp_path: Path):
    for settings, complaint in (
        ("image_size=64&colour=rgb", r"'parts\+optdigits' mixes 'parts' 64x64 rgb, 'optdigits' 28x28 grey; give its"),
        ("colour=rgb", "'parts' 28x28 rgb, 'optdigits' 28x28 grey"),
    ):
        with pytest.raises(UserError, match=complaint):
            load_dataset(spec_of(f"folder:{parts}?{settings}+optdigits"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_sheets_have_thumbnails_of_mixed_sizes(parts: Path, tmp_path: Path):
    (sheet,) = sample_sheets(spec_of(f"folder:{parts}?image_size=12&colour=rgb"), tmp_path / "data")
    assert (sheet.classes, sheet.raw.shape) == (("bolt", "cog", "nut"), (3, 8, 56, 56, 3))
    assert sheet.prepared.shape == (3, 8, 12, 12, 3)
    sheet_means, prepared_means = (images.mean(axis=(2, 3)) for images in (sheet.raw, sheet.prepared))
    np.testing.assert_allclose(sheet_means, prepared_means, atol=3)


@pytest.mark.parametrize(
    ("wanted", "preparation"),
    [
        (InputSpec(), Preparation(contrast=2)),
        (InputSpec(33, "rgb", original=True), Preparation(33, "rgb")),
        (InputSpec(20, "rgb"), Preparation(20, "rgb", contrast=2)),
        (
            InputSpec(20, "own"),
            EnlargedPreparation(20, "grey_rgb", contrast=2, own=Preparation(12, contrast=2)),
        ),
    ],
)
def test_extractors_get_their_own_size_of_the_rows_asked_for(
    parts: Path, tmp_path: Path, wanted: InputSpec, preparation: Preparation, monkeypatch: pytest.MonkeyPatch
):
    text = f"folder:{parts}?image_size=12&contrast=2"
    raw = load_raw(parse_source(text), tmp_path / "data")
    rows = np.array([0, 5, 32, 33, 44])  # of 33 training images and 12 of the test
    expected = [*raw.train.images[np.array([0, 5, 32])], *raw.test.images[np.array([0, 11])]]
    load_dataset(spec_of(text), tmp_path / "data")  # which finds the depth
    opened = []
    monkeypatch.setattr(files, "read_image", lambda path: opened.append(path) or read_image(path))
    images = extractor_images(spec_of(text), rows, wanted, tmp_path / "data")
    np.testing.assert_array_equal(images, np.concatenate([prepare(each[None], preparation) for each in expected]))
    assert len(opened) == 5


def test_extractors_get_each_members_own_preparation(parts: Path, tmp_path: Path):
    other = write(tmp_path / "svhn", mixed_pictures({"train/nut": 3, "train/cog": 3, "test/nut": 1}))
    images = extractor_images(spec_of(f"folder:{parts}+folder:{other}"), np.array([0, 33]), InputSpec(16), tmp_path)
    raw = [load_raw(parse_source(f"folder:{each}"), tmp_path).train.images for each in (parts, other)]
    house = Preparation(16, crop=29 / 32, contrast=1.5, sharpness=2.0)
    np.testing.assert_array_equal(images[:1], prepare_images(raw[0][:1], Preparation(16)))
    np.testing.assert_array_equal(images[1:], prepare_images(raw[1][:1], house))


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (shutil.rmtree, r"{root} is not there; check the path after folder:"),
    "a file": (lambda root: [shutil.rmtree(root), root.touch()], r"{root} is a file; folder: wants a folder"),
    "empty": (lambda root: [shutil.rmtree(root), root.mkdir()], r"{root} has no class folders; put the images of each"),
    "no train": (lambda root: shutil.rmtree(root / "train"), r"{root} has test/ but no train/; add it"),
    "no test": (lambda root: shutil.rmtree(root / "test"), r"{root} has train/ but no test/; add it"),
    "no class": (
        lambda root: [shutil.rmtree(root / "train"), write(root, {"train/1.png": picture(1)})],
        r"{root}/train has no class folders \(1 image in it\); put the images of each class into {root}/train/CL",
    ),
    "one class": (
        lambda root: [shutil.rmtree(path) for path in root.glob("*/*") if path.name != "nut"],
        r"{root} has one class only \(nut\); a one-class benchmark needs another as anomaly",
    ),
    "no image": (
        lambda root: [emptied(root / "train/nut"), write(root, {"train/nut/a.txt": b"", "train/nut/b/c.gif": b""})],
        r"{root}/train/nut has no PNG, JPEG, TIFF, BMP or WebP image \(only 1 .gif, 1 .txt\); add some or take the",
    ),
    "empty class": (lambda root: emptied(root / "test/cog"), r"{root}/test/cog has no PNG.*image \(it is empty\)"),
    "damaged": (
        lambda root: write(root, {"test/cog/0.jpg": encoded(picture(1), "JPEG")[:-200]}),
        r"{root}/test/cog/0.jpg can't be read \(a damaged image .*\); mend it or take it out",
    ),
    "dangling": (
        lambda root: (root / "test/cog/9.png").symlink_to("nowhere"),
        r"can't read {root}/test/cog/9.png \(No such file or directory\); make it readable or take it out",
    ),
    "comma": (
        lambda root: (root / "test/cog").rename(root / "test/a,b"),
        r"'{root}/test/a,b' can't name a class \(','\); rename it: letters",
    ),
    "space": (lambda root: (root / "test/cog").rename(root / "test/ cog"), "'{root}/test/ cog' can't name a class"),
    "line": (
        lambda root: (root / "test/cog").rename(root / "test/a\nb"),
        r"'{root}/test/a\\nb' can't name a class \('\\n'\)",
    ),
    "long": (lambda root: (root / "test/cog").rename(root / "test" / ("x" * 101)), "use at most 100 letters"),
    "all": (lambda root: (root / "test/cog").rename(root / "test/all"), "'all' has a meaning in the options, rename"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_leave_no_data(parts: Path, tmp_path: Path, mistake: str):
    make, complaint = MISTAKES[mistake]
    make(parts)
    with pytest.raises(UserError, match=complaint.format(root=parts)) as caught:
        load_dataset(spec_of(f"folder:{parts}"), tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("prepared/*"))


def test_a_folder_that_changes_while_it_is_prepared_is_not_kept(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def load_and_change(path: Path, data_dir: Path) -> RawDataset:
        raw = load(path, data_dir)
        write(path, {"train/nut/0.jpg": picture(99)})
        return raw

    spec = spec_of(f"folder:{parts}")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "load", load_and_change)
        with pytest.raises(UserError, match="data set 'parts' changed while it was read; start the same command again"):
            load_dataset(spec, tmp_path / "data")
    assert not list((tmp_path / "data").glob("prepared/*"))
    assert load_dataset(spec, tmp_path / "data").digest == load_dataset(spec, tmp_path / "other").digest


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["train/nut", "train/nut/0.jpg", "."])
def test_what_may_not_be_read_is_one_line(parts: Path, tmp_path: Path, name: str):
    (parts / name).chmod(0)
    try:
        with pytest.raises(UserError, match=r"\(Permission denied\); make it readable") as caught:
            load_dataset(spec_of(f"folder:{parts}"), tmp_path / "data")
    finally:
        (parts / name).chmod(0o700)
    assert "\n" not in str(caught.value)


def test_a_flat_folder_of_single_images_has_nothing_to_train_on(tmp_path: Path):
    root = write(tmp_path / "parts", mixed_pictures({"nut": 1, "bolt": 1}))
    assert list_folder(root).n_train is None
    with pytest.raises(UserError, match=f"{root} has too few images to train on"):
        load(root, tmp_path)
