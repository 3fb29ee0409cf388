"""Makes a head: a cell's recorded detector, and the calibration of its scores and maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.calibration import Calibration, fit_calibration
from fanogan_mtl.evaluation.metrics import auroc
from fanogan_mtl.hybrid import load_scorer, save_scorer
from fanogan_mtl.sweep.cell import Cell, split_of, train_detector, weights_of
from fanogan_mtl.sweep.where import map_maxima

SAME = 1e-6  # relative difference of scores below which they are the recorded ones


@dataclass(frozen=True)
class HeadTask:
    """One head to make.

    Attributes
    ----------
    cell : Cell
    budget : int
        Epochs.
    scores : array of shape (n,)
        Of the test images, as recorded.
    folder : Path
        Where the detector is saved.
    kept : Path or None
        Where it waits from its training; it is trained again otherwise.
    """

    cell: Cell
    budget: int
    scores: NDArray[np.float64]
    folder: Path
    kept: Path | None = None

    def __str__(self) -> str:
        return f"{self.cell} at {self.budget} epochs"


def make_head(task: HeadTask, data_dir: Path, device: str = "auto") -> Calibration:
    """Put a head's detector into its folder, on one thread; give what its scores and its maps mean.

    Raises
    ------
    UserError
        If the detector doesn't score the test as recorded.
    """
    with one_thread():
        if task.kept and task.kept.is_dir():
            detector = load_scorer(task.kept)
        else:
            detector = train_detector(task.cell, task.budget, data_dir, device)
        split, rows_of = split_of(task.cell, data_dir)
        scores = detector.decision_function(rows_of(split.test))
        if not np.allclose(scores, task.scores, rtol=SAME, atol=0):
            now, then = (auroc(split.test.anomaly, each, weights_of(split.test)) for each in (scores, task.scores))
            raise UserError(
                f"{task}: trained again it has AUROC {now:.6f}, recorded is {then:.6f}: "
                "make the model on the kind of device and with the versions that the run's tags name"
            )
        save_scorer(detector, task.folder)
        validation = split.validation
        rows = rows_of(validation)
        calibration = fit_calibration(validation.anomaly, detector.decision_function(rows), weights_of(validation))
        normal = rows[~validation.anomaly]
        maxima = map_maxima(detector, validation, normal, task.cell.extractor_key, data_dir)
        return replace(calibration, map_maxima=maxima)
