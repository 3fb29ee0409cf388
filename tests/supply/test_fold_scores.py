"""Which heads get the scores of their folds, and what comes of one that can't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.plan.hybrid import make_hybrid_plan
from fanogan_mtl.plan.options import HybridOptions
from fanogan_mtl.supply import folds
from fanogan_mtl.supply.extractors import feature_tasks
from fanogan_mtl.supply.folds import with_fold_scores
from fanogan_mtl.supply.heads import ChosenHead, Rates, model_key, told_folds
from fanogan_mtl.supply.models import _with_folds
from fanogan_mtl.sweep.cell import Cell, Comparison, run_cell
from fanogan_mtl.sweep.folds import FoldScores
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.pretraining import compute_features, run_pretraining
from fanogan_mtl.sweep.result import DoneCell


def head_of(data_dir: Path, detector: str, limit: int) -> ChosenHead:
    (spec,) = parse_datasets("optdigits")
    digest = load_dataset(spec, data_dir).digest
    cell = Cell(Comparison(spec, digest, detector, comparison_parameters(detector, {}), (1,), limit), "3", 0)
    return ChosenHead(DoneCell(cell, run_cell(cell, data_dir, "cpu")), 1)


def folded(data_dir: Path, *heads: ChosenHead, rates: Rates = (0.1,)) -> list[ChosenHead]:
    nothing: Any = None  # on pixels there is nothing to fetch
    execution: Any = SimpleNamespace(data_dir=data_dir, device="cpu")
    return with_fold_scores(nothing, heads, execution, nothing, rates)


def test_heads_that_can_promise_and_those_that_train_by_epochs_stay_as_they_are(tmp_path: Path) -> None:
    heads = [head_of(tmp_path, *of) for of in (("knn", 40), ("knn", 120), ("vae", 40))]
    few, many, deep = folded(tmp_path, *heads)
    assert [many, deep] == heads[1:]
    assert few.told_held_out == "4 + 32"
    assert few.rate(0.1) == 0.1
    assert heads[0].rate(0.1) == 0.2
    assert told_folds([few, many, deep]).startswith("few images are held out: thresholds by cross-validation in 1 of 3")
    (more,) = folded(tmp_path, many, rates=(0.1, 0.01))
    assert more.told_held_out == "12 + 96"
    assert told_folds([more, few]).endswith("from 4 + 32 or more held out + trained on, see docs/thresholds.md")


def test_on_an_extractor_that_has_learned_from_the_rows_there_are_no_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "obtain_inputs", lambda *_: None)
    shared = {"dataset": "optdigits", "detectors": "knn", "classes": "3", "limit": "40", "data_dir": str(tmp_path)}
    told = []
    for extractor in ("pca", "efficientnet_lite0"):
        plan = make_hybrid_plan(HybridOptions(**shared, extractors=extractor))
        for pretraining in plan.pretrainings.values():
            run_pretraining(pretraining, tmp_path, "cpu")
        for task in feature_tasks(plan.plan.cells, tmp_path):
            compute_features(task, tmp_path, "cpu")
        (cell,) = plan.plan.cells
        (head,) = folded(tmp_path, ChosenHead(DoneCell(cell, run_cell(cell, tmp_path, "cpu")), 50))
        told.append(head.told_held_out)
    assert told == ["4", "4 + 32"]


def test_a_model_with_folds_is_another_one_and_has_all_their_scores(tmp_path: Path) -> None:
    before = head_of(tmp_path, "knn", 40)
    (after,) = folded(tmp_path, before)
    assert model_key([before]) != model_key([after]) == model_key(folded(tmp_path, before))
    calibration = Calibration(0.0, 1.0, 1.0, 0.0, (3.0, 4.0), map_maxima=(0.5,))
    assert _with_folds(calibration, None) is calibration
    scores = FoldScores(np.array([5.0, 2.0]), (0.7, 0.1))
    both = replace(calibration, fold_scores=(2.0, 5.0), map_maxima=(0.1, 0.5, 0.7))
    assert _with_folds(calibration, scores) == both
    assert both.unseen.tolist() == [2, 3, 4, 5]
    assert both.held_out.tolist() == [3, 4]  # what `monitor` compares with, whose error rate is a theorem


def test_a_detector_that_fails_on_fewer_rows_is_told_and_its_head_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> FoldScores:
        raise ValueError("5 rows are\ntoo few")

    head = head_of(tmp_path, "knn", 40)
    monkeypatch.setattr(folds, "fold_scores", fail)
    assert folded(tmp_path, head) == [head]
    told = "Warning: optdigits/3 knn seed 0 is not cross-validated: 5 rows are too few"
    assert told in capsys.readouterr().out
