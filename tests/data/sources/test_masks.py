"""Masks are found as people keep them, and read as what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_folders import picture, write

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import MASK_SIZE, PICTURE_SIZE
from fanogan_mtl.data.sources.folder import list_folder
from fanogan_mtl.data.sources.masks import masks_of
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.errors import UserError

SIZE = (40, 30)  # width, height


def mask(top: int, left: int, side: int = 8, size: tuple[int, int] = SIZE, value: int = 255) -> Image.Image:
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[top : top + side, left : left + side] = value
    return Image.fromarray(pixels)


def images(*names: str) -> dict[str, Image.Image | bytes]:
    return {name: picture(number, SIZE) for number, name in enumerate(names)}


MVTEC = (*(f"train/good/{n}.png" for n in range(4)), *(f"test/good/{n}.png" for n in range(5)))
CRACKED = tuple(f"test/crack/{n}.png" for n in range(5))

CONVENTIONS = {
    "MVTec AD": (("test/crack/7.png", *MVTEC), "ground_truth/crack/7_mask.png"),
    "anomalib, the image's own name": (("test/crack/7.jpg", *MVTEC), "ground_truth/crack/7.png"),
    "a folder for the part": (("test/crack/7.png", *MVTEC), "masks/test/crack/7.png"),
    "a folder in the part": (("test/crack/7.png", *MVTEC), "test/masks/crack/7.png"),
    "a folder in the class": (("good/1.png", "crack/7.png"), "crack/mask/7.png"),
    "a folder beside the class": (("good/1.png", "crack/7.png"), "crack_mask/7.png"),
    "beside the image": (("good/1.png", "crack/7.jpg"), "crack/7_mask.png"),
    "numbered together": (("good/1.png", "crack/image7.jpg"), "crack/mask7.png"),
    "several, numbered": (("good/1.png", "crack/7.jpg"), "crack/7_mask1.png"),
    "numbered alike": (("good/1.png", "crack/image_7.png"), "crack/mask_7.png"),
    "other letters": (("test/Crack/7.PNG", *MVTEC), "Ground_Truth/crack/7_MASK.PNG"),
    "deeper": (("test/crack/old/7.png", *MVTEC), "ground_truth/crack/old/7_mask.png"),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_masks_are_found_as_people_keep_them(tmp_path: Path, convention: str) -> None:
    names, where = CONVENTIONS[convention]
    root = write(tmp_path / "set", {**images(*names), where: mask(2, 2)})
    files = list_folder(root)
    found = masks_of(root, files)
    assert found.used == (where,)
    of = {name: path for name, path in zip(files.names, found.paths, strict=True) if path}
    assert of == {next(name for name in names if "rack" in name): root / where}
    assert not found.folders_left_out
    assert not found.files_left_out


def test_visas_masks_lie_beside_the_folder_of_images(tmp_path: Path) -> None:
    pictures = images("Images/Normal/1.JPG", "Images/Anomaly/1.JPG", "Images/Anomaly/2.JPG")
    write(tmp_path, {**pictures, "Masks/Anomaly/1.png": mask(2, 2)})
    root = tmp_path / "Images"
    files = list_folder(root)
    found = masks_of(root, files)
    assert [path and path.resolve() for path in found.paths] == [
        tmp_path / "Masks/Anomaly/1.png" if name == "Anomaly/1.JPG" else None for name in files.names
    ]


def test_a_masks_image_is_the_tests_where_training_has_one_of_its_name_too(tmp_path: Path) -> None:
    names = ("train/crack/7.png", "train/good/1.png", "test/crack/7.png", "test/good/1.png")
    root = write(tmp_path / "set", {**images(*names), "ground_truth/crack/7_mask.png": mask(2, 2)})
    files = list_folder(root)
    assert [name for name, path in zip(files.names, masks_of(root, files).paths, strict=True) if path] == [names[2]]


def test_masks_say_where_and_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        **images(*MVTEC, *CRACKED, "test/dent/1.png"),
        "ground_truth/crack/0_mask.png": mask(10, 20),
        "ground_truth/crack/1_mask.png": mask(0, 0, value=2),  # of kinds, as VisA's
        "ground_truth/crack/2_mask.png": mask(0, 0, value=0),
        "ground_truth/crack/99_mask.png": mask(0, 0),
    }
    noisy = np.array(mask(10, 20))
    noisy[:2] = 60  # as JPEG leaves it
    given["ground_truth/crack/3_mask.png"] = Image.fromarray(noisy)
    root = write(tmp_path / "set", given)
    (spec,) = parse_datasets(f"folder:{root}")
    dataset = load_dataset(spec, tmp_path / "data")
    said = capsys.readouterr().err
    assert (
        "3 masks say where anomalies are (crack); without a mask: 1 of crack; empty: 1 of crack; none of dent" in said
    )
    assert "left out: 1 mask of no image" in said
    assert dataset.masks is not None
    assert dataset.masks.rows.tolist() == [0, 1, 3]  # class by class, cracks first
    assert dataset.masks.pictures.shape == (3, PICTURE_SIZE, PICTURE_SIZE)
    first, second, third = (dataset.masks.mask(at) for at in range(3))
    np.testing.assert_array_equal(first, third)
    rows, columns = (np.flatnonzero(first.any(axis=axis)) for axis in (1, 0))
    across, down = MASK_SIZE / SIZE[0], MASK_SIZE / SIZE[1]
    np.testing.assert_allclose([columns[0], columns[-1] + 1], [20 * across, 28 * across], atol=1)
    np.testing.assert_allclose([rows[0], rows[-1] + 1], [10 * down, 18 * down], atol=1)
    assert second[: int(8 * down) - 1, : int(8 * across) - 1].all()
    load_dataset(spec, tmp_path / "data")
    assert capsys.readouterr().err == ""  # once


def test_what_a_mask_marks_is_seen_in_every_way_to_write_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    white = np.array(mask(10, 20))
    drawn = np.zeros((*white.shape, 4), np.uint8)
    drawn[white > 0] = (255, 0, 0, 255)  # in red, on nothing
    ways = {
        "8_bits": Image.fromarray(white),
        "16_bits": Image.fromarray(white.astype(np.uint16)),
        "12_of_16_bits": Image.fromarray(np.where(white > 0, 4095, 60).astype(np.uint16)),
        "all_16_bits": Image.fromarray(white.astype(np.uint16) * 257),
        "white_on_nothing": Image.fromarray(np.repeat(white[..., None], 4, axis=2)),
        "drawn": Image.fromarray(drawn),
    }
    nothing = {"empty": Image.fromarray(np.zeros_like(white))}
    given = {f"ground_truth/{way}/1_mask.png": each for way, each in (ways | nothing).items()}
    write(tmp_path / "set", {**images(*MVTEC, *(f"test/{way}/1.png" for way in ways | nothing)), **given})
    dataset = load_dataset(*parse_datasets(f"folder:{tmp_path / 'set'}"), tmp_path / "data")
    assert dataset.masks is not None
    first, *others = (dataset.masks.mask(at) for at in range(len(ways)))
    assert 0 < first.mean() < 0.5
    for way, other in zip(list(ways)[1:], others, strict=True):
        np.testing.assert_array_equal(other, first, way)
    said = capsys.readouterr().err
    assert "empty: 1 of empty" in said
    assert "none of" not in said


def test_masks_of_training_images_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{name}/{number}" for name in ("good", "crack") for number in range(10)]
    files = {f"{name}.jpg": picture(number, SIZE) for number, name in enumerate(names)}
    write(tmp_path / "set", files | {f"{name}_mask.png": mask(2, 2) for name in names if name.startswith("crack")})
    load_dataset(parse_datasets(f"folder:{tmp_path / 'set'}")[0], tmp_path / "data")
    assert "2 masks say where anomalies are (crack); 8 of training images are not used" in capsys.readouterr().err


def test_masks_are_cropped_with_their_images(tmp_path: Path) -> None:
    given = {**images(*MVTEC, *CRACKED), "ground_truth/crack/0_mask.png": mask(0, 0, 15, (40, 40))}
    given["test/crack/0.png"] = picture(0, (40, 40))
    root = write(tmp_path / "set", given)
    dataset = load_dataset(*parse_datasets(f"folder:{root}?crop=0.5"), tmp_path / "data")
    assert dataset.masks is not None
    expected = np.zeros((MASK_SIZE, MASK_SIZE), bool)
    expected[: MASK_SIZE // 4, : MASK_SIZE // 4] = True  # pixels 10 to 15 of 10 to 30
    np.testing.assert_array_equal(dataset.masks.mask(0), expected)


def test_other_masks_make_another_data_set_and_none_leave_it_as_it_was(tmp_path: Path) -> None:
    pictures = images(*MVTEC, *CRACKED)
    digests = []
    for number, masks in enumerate([{}, {"0": mask(1, 1)}, {"0": mask(2, 1)}, {"1": mask(1, 1)}]):
        root = write(tmp_path / str(number) / "set", pictures)
        write(root, {f"ground_truth/crack/{name}_mask.png": each for name, each in masks.items()})
        digests.append(load_dataset(*parse_datasets(f"folder:{root}"), tmp_path / "data").digest)
    assert len(set(digests)) == 4
    root = write(tmp_path / "4" / "set", {**pictures, "ground_truth/crack/notes.txt": b"x"})
    assert load_dataset(*parse_datasets(f"folder:{root}"), tmp_path / "data").digest == digests[0]


def test_a_pool_has_the_masks_of_its_members(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {**images(*MVTEC, *CRACKED), "ground_truth/crack/3_mask.png": mask(2, 2)})
    two = write(tmp_path / "two", images(*(name.replace("crack", "dent") for name in (*MVTEC, *CRACKED))))
    three = write(tmp_path / "three", {**images(*MVTEC, *CRACKED), "ground_truth/crack/1_mask.png": mask(9, 9)})
    specs = parse_datasets("+".join(f"{path.name}=folder:{path}" for path in (one, two, three)))
    pooled = load_dataset(specs[0], tmp_path / "data")
    alone = [load_dataset(*parse_datasets(f"folder:{path}"), tmp_path / "data").masks for path in (one, three)]
    assert pooled.masks is not None
    assert pooled.masks.rows.tolist() == [3, 10 + 10 + 1]
    for at, masks in enumerate(alone):
        assert masks is not None
        np.testing.assert_array_equal(pooled.masks.mask(at), masks.mask(0))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (mask(1, 1, size=(30, 40)), r"crack/0_mask\.png and its image have unlike sizes \(30x40 and 40x30\); make the"),
        (b"no picture", r"crack/0_mask\.png can't be read"),
    ],
    ids=["another size", "damaged"],
)
def test_a_mask_that_does_not_fit_is_one_line(tmp_path: Path, content: Image.Image | bytes, said: str) -> None:
    root = write(tmp_path / "set", {**images(*MVTEC, *CRACKED), "ground_truth/crack/0_mask.png": content})
    with pytest.raises(UserError, match=said):
        load_dataset(*parse_datasets(f"folder:{root}"), tmp_path / "data")
