"""A model folder: its heads come back as they were."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.hybrid import save_scorer
from fanogan_mtl.serving.heads import Head, HeadSpec, head_folder, read_model, write_model

CALIBRATION = Calibration(0.1, 2.0, 3.0, -0.5, tuple(map(float, range(19))), tuple(map(float, range(100, 119))))


def test_heads_come_back_in_order_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((30, 49))
    detectors = [make_detector("pca", n_components=3).fit(rows), make_detector("knn").fit(rows)]
    specs = [
        HeadSpec("street/1", "pca", 0, 20, Preparation(7, crop=29 / 32, contrast=1.5), CALIBRATION),
        HeadSpec("street/0", "knn", 1, 50, None, CALIBRATION, false_alarm_rate=0.05),
    ]
    for position, detector in enumerate(detectors):
        save_scorer(detector, head_folder(tmp_path, position))
    write_model(tmp_path, specs)
    model = read_model(tmp_path)
    assert [head.spec for head in model.heads] == specs
    for head, detector in zip(model.heads, detectors, strict=True):
        np.testing.assert_array_equal(head.detector.decision_function(rows), detector.decision_function(rows))
    assert [head.threshold for head in model.heads] == [17, 18]  # 18th and 19th of 19


def test_thresholds_and_p_values_come_of_the_held_out_scores() -> None:
    head = Head(HeadSpec("street/1", "pca", 0, 20, None, CALIBRATION), None)
    assert head.threshold_at(0.05) == 18
    assert head.threshold_at(0.5) == 9
    np.testing.assert_array_equal(head.p_values(np.array([18.5, 18.0, 17.0, -1.0])), [0.05, 0.1, 0.15, 1])
    with pytest.raises(ValueError, match=r"^head street/1: 19 held-out .* promised is 5 %, not 4 %$"):
        head.threshold_at(0.04)


def test_thresholds_of_maps_come_of_the_held_out_maxima() -> None:
    spec = HeadSpec("street/1", "pca", 0, 20, None, CALIBRATION, false_alarm_rate=0.05)
    assert [Head(spec, None).map_threshold(rate) for rate in (None, 0.05, 0.5)] == [118, 118, 109]
    without = replace(spec, calibration=replace(CALIBRATION, map_maxima=()))
    assert Head(without, None).map_threshold() is None


def test_a_model_of_an_earlier_version_has_the_detectors_own_threshold(tmp_path: Path) -> None:
    detector = make_detector("knn").fit(np.random.default_rng(0).random((30, 49)))
    save_scorer(detector, head_folder(tmp_path, 0))
    write_model(tmp_path, [HeadSpec("street/1", "knn", 0, 20, Preparation(7), CALIBRATION)])
    content = json.loads((tmp_path / "model.json").read_text())
    for name in ("normal_scores", "map_maxima"):
        del content["heads"][0]["calibration"][name]
    del content["heads"][0]["false_alarm_rate"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    (head,) = read_model(tmp_path).heads
    assert not head.promises
    assert head.map_threshold() is None
    assert head.threshold == detector.threshold_
    assert np.isnan(head.p_values(np.zeros(2))).all()
    with pytest.raises(ValueError, match=r"^head street/1: registered by an earlier version"):
        head.threshold_at(0.1)


def test_another_format_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, [])
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"format": 99}))
    with pytest.raises(UserError, match="format 99, this version reads"):
        read_model(tmp_path)
