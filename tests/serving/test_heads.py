"""A model folder: its heads come back as they were."""

import json
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.hybrid import save_scorer
from fanogan_mtl.serving.heads import HeadSpec, head_folder, read_model, write_model

CALIBRATION = Calibration(0.1, 2.0, 3.0, -0.5)


def test_heads_come_back_in_order_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((30, 49))
    detectors = [make_detector("pca", n_components=3).fit(rows), make_detector("knn").fit(rows)]
    specs = [
        HeadSpec("street/1", "pca", 0, 20, Preparation(7, crop=29 / 32, contrast=1.5), CALIBRATION),
        HeadSpec("street/0", "knn", 1, 50, None, CALIBRATION),
    ]
    for position, detector in enumerate(detectors):
        save_scorer(detector, head_folder(tmp_path, position))
    write_model(tmp_path, specs)
    model = read_model(tmp_path)
    assert [head.spec for head in model.heads] == specs
    for head, detector in zip(model.heads, detectors, strict=True):
        np.testing.assert_array_equal(head.detector.decision_function(rows), detector.decision_function(rows))
        assert head.threshold == detector.threshold_


def test_another_format_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, [])
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"format": 99}))
    with pytest.raises(UserError, match="format 99, this version reads"):
        read_model(tmp_path)
