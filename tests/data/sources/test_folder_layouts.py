"""Folders as people have them, and what is said of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_folders import encoded, picture, write

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.sources.folder import list_folder, load
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.errors import UserError


def counts(root: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of images of each class in training and test; of a folder without parts all are in the first."""
    found = list_folder(root)
    n_train = len(found.labels) if found.n_train is None else found.n_train
    return dict(Counter(found.labels[:n_train])), dict(Counter(found.labels[n_train:]))


def pictures(layout: dict[str, int]) -> dict[str, Image.Image | bytes]:
    """So many small pictures in each folder; what has a suffix is one file instead."""
    files: dict[str, Image.Image | bytes] = {}
    for number, (name, count) in enumerate(layout.items()):
        suffix = Path(name).suffix.lower()
        if suffix in (".png", ".jpg"):
            files[name] = picture(number, (4, 4))
        elif suffix:
            files[name] = b"something else"
        else:
            files |= {f"{name}/{each:03}.png": picture(100 * number + each, (4, 4)) for each in range(count)}
    return files


LAYOUTS: dict[str, tuple[dict[str, int], tuple[dict[str, int], dict[str, int]]]] = {
    "Training, Testing": (
        {"Training/a": 3, "Training/b": 2, "Testing/a": 1, "Testing/b": 1},
        ({"a": 3, "b": 2}, {"a": 1, "b": 1}),
    ),
    "TRAIN, Test": ({"TRAIN/good": 3, "Test/good": 1, "Test/bad": 2}, ({"good": 3}, {"good": 1, "bad": 2})),
    "training_set, test_set": (
        {"training_set/good": 3, "test_set/good": 1, "test_set/bad": 2},
        ({"good": 3}, {"good": 1, "bad": 2}),
    ),
    "classes train, bus, car": ({"train": 2, "bus": 3, "car": 1}, ({"train": 2, "bus": 3, "car": 1}, {})),
    "classes valid, invalid": ({"valid": 2, "invalid": 3}, ({"valid": 2, "invalid": 3}, {})),
    "classes mask, no_mask": ({"mask": 2, "no_mask/7_mask.png": 1}, ({"mask": 2, "no_mask": 1}, {})),
    "classes with_mask, without_mask": ({"with_mask": 2, "without_mask": 1}, ({"with_mask": 2, "without_mask": 1}, {})),
    "class label": ({"label": 2, "cap": 1}, ({"label": 2, "cap": 1}, {})),
    "classes a, A": ({"a": 2, "A": 1}, ({"a": 2, "A": 1}, {})),
    "what systems leave": (
        {"a": 2, "b": 1, "__MACOSX/a": 1, "@eaDir/a": 3, "a/Thumbs.db": 1, ".ipynb_checkpoints/x": 1},
        ({"a": 2, "b": 1}, {}),
    ),
    "a class in two spellings": ({"d\u00e9faut": 2, "de\u0301faut": 1, "b": 1}, ({"d\u00e9faut": 3, "b": 1}, {})),
    "an archive of a Mac beside another's": (
        {"train/de\u0301faut": 2, "train/b": 1, "test/d\u00e9faut": 1},
        ({"d\u00e9faut": 2, "b": 1}, {"d\u00e9faut": 1}),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_are_read_as_people_call_them(tmp_path: Path, layout: str):
    given, expected = LAYOUTS[layout]
    assert counts(write(tmp_path / "set", pictures(given))) == expected


LEFT_OUT: dict[str, tuple[dict[str, int], str]] = {
    "a folder mask": ({"good": 2, "crack": 2, "mask": 3}, r"3 masks \(in mask/; rename what is a class\)"),
    "masks in classes": (
        {"good": 2, "crack/images": 2, "crack/Masks": 3, "crack/gt": 1},
        r"4 masks \(in crack/Masks/ and 1 more; rename .*",
    ),
    "masks of a class's other images": (
        {"good": 2, "crack": 2, "crack_masks/7.png": 1, "crack_masks/8.png": 1},
        r"2 masks \(in crack_masks/; .*",
    ),
    "masks beside their images": (
        {
            "good": 2,
            "crack/1.jpg": 1,
            "crack/0_mask.png": 1,
            "crack/image_2.png": 1,
            "crack/x_mask.png": 1,
            "crack/y.jpg": 1,
        },
        "2 masks",
    ),
    "folders of masks alone": ({"good": 2, "crack": 2, "other/masks": 3}, r"3 masks \(in other/; .*"),
    "masks alone": ({"good": 2, "crack": 2, "other/0_mask.png": 1}, r"1 masks? \(in other/; .*"),
    "MVTec AD": (
        {
            "train/good": 2,
            "test/good": 1,
            "test/bad": 1,
            "ground_truth/worse": 3,
            "validation/good": 2,
            "more/x": 1,
            "license.txt": 1,
        },
        r"1 in more/ \(beside the parts\), 2 in validation/ \(validation is drawn from the training images\), "
        r"3 masks \(in ground_truth/; .*",
    ),
    "other files": (
        {"good": 2, "bad": 1, "good/a.gif": 1, "good/b.GIF": 1, "bad/deep/c.tar.gz": 1, "notes.txt": 1, "loose.png": 1},
        "2 .gif, 1 .gz, 1 image beside the class folders",
    ),
}


@pytest.mark.parametrize("layout", LEFT_OUT)
def test_what_is_left_out_is_said_once_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str):
    given, expected = LEFT_OUT[layout]
    root = write(tmp_path / "set", pictures(given))
    (spec,) = parse_datasets(f"folder:{root}")
    digest = load_dataset(spec, tmp_path / "data").digest
    assert re.fullmatch(f"{root}: left out: {expected}\n", capsys.readouterr().err)
    assert load_dataset(spec, tmp_path / "data").digest == digest
    assert capsys.readouterr().err == ""


def test_masks_are_no_images_and_change_nothing(tmp_path: Path):
    plain = pictures({"good": 8, "crack": 8})
    masks = pictures({"mask": 8, "crack/ground_truth": 4, "crack/000_mask.png": 1})
    with_masks = load(write(tmp_path / "with", plain | masks), tmp_path / "data")
    without = load(write(tmp_path / "without", plain), tmp_path / "data")
    for part in ("train", "test"):
        with_part, without_part = getattr(with_masks, part), getattr(without, part)
        np.testing.assert_array_equal(with_part.images.hashes, without_part.images.hashes)
        np.testing.assert_array_equal(with_part.labels, without_part.labels)


def test_images_of_any_suffix_are_found_by_their_content(tmp_path: Path):
    files = {
        "a/1.jfif": encoded(picture(1), "JPEG"),
        "a/2.JPE": encoded(picture(2), "JPEG"),
        "a/3": encoded(picture(3)),
        "a/4.dat": encoded(picture(4), "TIFF"),
        "a/5.tif": encoded(picture(5), "TIFF"),
        "a/6.x": encoded(picture(6), "BMP"),
        "a/7.x": encoded(picture(7), "WEBP"),
        "a/8.nef": encoded(picture(8), "TIFF"),
        "a/9.x": encoded(picture(9), "GIF"),
        "b/1.png": picture(8),
    }
    found = list_folder(write(tmp_path / "set", files))
    assert counts(tmp_path / "set") == ({"a": 7, "b": 1}, {})
    assert found.left_out == ((".nef", 1), (".x", 1))


def test_what_is_no_file_is_counted_and_not_waited_for(tmp_path: Path):
    root = write(tmp_path / "set", pictures({"a": 2, "b": 1}))
    os.mkfifo(root / "a/pipe.png")
    (root / "a/more").symlink_to(root / "b")
    (root / "a/nothing").symlink_to("nowhere")
    assert list_folder(root).left_out == (("links to folders", 1), ("links to nothing, pipes or the like", 2))
    assert counts(root) == ({"a": 2, "b": 1}, {})


OTHERWISE: dict[str, tuple[dict[str, int], str]] = {
    "data sets": (
        {"bottle/train/good": 2, "bottle/ground_truth/x": 1, "cable/train/good": 1, "cable/test/x": 1, "readme.txt": 1},
        "{root} holds data sets: bottle, cable, each with train/ and test/ in it; name folder:{root}/bottle",
    ),
    "a data set in a folder": (
        {"archive/TRAIN/good": 2, "archive/TEST/good": 1},
        "{root} holds a data set: archive with train/ and test/ in it; name folder:{root}/archive",
    ),
    "two folders down": (
        {"a/b/train/good": 2, "a/b/test/good": 1},
        r"{root} has one class only \(a\); .*; for the data set inside name folder:{root}/a/b",
    ),
    "classes in a folder": (
        {"a/good": 2, "a/bad": 1},
        r"{root} has one class only \(a\); .*; if bad, good are the classes, name folder:{root}/a",
    ),
    "VisA": (
        {
            "candle/Data/Images/Normal": 2,
            "candle/Data/Images/Anomaly": 1,
            "candle/Data/Masks/Anomaly": 1,
            "pcb/Data/Images/Normal": 2,
            "pcb/Data/Images/Anomaly": 1,
            "split_csv/1cls.csv": 1,
        },
        "{root} holds data sets: candle, pcb, each with classes in it; name folder:{root}/candle/Data/Images",
    ),
    "a folder of images": (
        {"train/images/good": 1, "train/images/bad": 1, "test/images/good": 1},
        r"{root}/train/images holds folders \(bad, good\); if they are the classes, move them into {root}/train",
    ),
    "parts in classes": (
        {"good/train": 2, "good/test": 1, "bad/train": 1, "bad/test": 1},
        "{root}/bad has train/ and test/ in it; have it the other way round: train/bad",
    ),
    "two for training": (
        {"Train/a": 1, "training/a": 1, "test/a": 1},
        "{root} has Train/ and training/; put all into one train/, or rename",
    ),
    "val for test": (
        {"train/a": 1, "val/a": 1},
        r"{root} has train/ but no test/; add it, or rename to test/ what is meant \(val/\)",
    ),
    "several tests": (
        {"train/good": 1, "validation/good": 1, "test_public/good": 1, "test_private": 1},
        r"{root} has train/ but no test/; .* \(test_private/, test_public/, validation/\)",
    ),
    "COCO": ({"train2017": 2, "val2017": 1}, r"{root} has train2017/ but no test/; .* \(val2017/\)"),
    "train is parted": (
        {"train/x": 1, "bus": 1},
        r"{root} has train/ but no test/; .* \(rename train/ if it is a class it",
    ),
    "no classes in the test": (
        {"train/good": 2, "test": 3},
        r"{root}/test has no class folders \(3 images in it\); put the",
    ),
    "images and masks": (
        {"images": 2, "masks": 2},
        r"{root} has one class only \(images\); .*; left out as masks: masks \(rename what is a cl",
    ),
    "masks only": (
        {"masks": 2, "gt": 2},
        r"{root} has no class folders but gt, masks, taken for masks; put the images",
    ),
    "capitals": (
        {"train/Good": 2, "test/good": 1, "test/bad": 1},
        "{root} has train/Good and test/good; give one class one",
    ),
    "capitals side by side": (
        {"Good": 2, "good": 1, "bad": 1},
        "{root} has Good and good; give one class one name",
    ),
    "capitals in one part": (
        {"train/good": 2, "test/good": 1, "test/Bad": 1, "test/bad": 1},
        "{root} has test/Bad and test/bad; give one class one name",
    ),
    "a joiner that nobody sees": (
        {"ok": 2, "o\u200dk": 1, "bad": 1},
        r"{root} has ok and 'o\\u200dk'; give one class one name",
    ),
    "a joiner that nobody sees, in the test": (
        {"train/ok": 2, "test/o\u200ck": 1, "test/bad": 1},
        r"{root} has train/ok and 'test/o\\u200ck'; give one class one name",
    ),
    "unpacked twice": (
        {"train/train/good": 2, "test/test/good": 1, "test/test/bad": 1},
        "{root}/train has nothing but train/ in it; move what is in {root}/train/train up to {root}/train",
    ),
    "Intel's scenes": (
        {"seg_train/seg_train/sea": 2, "seg_test/seg_test/sea": 1, "seg_pred/seg_pred": 1},
        "{root} has seg_test, seg_train: if these are parts, have the classes in them as train/CLASS/ and test/CLASS/",
    ),
    "parts in the names of classes": (
        {"good_train": 2, "good_test": 1, "bad_test": 1},
        "{root} has bad_test, good_test, good_train: if these are parts, have",
    ),
    "train and eval": (
        {"train/good": 2, "eval/good": 1, "eval/bad": 1},
        r"{root} has train/ but no test/; add it, or rename to test/ what is meant \(eval/\)",
    ),
    "two levels too high": (
        {
            "mvtec/bottle/train/good": 2,
            "mvtec/bottle/test/bad": 1,
            "mvtec/cable/train/good": 2,
            "mvtec/cable/test/bad": 1,
        },
        r"{root} has one class only \(mvtec\); .*; bottle, cable in it are data sets; name folder:{root}/mvtec/bottle",
    ),
    "no image": (
        {"a": 2, "b": 1, "c/d.txt": 1},
        r"{root}/c has no PNG.*image \(only 1 .txt\); add some or take the folder out",
    ),
}


@pytest.mark.parametrize("layout", OTHERWISE)
def test_what_can_be_read_in_two_ways_is_one_line(tmp_path: Path, layout: str):
    given, complaint = OTHERWISE[layout]
    root = write(tmp_path / "set", pictures(given))
    with pytest.raises(UserError, match=f"^{complaint.format(root=root)}") as caught:
        list_folder(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["", "train/"])
@pytest.mark.parametrize(("link", "target"), [("self", "."), ("up", ".."), ("x", "a"), ("two", "elsewhere")])
def test_a_link_to_what_is_read_anyway_is_no_class(tmp_path: Path, part: str, link: str, target: str):
    write(
        tmp_path,
        pictures({"elsewhere": 1, f"set/{part}a": 2, f"set/{part}b": 1, **({"set/test/a": 1} if part else {})}),
    )
    root, folder = tmp_path / "set", tmp_path / "set" / part
    (folder / "two of them").symlink_to(tmp_path / "elsewhere")
    assert counts(root)[0] == {"a": 2, "b": 1, "two of them": 1}
    place = ((tmp_path if target == "elsewhere" else folder) / target).resolve()
    (folder / link).symlink_to(place)
    with pytest.raises(UserError, match=f"^{folder / link} is a link to {place}, whose images are read anyway; take"):
        list_folder(root)
