"""A small data set on disk, and the real ones where the machine has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import parse_datasets


@pytest.fixture(autouse=True)
def _no_progress_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a bar would appear in what tests read from stderr."""
    monkeypatch.setattr("fanogan_mtl.data.progress._PATIENCE", 3600.0)


@pytest.fixture
def npz_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small correct npz, some arrays replaced or (None) left out."""

    def write(name: str = "toy.npz", **replaced: object) -> Path:
        random = np.random.default_rng(0)
        labels = np.arange(60) % 3
        arrays: dict[str, object] = {
            "x_train": random.integers(0, 256, (60, 28, 28), dtype=np.uint8),
            "y_train": labels,
            "x_test": random.integers(0, 256, (30, 28, 28), dtype=np.uint8),
            "y_test": labels[:30],
        }
        arrays = {key: value for key, value in (arrays | replaced).items() if value is not None}
        path = tmp_path / name
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def adbench_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes 100 normal vectors and 20 anomalies, some arrays replaced or (None) left out."""

    def write(name: str = "toy.npz", **replaced: object) -> Path:
        arrays: dict[str, object] = {
            "X": np.random.default_rng(0).normal(0, 3, (120, 5)),
            "y": np.repeat([0, 1], [100, 20]),
        }
        arrays = {key: value for key, value in (arrays | replaced).items() if value is not None}
        path = tmp_path / name
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("FANOGAN_MTL_REAL_DATA")
    if not folder:
        pytest.skip("FANOGAN_MTL_REAL_DATA names no folder with mnist.npz, usps.npz and adbench/")
    return Path(folder)


@pytest.fixture(scope="session")
def real_datasets(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    data_dir = tmp_path_factory.mktemp("real")
    specs = parse_datasets(f"mnist=npz:{real_data}/mnist.npz,usps=npz:{real_data}/usps.npz")
    return {spec.name: load_dataset(spec, data_dir) for spec in specs}


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder that the tests of the sample share."""
    return tmp_path_factory.mktemp("sample")
