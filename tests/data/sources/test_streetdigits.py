from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import RawDataset
from fanogan_mtl.data.sources import streetdigits
from fanogan_mtl.data.specs import parse_datasets


@pytest.fixture(scope="module")
def raw() -> RawDataset:
    return streetdigits.load("streetdigits", Path())


def test_sizes_and_balance(raw: RawDataset):
    assert raw.train.images.shape == (4000, 32, 32, 3)
    assert raw.test.images.shape == (1000, 32, 32, 3)
    assert raw.train.images.dtype == np.uint8
    assert np.bincount(raw.train.labels).tolist() == [400] * 10
    assert np.bincount(raw.test.labels).tolist() == [100] * 10
    assert len(np.unique(raw.train.images.reshape(4000, -1), axis=0)) == 4000


def test_every_process_draws_the_same(raw: RawDataset):
    code = (
        "import hashlib; from pathlib import Path; from fanogan_mtl.data.sources import streetdigits;"
        "raw = streetdigits.load('streetdigits', Path());"
        "print(hashlib.sha256(raw.train.images.tobytes() + raw.test.images.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert other == hashlib.sha256(raw.train.images.tobytes() + raw.test.images.tobytes()).hexdigest()


def test_pictures_are_coloured_and_digits_are_lighter_as_often_as_darker(raw: RawDataset):
    images = raw.train.images.astype(float)
    assert np.median(np.ptp(images.mean(axis=(1, 2)), axis=1)) > 10  # red, green and blue differ
    middle, corners = images[:, 8:24, 10:22].max(axis=3), images[:, [0, -1]][:, :, [0, -1]].max(axis=3)
    lighter = np.abs(middle.max(axis=(1, 2)) - corners.mean(axis=(1, 2))) > np.abs(
        middle.min(axis=(1, 2)) - corners.mean(axis=(1, 2))
    )
    assert 0.4 < lighter.mean() < 0.6


def test_digits_can_be_told_but_far_less_easily_than_handwritten_ones(sample_dir: Path):
    accuracy = {}
    for spec in parse_datasets("handwritten,streetdigits"):
        dataset = load_dataset(spec, sample_dir)
        train, test = (
            part.pixels.reshape(len(part.labels), -1) / np.float32(255) for part in (dataset.train, dataset.test)
        )
        neighbours = KNeighborsClassifier(5).fit(train, dataset.train.labels)
        accuracy[spec.name] = neighbours.score(test, dataset.test.labels)
    assert 0.35 < accuracy["streetdigits"] < 0.7
    assert accuracy["handwritten"] > 0.9
