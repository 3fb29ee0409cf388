"""A cell is one training: what it is (`Cell`), what it does (`run_cell`) and what comes out (`CellResult`).

`run_cell` is a pure function of its cell: the same cell gives the same bits on any worker with the same kind of device.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyod.models.base import BaseDetector

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.data.splits import Part, Split, choosing_parts, one_vs_rest
from fanogan_mtl.detectors.registry import PYOD, make_detector, takes
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.evaluation.metrics import auroc, detection_metrics
from fanogan_mtl.evaluation.weights import Weights, class_weights
from fanogan_mtl.hybrid import Hybrid, save_scorer
from fanogan_mtl.sweep.checking import UNMOVED, check_cell
from fanogan_mtl.sweep.pretraining import learned_from, read_features
from fanogan_mtl.sweep.result import CellResult, Examples
from fanogan_mtl.sweep.where import where_finder

RESULT_VERSION = 3  # raised when the same cell would give other numbers, so that old results are not taken for new ones
NEWER_VERSIONS = {"knn": 4}  # of detectors that alone have given other numbers since
PROTOCOLS = ("paper", "label-free", "unseen-class", "unseen-domain", "normal-only")  # what an extractor may have seen
LABEL_FREE = ("label-free", "normal-only")  # only for extractors that take no labels
ALL_SEEN = ("paper", "label-free")  # the training images of every class and domain, with their labels or without
EXAMPLES = 8  # test images kept with their reconstructions


def result_version(detector: str) -> int:
    """The version of a detector's numbers."""
    return NEWER_VERSIONS.get(detector, RESULT_VERSION)


@dataclass(frozen=True)
class Comparison:
    """What a table compares: one detector in one setting on one data set, or on an extractor's features of it.

    Parameters
    ----------
    dataset : DatasetSpec
        Where the data is; only its content (`data_digest`) counts for the keys.
    data_digest : str
    detector : str
        A name of the registry, or `pyod:ClassName`.
    parameters : str
        JSON object of every parameter that the result depends on, defaults included, keys sorted.
    budgets : tuple of int
        Epoch budgets, ascending.
    limit : int or None
        At most so many training and so many test images per class.
    extractor : str or None
        What makes the features; None where the detector sees pixels.
    learned : str or None
        Digest of how and from what the extractor learned, the seed aside.
    protocol : {"paper", "label-free", "unseen-class", "unseen-domain", "normal-only", "logged"} or None
        What the extractor had seen; `logged` for an extractor out of MLflow, whose own description says it.
    common_scale : bool
        Whether all features are divided by one deviation, as principal components are; see `Hybrid`.
    result_version : int
        `result_version` of the detector in the version of this project that recorded it.
    """

    dataset: DatasetSpec
    data_digest: str
    detector: str
    parameters: str
    budgets: tuple[int, ...]
    limit: int | None = None
    extractor: str | None = None
    learned: str | None = None
    protocol: str | None = None
    common_scale: bool = False
    result_version: int = RESULT_VERSION

    @property
    def label(self) -> str:
        """Name of what is compared, for people: `vae`, `resnet18+knn`, `resnet18+knn (unseen-class)`."""
        if self.extractor is None:
            return self.detector
        return f"{self.extractor}+{self.detector}" + ("" if self.protocol in ALL_SEEN else f" ({self.protocol})")

    @property
    def unit(self) -> str:
        """What its test rows are called: `images`, or `rows` of a table."""
        return "rows" if self.dataset.holds_vectors else "images"

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters as the detector takes them, where lists are tuples."""
        values = json.loads(self.parameters)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    @cached_property
    def key(self) -> str:
        """Digest of all that the results depend on."""
        fields = {name: value for name, value in asdict(self).items() if name != "dataset"}
        if self.protocol == "label-free":
            fields["protocol"] = "paper"  # its name before there were two: what was recorded then is found
        return digest_of(fields)


@dataclass(frozen=True)
class Cell:
    """One training of a comparison: the class that is normal, and the seed of split and training.

    Parameters
    ----------
    extractor_key : str or None
        Which trained extractor makes the features.
    anomalous_class : str or None
        The only class that counts as anomaly; all others by default.
    untrained : bool
        Whether the checks score the untrained network as well, which one cell per comparison does. Not in the key.
    """

    comparison: Comparison
    normal_class: str
    seed: int
    extractor_key: str | None = None
    anomalous_class: str | None = None
    untrained: bool = False

    @cached_property
    def key(self) -> str:
        """Digest of all that the result depends on, and nothing else."""
        fields = {name: value for name, value in asdict(self).items() if name != "untrained"}
        return digest_of({**fields, "comparison": self.comparison.key})

    def __str__(self) -> str:
        normal = f"{self.comparison.dataset.name}/{self.normal_class}"
        against = f" against {self.anomalous_class}" if self.anomalous_class is not None else ""
        extractor = f"{self.comparison.extractor}+" if self.comparison.extractor else ""
        return f"{normal}{against} {extractor}{self.comparison.detector} seed {self.seed}"


def run_cell(cell: Cell, data_dir: Path, device: str = "auto", keep: Path | None = None) -> CellResult:
    """Train and evaluate a cell on one thread.

    Parameters
    ----------
    cell : Cell
    data_dir : Path
        Where prepared data is, or will be.
    device : {"auto", "cpu", "cuda"}
    keep : Path, optional
        Folder under which the trained detector is saved (see `kept_detector`) at the budget with the best validation
        AUROC. Only detectors that train by epochs are kept: the others are quicker to train again than to store.

    Raises
    ------
    RuntimeError
        If the data set is no longer the one that the cell was planned for.

    Examples
    --------
    >>> (spec,) = parse_datasets("optdigits")
    >>> digest = load_dataset(spec, default_data_dir()).digest
    >>> comparison = Comparison(spec, digest, "knn", '{"n_neighbors": 5}', budgets=(1,), limit=20)
    >>> result = run_cell(Cell(comparison, normal_class="3", seed=0), default_data_dir(), device="cpu")
    >>> result.metrics[1]["auroc"] > 0.9
    True
    """
    with one_thread():
        split, rows_of = split_of(cell, data_dir)
        detector = build_detector(cell, device)
        validation_rows, test_rows = rows_of(split.validation), rows_of(split.test)
        dataset, by_epochs = load_dataset(cell.comparison.dataset, data_dir), hasattr(detector, "fit_staged")
        find = where_finder(dataset, split.test, test_rows, cell.extractor_key, data_dir)
        metrics: dict[int, dict[str, float]] = {}
        scores: dict[int, NDArray[np.float64]] = {}
        normal_scores: dict[int, NDArray[np.float64]] = {}
        best = -np.inf
        for budget, fit_seconds in _stages(detector, rows_of(split.train), cell.comparison.budgets):
            values, scores[budget], validation_scores = _evaluate(detector, split, validation_rows, test_rows)
            normal_scores[budget] = validation_scores[~split.validation.anomaly]
            where = find(detector)
            values |= where.metrics if where else {}
            metrics[budget] = {**values, "fit_seconds": fit_seconds}
            if keep and by_epochs and values["validation_auroc"] > best:
                best = values["validation_auroc"]
                drop_kept_detectors(keep, cell)
                save_scorer(detector, kept_detector(keep, cell, budget))
        for budget in cell.comparison.budgets:  # without epochs, one result stands for every budget
            metrics.setdefault(budget, values)
            metrics[budget].setdefault("fit_seconds", fit_seconds)
            scores.setdefault(budget, scores[max(scores)])
            normal_scores.setdefault(budget, normal_scores[max(normal_scores)])
        last = scores[cell.comparison.budgets[-1]]
        unmoved = build_detector(cell, device, UNMOVED) if cell.untrained and by_epochs else None
        weights, third_party = weights_of(split.validation), cell.comparison.detector.startswith(PYOD)
        checks = check_cell(split, rows_of, detector, validation_scores, last, weights, unmoved, third_party)
        return CellResult(
            metrics=metrics,
            scores=np.stack([scores[budget] for budget in cell.comparison.budgets]),
            normal_scores=np.stack([normal_scores[budget] for budget in cell.comparison.budgets]),
            anomaly=split.test.anomaly,
            labels=split.test.labels,
            rows=split.test.rows,
            examples=_examples(detector, split.test),
            checks=checks,
            weighs_classes=_is_images(split.test),
            where=where,
        )


def kept_detector(keep: Path, cell: Cell, budget: int) -> Path:
    """Where `run_cell` saves a cell's detector."""
    return keep / f"{cell.key}-{budget}"


def drop_kept_detectors(keep: Path, cell: Cell) -> None:
    """Remove what `run_cell` saved of a cell."""
    for folder in keep.glob(f"{cell.key}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def train_detector(cell: Cell, budget: int, data_dir: Path, device: str = "auto") -> BaseDetector:
    """Train a cell's detector again, to one budget: the same bits as in `run_cell` on the same kind of device."""
    with one_thread():
        split, rows_of = split_of(cell, data_dir)
        detector = build_detector(cell, device)
        for _ in _stages(detector, rows_of(split.train), (budget,)):
            pass
        return detector


def build_detector(
    cell: Cell, device: str = "auto", otherwise: Mapping[str, Any] = MappingProxyType({})
) -> BaseDetector:
    """Make the cell's untrained detector; `otherwise` replaces values of those parameters that it takes."""
    name = cell.comparison.detector
    own = {"random_state": cell.seed, "device": device, **otherwise}
    own = {parameter: value for parameter, value in own.items() if takes(name, parameter)}
    detector = make_detector(name, **{**cell.comparison.chosen, **own})
    if cell.extractor_key is None and cell.comparison.unit == "images":  # pixels don't differ in scale
        return detector
    return Hybrid(detector, common_scale=cell.comparison.common_scale)


def split_of(cell: Cell, data_dir: Path) -> tuple[Split, Callable[[Part], NDArray[np.float32]]]:
    """Give the cell's split, and a function that gives the rows (n, d) of a part."""
    dataset, rows_of = _data_of(cell, data_dir)
    split = one_vs_rest(dataset, cell.normal_class, cell.seed, cell.comparison.limit, cell.anomalous_class)
    if cell.extractor_key is not None:
        tested = np.concatenate([dataset.train.hashes, dataset.test.hashes])[split.test.rows]
        if np.isin(tested, learned_from(data_dir, cell.extractor_key)).any():
            raise RuntimeError(f"extractor {cell.extractor_key} has learned from images that {cell} is tested on")
    return split, rows_of


def validation_stages(cell: Cell, data_dir: Path, device: str = "auto") -> Generator[tuple[int, float], None, None]:
    """Train a cell; yield each budget with the validation AUROC there, the same bits as in `run_cell`.

    Choices are made by it, so the test part isn't even cut out: see `choosing_parts`.
    """
    dataset, rows_of = _data_of(cell, data_dir)
    train, validation = choosing_parts(
        dataset, cell.normal_class, cell.seed, cell.comparison.limit, cell.anomalous_class
    )
    detector = build_detector(cell, device)
    validation_rows = rows_of(validation)
    for budget, _ in _stages(detector, rows_of(train), cell.comparison.budgets):
        yield budget, auroc(validation.anomaly, detector.decision_function(validation_rows), weights_of(validation))


def _data_of(cell: Cell, data_dir: Path) -> tuple[Dataset, Callable[[Part], NDArray[np.float32]]]:
    """The cell's data set, and what gives the rows (n, d) of a part."""
    spec, key = cell.comparison.dataset, cell.extractor_key
    dataset = load_dataset(spec, data_dir)
    if dataset.digest != cell.comparison.data_digest:
        raise RuntimeError(f"data set {dataset.name!r} changed while the sweep ran: start the same command again")
    if key is None:
        return dataset, lambda part: pixel_rows(part.pixels)
    return dataset, lambda part: read_features(key, spec, dataset, part.rows, cell.comparison.limit, data_dir)


def _stages(detector: BaseDetector, rows: NDArray[np.float32], budgets: tuple[int, ...]) -> Iterator[tuple[int, float]]:
    """Train; yield each budget with the training seconds up to it (without what the caller does in between)."""
    if not hasattr(detector, "fit_staged"):
        start = time.perf_counter()
        detector.fit(rows)
        yield budgets[-1], time.perf_counter() - start
        return
    seconds, start = 0.0, time.perf_counter()
    for budget in detector.fit_staged(rows, budgets):
        seconds += time.perf_counter() - start
        yield budget, seconds
        start = time.perf_counter()


def _evaluate(
    detector: BaseDetector, split: Split, validation_rows: NDArray[np.float32], test_rows: NDArray[np.float32]
) -> tuple[dict[str, float], NDArray[np.float64], NDArray[np.float64]]:
    """Metrics of the detector as it is now, and its scores of the test and of the validation part."""
    others: dict[str, NDArray[np.float64]] = {}
    start = time.perf_counter()
    if hasattr(detector, "decision_terms"):
        others = detector.decision_terms(test_rows)
        scores = others.pop(detector.score)
    else:
        scores = detector.decision_function(test_rows)
    score_seconds = time.perf_counter() - start
    weights = weights_of(split.test)
    validation_scores = detector.decision_function(validation_rows)
    held_out = validation_scores[~split.validation.anomaly]
    metrics = detection_metrics(split.test.anomaly, scores, float(detector.threshold_), weights, held_out)
    metrics["validation_auroc"] = auroc(split.validation.anomaly, validation_scores, weights_of(split.validation))
    metrics |= {f"auroc_{name}": auroc(split.test.anomaly, other, weights) for name, other in others.items()}
    return {**metrics, "score_seconds": score_seconds}, scores, validation_scores


def weights_of(part: Part) -> Weights | None:
    """Weights of a part's rows: of images, every class counts the same; of vectors, every row does, as in ADBench."""
    return class_weights(part.labels) if _is_images(part) else None


def _is_images(part: Part) -> bool:
    return part.pixels.ndim > 2


def _examples(detector: BaseDetector, test: Part) -> Examples | None:
    if not hasattr(detector, "reconstruct") or not _is_images(test):
        return None
    first = [np.flatnonzero(test.anomaly == anomaly)[: EXAMPLES // 2] for anomaly in (False, True)]
    chosen = np.concatenate(first)
    rows = pixel_rows(test.pixels[chosen])
    shape = test.pixels[chosen].shape
    reconstructions = detector.reconstruct(rows).astype(np.float32)
    return Examples(rows.reshape(shape), reconstructions.reshape(shape), test.anomaly[chosen])
