"""A model folder: its heads and its preparation come back as they were."""

from pathlib import Path

import numpy as np

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.persistence import save_detector
from fanogan_mtl.serving.heads import HeadSpec, head_folder, prepared_rows, read_model, write_model


def test_a_model_folder_gives_back_heads_in_order_and_prepares_as_in_training(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    preparation = Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0)
    rows = pixel_rows(prepare(raw, preparation))
    detectors = [make_detector("pca", n_components=3).fit(rows), make_detector("knn").fit(rows)]
    specs = [HeadSpec("street/0", "pca", 0, 20), HeadSpec("street/1", "knn", 1, 50)]
    for position, detector in enumerate(detectors):
        save_detector(detector, head_folder(tmp_path, position))
    write_model(tmp_path, specs, preparation)
    model = read_model(tmp_path)
    assert list(model.specs) == specs
    np.testing.assert_array_equal(prepared_rows(model, raw), rows)
    for loaded, detector in zip(model.detectors, detectors, strict=True):
        np.testing.assert_array_equal(
            loaded.decision_function(prepared_rows(model, raw)), detector.decision_function(rows)
        )


def test_a_pools_model_takes_prepared_images(tmp_path: Path) -> None:
    write_model(tmp_path, [], None)
    images = np.full((2, 28, 28), 51, np.uint8)
    np.testing.assert_array_equal(prepared_rows(read_model(tmp_path), images), np.full((2, 784), 0.2, np.float32))
