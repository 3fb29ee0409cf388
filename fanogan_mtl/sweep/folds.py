"""Scores of a cell's training rows by detectors that have not seen them, for thresholds where few rows are held out.

The rows are dealt into folds; each fold is scored by a detector that was trained on the others. One detector, trained
on all of them, serves. A fold's detector has seen a little less, so new rows score slightly lower by the one that
serves, and a threshold from the folds' scores flags at most slightly fewer. Unlike that of rows that are held out, the
rate is no theorem: it takes a detector that a few rows more or less don't change much. Sources: Vovk 2015,
*Cross-conformal predictors*, and Barber, Candès, Ramdas and Tibshirani 2021, *Predictive inference with the
jackknife+*, who show when the jackknife, the same with a fold for each row, fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.sweep.cell import Cell, build_detector, split_of
from fanogan_mtl.sweep.pretraining import learned_from
from fanogan_mtl.sweep.where import map_maxima

FOLDS = 10


@dataclass(frozen=True)
class FoldScores:
    """What detectors that had not seen them make of a cell's normal training rows.

    Attributes
    ----------
    scores : array of shape (n,)
        In the order of the rows.
    map_maxima : tuple of float
        See `Calibration.map_maxima`.
    """

    scores: NDArray[np.float64]
    map_maxima: tuple[float, ...]


def trains_quickly(cell: Cell) -> bool:
    """Whether the detector can be trained ten times more where it serves: all but those that train by epochs."""
    return not hasattr(build_detector(cell, "cpu"), "fit_staged")


def is_new_to_extractor(cell: Cell, data_dir: Path) -> bool:
    """Whether the extractor, if there is one, has learned from no image; else it knows what a fold leaves out."""
    return cell.extractor_key is None or not len(learned_from(data_dir, cell.extractor_key))


def fold_scores(cell: Cell, data_dir: Path, device: str = "auto") -> FoldScores:
    """Score a cell's normal training rows fold by fold, on one thread. Equal rows are of one fold.

    Parameters
    ----------
    cell : Cell
        Of a detector that `trains_quickly`.
    data_dir : Path
    device : {"auto", "cpu", "cuda"}
    """
    with one_thread():
        split, rows_of = split_of(cell, data_dir)
        rows, is_normal = rows_of(split.train), ~split.train.anomaly
        _, group = np.unique(rows, axis=0, return_inverse=True)
        n_groups = int(group.max()) + 1
        scores = np.empty(len(rows))
        maxima: list[float] = []
        for _, left_out in KFold(min(FOLDS, n_groups), shuffle=True, random_state=cell.seed).split(range(n_groups)):
            is_out = np.isin(group, left_out)
            detector = build_detector(cell, device)
            detector.fit(rows[~is_out])
            scores[is_out] = detector.decision_function(rows[is_out])
            maxima += map_maxima(detector, split.train, rows[is_out & is_normal], cell.extractor_key, data_dir)
        return FoldScores(scores[is_normal], tuple(maxima))
