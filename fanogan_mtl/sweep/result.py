"""What a cell leaves (`CellResult`), and what is read back of a finished one (`DoneCell`)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.evaluation.alarms import NormalScores
from fanogan_mtl.evaluation.metrics import MetricInput, computed_metrics
from fanogan_mtl.evaluation.pixels import PixelFigures
from fanogan_mtl.evaluation.sanity import Checks
from fanogan_mtl.evaluation.weights import Weights, class_weights
from fanogan_mtl.sweep.where import MapExamples, Where

if TYPE_CHECKING:
    from fanogan_mtl.sweep.cell import Cell


@dataclass(frozen=True)
class Examples:
    """Test images beside what the detector makes of them, half of them anomalies.

    Attributes
    ----------
    images, reconstructions : float array of shape (n, size, size) or (n, size, size, 3), in [0, 1]
        A reconstruction may leave the range.
    anomaly : bool array of shape (n,)
    """

    images: NDArray[np.float32]
    reconstructions: NDArray[np.float32]
    anomaly: NDArray[np.bool_]


@dataclass(frozen=True)
class CellResult:
    """What a cell leaves.

    Attributes
    ----------
    metrics : dict
        By budget, metric name to value: of the test part, but for `validation_auroc`, which choices are made by;
        `fit_seconds` is the training time up to that budget.
    scores : float array of shape (number of budgets, n)
        Scores of the test rows at each budget.
    anomaly : bool array of shape (n,)
    labels, rows : int arrays of shape (n,)
        Class of each test row, and its place in the data set (training images, then test images).
    examples : Examples or None
        For detectors that reconstruct, at the last budget.
    checks : Checks or None
        See `evaluation.sanity`; None in results of earlier versions.
    weighs_classes : bool
        Whether every class counts the same in the metrics, as in tests of images; each row does otherwise.
    where : Where or None
        Maps at the last budget, held against masks; None without masks or without maps.
    normal_scores : float array of shape (number of budgets, m) or None
        Scores of the validation's normal rows at each budget, from which conformal thresholds are made; None in results
        of earlier versions.
    """

    metrics: dict[int, dict[str, float]]
    scores: NDArray[np.float64]
    anomaly: NDArray[np.bool_]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    examples: Examples | None = None
    checks: Checks | None = None
    weighs_classes: bool = False
    where: Where | None = None
    normal_scores: NDArray[np.float64] | None = None

    @cached_property
    def weights(self) -> Weights | None:
        """Weights (n,) of the test rows in every metric and curve; None where all weigh the same."""
        return class_weights(self.labels) if self.weighs_classes else None

    @property
    def test(self) -> tuple[NDArray[np.bool_], NDArray[np.float64], Weights | None]:
        """What metrics and curves take: anomaly, scores at the last budget, and weights."""
        return self.anomaly, self.scores[-1], self.weights

    @property
    def of_normal(self) -> NormalScores | None:
        """Scores of normal rows at the last budget; None in results of earlier versions."""
        if self.normal_scores is None:
            return None
        return NormalScores(self.normal_scores[-1], self.scores[-1][~self.anomaly])

    @property
    def counts(self) -> dict[int, int]:
        """Test rows of each class, by label."""
        labels, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write everything to one `.npz` file."""
        names = ("scores", "anomaly", "labels", "rows", "weighs_classes")
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in names}
        if self.normal_scores is not None:
            arrays["normal_scores"] = self.normal_scores
        if self.examples:
            arrays |= {f"example_{name}": value for name, value in vars(self.examples).items()}
        if self.where:
            arrays |= {f"where_{name}": value for name, value in vars(self.where.examples).items()}
            arrays["where"] = np.array(json.dumps({name: asdict(each) for name, each in self.where.figures.items()}))
        if self.checks:
            arrays["checks"] = np.array(json.dumps(asdict(self.checks)))
        np.savez_compressed(path, metrics=np.array(json.dumps(self.metrics)), **arrays)

    @classmethod
    def load(cls, path: Path) -> CellResult:
        """Read what `save` wrote; metrics that are newer than the file are computed."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        metrics = {int(budget): values for budget, values in json.loads(str(arrays.pop("metrics"))).items()}
        examples = {name.removeprefix("example_"): arrays.pop(name) for name in list(arrays) if name[:8] == "example_"}
        where = None
        if "where" in arrays:
            figures = {name: PixelFigures(**each) for name, each in json.loads(str(arrays.pop("where"))).items()}
            shown = {name.removeprefix("where_"): arrays.pop(name) for name in list(arrays) if name[:6] == "where_"}
            where = Where(figures, MapExamples(**shown))
        checks = Checks(**json.loads(str(arrays.pop("checks")))) if "checks" in arrays else None
        arrays["weighs_classes"] = bool(arrays.get("weighs_classes", False))
        shown_examples = Examples(**examples) if examples else None
        result = cls(metrics=metrics, examples=shown_examples, checks=checks, where=where, **arrays)
        result.add_metrics()
        return result

    def add_metrics(self) -> None:
        """Compute the metrics that were not there yet when the cell was trained."""
        for position, budget in enumerate(sorted(self.metrics)):
            values = self.metrics[budget]
            own = values.get("threshold_training", values["threshold"])
            held_out = None if self.normal_scores is None else self.normal_scores[position]
            values |= computed_metrics(
                MetricInput(self.anomaly, self.scores[position], own, self.weights, held_out), values
            )


@dataclass(frozen=True)
class DoneCell:
    """A finished cell: which it was, and what came out."""

    cell: Cell
    result: CellResult

    @property
    def normal_class(self) -> str:
        """The class that is normal."""
        return self.cell.normal_class

    @property
    def anomalous_class(self) -> str | None:
        """The only class that counts as anomaly; None for all others."""
        return self.cell.anomalous_class

    @property
    def seed(self) -> int:
        """Seed of split and training."""
        return self.cell.seed

    @property
    def extractor_key(self) -> str | None:
        """Which trained extractor made the features; None on pixels."""
        return self.cell.extractor_key
