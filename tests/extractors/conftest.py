from __future__ import annotations

from pathlib import Path

import pytest
import torch
from quick_extractors import weights_like_imagenet

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import parse_datasets


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file in the place of ImageNet's weights."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(weights_like_imagenet(), path)
    return path


@pytest.fixture(scope="session")
def real_digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Return the digits that installed packages bring along."""
    folder = tmp_path_factory.mktemp("data")
    return {spec.name: load_dataset(spec, folder) for spec in parse_datasets("handwritten,optdigits")}
