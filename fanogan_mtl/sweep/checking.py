"""Measures a cell's checks (`evaluation.sanity.Checks`) on the worker, where its arrays and detector are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyod.models.base import BaseDetector

from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.splits import Part, Split
from fanogan_mtl.detectors.third_party.company import company_dependence
from fanogan_mtl.evaluation.metrics import auroc
from fanogan_mtl.evaluation.sanity import (
    FILE_SIZE,
    IMAGE_SIZE,
    Checks,
    chance_error,
    confounds,
    copies,
    distinct,
    spread,
)
from fanogan_mtl.evaluation.weights import Weights

if TYPE_CHECKING:
    from torch import nn

UNMOVED = {"learning_rate": 1e-30, "encoder_learning_rate": 1e-30}
"""Parameters under which an epoch learns statistics (scaling, centres, mixtures) and moves no weight."""


def check_cell(
    split: Split,
    rows_of: Callable[[Part], NDArray[np.float32]],
    detector: BaseDetector,
    validation_scores: NDArray[np.float64],
    test_scores: NDArray[np.float64],
    weights: Weights | None,
    unmoved: BaseDetector | None,
    third_party: bool,
) -> Checks:
    """Check a cell at its last budget.

    Parameters
    ----------
    detector : detector
        Trained.
    rows_of : callable
        Gives a part's rows as the detector sees them.
    weights : float array of shape (number of validation images,), optional
        By which every class counts the same.
    unmoved : detector, optional
        The same detector, unfitted, with the parameters of `UNMOVED`.
    third_party : bool
        Whether to measure if a row's score depends on the rows scored with it.
    """
    validation, test = split.validation, split.test
    scores, tested = np.concatenate([validation_scores, test_scores]), content_hashes(test.pixels)
    areas = confounds(validation.anomaly, validation.sizes, validation.pixels, weights)
    before = None
    if unmoved is not None:
        for _ in unmoved.fit_staged(rows_of(split.train), (1,)):
            before = unmoved.decision_function(rows_of(validation))
    return Checks(
        spread=spread(scores),
        distinct=distinct(scores, np.concatenate([content_hashes(validation.pixels), tested])),
        copies=copies(tested, content_hashes(split.train.pixels)),
        validation_auroc=auroc(validation.anomaly, validation_scores, weights),
        error=chance_error(validation.anomaly, weights),
        size_auroc=max((areas[name] for name in (IMAGE_SIZE, FILE_SIZE) if name in areas), default=None),
        untrained_auroc=None if before is None else auroc(validation.anomaly, before, weights),
        company=company_dependence(detector, rows_of(test), test_scores) if third_party else None,
        moved=None if unmoved is None else _moved(detector, unmoved),
        confounds=areas,
    )


def _moved(detector: BaseDetector, unmoved: BaseDetector) -> float:
    """How far training moved the weights, relative to their norm, of the part of the network that it moved least."""
    trained, untrained = (getattr(each, "detector", each).network_ for each in (detector, unmoved))
    weights = [(_weights(trained.get_submodule(name)), _weights(part)) for name, part in untrained.named_children()]
    return min(
        float(np.linalg.norm(after - before) / np.linalg.norm(before)) for after, before in weights if len(before)
    )


def _weights(network: nn.Module) -> NDArray[np.float64]:
    """All weights of a network, one after the other."""
    parts = [each.detach().cpu().numpy().astype(np.float64).ravel() for each in network.parameters()]
    return np.concatenate([np.zeros(0), *parts])
