from __future__ import annotations

import pytest

from fanogan_mtl.data.sources.layout import is_rubbish, like_parts, mask_files, mask_folders, masked_folder, part_of


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (("train", "Train", "TRAINING", "training_set", "train data", "train2017", "trainset"), "train"),
        (("test", "Testing", "TEST", "test-images", "testset"), "test"),
        (("val", "valid", "Validation", "val2017"), "validation"),
        (("trained", "trains", "tests", "testimony", "invalid", "values", "retrain", "test_public", "17"), None),
    ],
)
def test_parts_are_told_by_their_names(names: tuple[str, ...], part: str | None):
    assert {part_of(name) for name in names} == {part}


@pytest.mark.parametrize(
    "names",
    [
        ("seg_pred", "seg_test", "seg_train"),
        ("X_train", "X_test"),
        ("01_train", "02_test"),
        ("train_v2", "test_v2"),
        ("trainA", "testA", "testB", "trainB"),
        ("train (1)", "test (1)"),
        ("train ", "test "),
        ("bad_test", "good_test", "good_train"),
        ("dataset_train", "dataset_test"),
    ],
)
def test_names_like_parts_are_seen_where_both_parts_are_there(names: tuple[str, ...]):
    alike = [name for name in names if name != "seg_pred"]
    assert like_parts(names) == sorted(alike)
    assert like_parts([name for name in names if "train" not in name]) == []


@pytest.mark.parametrize("names", [("train", "bus"), ("contest", "trainer"), ("restrain", "latest"), ("good", "bad")])
def test_names_of_classes_are_not_like_parts(names: tuple[str, ...]):
    assert like_parts(names) == []


def test_the_folder_of_masks_tells_that_of_their_images():
    assert [masked_folder(name) for name in ("crackmask", "crack_gt", "crack", "seg")] == [
        "crack",
        "crack",
        "crack",
        "",
    ]


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        ({"good", "mask", "Masks", "ground_truth", "Ground Truth", "GT", "labels", "crack"}, {"good", "crack"}),
        ({"crack", "crack_mask", "crack-gt", "hole_mask"}, {"crack", "hole_mask"}),
        (
            {"crack", "crack_label", "crack-labels", "crack seg", "crack_segmentation", "crack_annotations", "a_label"},
            {"crack", "a_label"},
        ),
        ({"good", "SegmentationClass", "SegmentationObject", "seg", "masks_png", "mask_images"}, {"good"}),
        (
            {"good", "label_images", "pixel_gt", "anomaly_maps", "crack", "crackmask", "damask"},
            {"good", "crack", "damask"},
        ),
        ({"mask", "without_mask"}, {"mask", "without_mask"}),
        ({"label", "unmasked", "masked", "segment"}, {"label", "unmasked", "masked", "segment"}),
    ],
)
def test_folders_of_masks_are_told_from_classes(names: set[str], masks: set[str]):
    assert names - mask_folders(names) == masks


@pytest.mark.parametrize(
    ("names", "images"),
    [
        ({"7.jpg", "7_mask.png", "7_Mask_1.png", "7-gt.bmp", "7.label.png", "8_gt.png"}, {"7.jpg", "8_gt.png"}),
        ({"benign (1).png", "benign (1)_mask.png"}, {"benign (1).png"}),
        ({"image_1.png", "mask_1.png", "mask_2.png"}, {"image_1.png", "mask_2.png"}),
        ({"Part0.jpg", "Part0_label.bmp"}, {"Part0.jpg"}),
        ({"0_Mask.jpg", "1_mask.png", "damask.png", "segment_1.png"}, {"0_Mask.jpg", "damask.png", "segment_1.png"}),
        ({"7.jpg", "7mask.png", "8mask.png", "da.jpg", "damask.png"}, {"7.jpg", "8mask.png", "da.jpg"}),
        ({"label_1.png", "label_2.png"}, {"label_1.png", "label_2.png"}),
        ({"7.png", "mask7.png", "image8.png", "mask8.png", "mask9.png"}, {"7.png", "image8.png", "mask9.png"}),
        ({"7.png", "7_mask1.png", "7_mask2.png", "7_Mask(3).png", "8_mask1.png"}, {"7.png", "8_mask1.png"}),
        ({"image1.png", "label1.png", "gt2.png"}, {"image1.png", "gt2.png"}),
    ],
)
def test_masks_are_told_from_images_beside_them(names: set[str], images: set[str]):
    assert names - mask_files(names) == images


def test_what_systems_leave_is_rubbish():
    assert all(map(is_rubbish, (".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "lost+found")))
    assert not is_rubbish("thumbs")
