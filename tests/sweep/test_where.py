"""Maps are held against the masks of the rows that they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.dataset import MASK_SIZE, PICTURE_SIZE, Dataset, Images, Masks
from fanogan_mtl.data.splits import Part
from fanogan_mtl.evaluation.pixels import ALL
from fanogan_mtl.sweep.result import CellResult
from fanogan_mtl.sweep.where import SHOWN, Where, find_where

CLASSES = ("crack", "dent", "good")
N_TRAIN = 10


def truth(number: int) -> np.ndarray:
    """A mask of its own for each test image."""
    mask = np.zeros((MASK_SIZE, MASK_SIZE), bool)
    mask[16 * (number - 10) :][:16, 64:192] = True
    return mask


def dataset(masked: list[int]) -> Dataset:
    """Test images 0 to 9 are good, 10 to 15 cracked, 16 to 19 dented; some have masks."""
    labels = np.repeat([2, 0, 1], [10, 6, 4])
    test = Images(np.zeros((20, 4, 4), np.uint8), labels, labels * 0, labels.astype(np.uint64), np.zeros((20, 3), int))
    train = Images(*(array[:N_TRAIN] for array in vars(test).values()))
    pictures = np.repeat(np.arange(len(masked), dtype=np.uint8), PICTURE_SIZE**2).reshape(
        -1, PICTURE_SIZE, PICTURE_SIZE
    )
    packed = np.stack([np.packbits(truth(number), axis=-1) for number in masked])
    return Dataset("set", "", CLASSES, ("set",), train, test, masks=Masks(np.array(masked), packed, pictures))


def part(data: Dataset, images: list[int]) -> Part:
    labels = data.test.labels[images]
    return Part(data.test.pixels[images], labels != 2, labels, np.array(images) + N_TRAIN, data.test.sizes[images])


def perfect_maps(images: list[int], wrong: tuple[int, ...] = ()):
    """Maps of sixteen positions a side that are as the masks, but for some."""

    def make(rows: slice) -> np.ndarray:
        maps = np.zeros((len(images[rows]), 16, 16))
        for at, number in enumerate(images[rows]):
            if number >= 10:
                maps[at] = truth(number)[8::16, 8::16] * (-1.0 if number in wrong else 1.0)
        return maps

    return make


def test_maps_meet_the_masks_of_their_own_images_and_others_are_left_out() -> None:
    data = dataset([10, 12, 13, 17, 18])
    images = [0, 3, 10, 11, 12, 16, 17]  # 11 and 16 have no mask; 13 and 18 are not of this part
    where = find_where(data, part(data, images), perfect_maps(images))
    assert where is not None
    assert {name: each.n_images for name, each in where.figures.items()} == {"crack": 2, "dent": 1, ALL: 3}
    assert all(each.auroc > 0.99 for each in where.figures.values())  # edges are smooth
    names = ("auroc", "auprc", "aupro", "aupro_05", "f1", "auroc_crack", "auroc_dent")
    assert where.metrics.keys() == {f"pixel_{name}" for name in names}
    assert sorted(where.examples.pictures[:, 0, 0]) == [0, 1, 3]
    for picture, mask, heat in zip(where.examples.pictures, where.examples.masks, where.examples.maps, strict=True):
        number = [10, 12, 13, 17, 18][picture[0, 0]]
        np.testing.assert_array_equal(mask, truth(number)[::2, ::2])
        assert heat[mask].mean() > 0.6 > 0.1 > heat[~mask].mean()


def test_the_best_and_the_worst_maps_are_kept_for_people() -> None:
    images = list(range(10, 20))
    data = dataset(images)
    where = find_where(data, part(data, [0, *images]), perfect_maps([0, *images], wrong=(11, 14)))
    assert where is not None
    assert len(where.examples.labels) == 2 * SHOWN
    assert sorted(where.examples.pictures[-2:, 0, 0]) == [1, 4]
    assert (np.diff(where.examples.aurocs) <= 0).all()


def test_nothing_is_held_against_masks_that_are_not_there_or_of_normal_images() -> None:
    images = [0, 10, 11]
    data = dataset([10, 11])
    assert find_where(replace(data, masks=None), part(data, images), perfect_maps(images)) is None
    assert find_where(data, part(data, [0, 12, 16]), perfect_maps([0, 12, 16])) is None
    turned = replace(part(data, images), anomaly=np.array([True, False, False]))  # cracks are what is normal
    assert find_where(data, turned, perfect_maps(images)) is None


@pytest.mark.parametrize("with_maps", [True, False])
def test_a_result_is_read_back_with_its_maps(tmp_path: Path, with_maps: bool) -> None:
    images = [0, 10, 11, 17]
    data = dataset([10, 11, 17])
    where = find_where(data, part(data, images), perfect_maps(images)) if with_maps else None
    scores, anomaly = np.arange(4.0)[None], np.array([False, True, True, True])
    values = {"threshold": 1.0, "validation_auroc": 1.0, **(where.metrics if where else {})}
    CellResult({1: values}, scores, anomaly, np.arange(4), np.arange(4), where=where).save(tmp_path / "cell.npz")
    found = CellResult.load(tmp_path / "cell.npz").where
    if where is None:
        assert found is None
        return
    assert isinstance(found, Where)
    assert found.figures == where.figures
    for name, value in vars(where.examples).items():
        np.testing.assert_array_equal(getattr(found.examples, name), value)
