"""Checks that run with every cell, and mark results that mean nothing.

A cell's checks are numbers (`Checks`), measured where its arrays are; `marks` reads those of a whole comparison and
says, in a word and a sentence each, what should keep a person from taking its figures as they stand. What compares
labels uses the validation part, for models are chosen among the unmarked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.detectors.third_party.caveats import BY_MEASUREMENT
from fanogan_mtl.detectors.third_party.company import TOLERANCE
from fanogan_mtl.evaluation.metrics import auroc
from fanogan_mtl.evaluation.weights import Weights

FEWEST = 20
"""Of a kind (normal, or one anomalous class) in the test; an AUROC that rests on fewer is marked."""

CONSTANT = 1e-9  # spread of scores, relative to the largest, at which their order is rounding
DISTINCT = 0.1  # share of the different rows that must have scores of their own
COPIES = 0.01  # share of the tested rows
_MOVED = 1e-4  # change of a network's weights by training, relative to their norm
UNCHANGED = 0.005  # difference in AUROC that training has made for nothing
WORSE = 2.8  # standard errors below the untrained network: 1.96, of the difference of two
SURE = 2.5  # standard errors above chance at which a ranking is no accident
ALIKE = 0.02  # difference in AUROC within which two explain the same
COARSE = 0.1  # standard error of an AUROC under chance at which even one near 1 may be an accident
ALMOST_ALL = 0.95  # AUROC at which the size of an image, or its mean grey, leaves nothing to explain
IMAGE_SIZE, FILE_SIZE, MEAN_GREY = "image size", "file size", "mean grey"
_LEVEL = 0.025  # of being marked as worse than chance by accident, per comparison


@dataclass(frozen=True)
class Checks:
    """The measurements of one cell at its last budget; its fields are plain JSON values.

    Attributes
    ----------
    spread : float
        Range of the validation and test scores, relative to the largest of them.
    distinct : float
        Different scores per different row, of validation and test.
    copies : float
        Share of the tested rows that are, to the byte, rows of the training part.
    validation_auroc : float
    error : float
        Standard error of an AUROC of that many rows under chance.
    size_auroc : float or None
        AUROC on validation of the image's height, width, area or bytes alone, whichever ranks best, either way round;
        None where all images are of one size.
    untrained_auroc : float or None
        AUROC on validation of the same network before training; None for detectors without epochs, and for all cells
        of a comparison but one.
    moved : float or None
        How far training moved the weights, relative to their norm, of the part of the network that it moved least; None
        as above.
    company : float or None
        Largest relative change of a row's score when it is scored with other rows; None where it wasn't tried.
    confounds : mapping of str to float
        What images tell without being looked at; see `confounds`.
    """

    spread: float
    distinct: float
    copies: float
    validation_auroc: float
    error: float
    size_auroc: float | None = None
    untrained_auroc: float | None = None
    moved: float | None = None
    company: float | None = None
    confounds: Mapping[str, float] = field(default_factory=dict)


def spread(scores: ArrayLike) -> float:
    """Range of scores relative to the largest magnitude among them; 0 where all are equal."""
    values = np.asarray(scores, np.float64)
    largest = float(np.abs(values).max())
    return float(np.ptp(values / largest)) if largest else 0.0


def distinct(scores: ArrayLike, hashes: NDArray[np.uint64]) -> float:
    """Different scores per different row, in (0, 1]: rows that are copies can't have scores of their own.

    Parameters
    ----------
    scores : (n,)
    hashes : (n,), of the rows' content
    """
    return min(1.0, len(np.unique(np.asarray(scores))) / len(np.unique(hashes)))


def copies(tested: NDArray[np.uint64], trained: NDArray[np.uint64]) -> float:
    """Share of the tested rows that are among the training rows, each by the hash of its content."""
    return float(np.isin(tested, trained).mean())


def chance_error(anomaly: ArrayLike, weights: Weights | None = None) -> float:
    """Standard error of an AUROC of so many rows if scores mean nothing (Mann and Whitney 1947).

    Under weights, rows count as many as Kish's effective number: (sum of weights)² / sum of their squares.
    """
    is_anomaly = np.asarray(anomaly, bool)
    each = np.ones(len(is_anomaly)) if weights is None else weights
    n_normal, n_anomalous = (float(own.sum() ** 2 / (own**2).sum()) for own in (each[~is_anomaly], each[is_anomaly]))
    return math.sqrt((n_normal + n_anomalous + 1) / (12 * n_normal * n_anomalous))


def confounds(
    anomaly: ArrayLike, sizes: NDArray[np.integer], pixels: NDArray[Any], weights: Weights | None = None
) -> dict[str, float]:
    """AUROCs of what images tell without being looked at, either way round: values in [0.5, 1].

    Parameters
    ----------
    anomaly : (n,) bool, both values present
    sizes : (n, 3) integers: height and width in pixels, bytes of the file
    pixels : (n, height, width) or (n, height, width, 3), as prepared; without grey for vectors (n, d)
    weights : (n,), by which every class counts the same, optional

    Returns
    -------
    dict
        `image size` (of height, width and area whichever ranks best), `file size` (bytes), and `mean grey`; without
        those in which all images are equal. Of sizes their distance from the median of the normal images counts as
        well: anomalies may be smaller and larger.
    """
    is_normal = ~np.asarray(anomaly, bool)
    height, width, size = np.asarray(sizes).T
    greys = [pixels.mean(axis=tuple(range(1, pixels.ndim)))] if pixels.ndim > 2 else []
    image_sizes = [height, width, height * width]
    columns = {
        IMAGE_SIZE: [*image_sizes, *(np.abs(each - np.median(each[is_normal])) for each in image_sizes)],
        FILE_SIZE: [size, np.abs(size - np.median(size[is_normal]))],
        MEAN_GREY: greys,
    }
    areas = {name: [auroc(anomaly, each, weights) for each in own if np.ptp(each)] for name, own in columns.items()}
    return {name: max(max(area, 1 - area) for area in own) for name, own in areas.items() if own}


def marks(checks: Mapping[str, Checks]) -> dict[str, str]:
    """Say what is wrong with a comparison.

    Parameters
    ----------
    checks : mapping
        Name of a cell, as people call it, to its checks; may be empty.

    Returns
    -------
    dict
        A mark of a few words to the sentence that explains it; empty where nothing is to be said.
    """
    found = {
        "constant scores": _each(
            checks,
            lambda each: each.spread < CONSTANT,
            "all rows score the same but for rounding in {cells}: the AUROC ranks noise",
        ),
        "few distinct scores": _each(
            checks,
            lambda each: each.spread >= CONSTANT and each.distinct < DISTINCT,
            "fewer than a tenth of the rows have a score of their own in {cells}: most of the ranking is ties",
        ),
        "copies in test": _copies(checks),
        "worse than chance": _worse_than_chance(checks),
        "no better than untrained": _no_better_than_untrained(checks),
        "size explains it": _size(checks),
        "mean grey explains it": _grey(checks),
        BY_MEASUREMENT: _each(
            checks,
            lambda each: (each.company or 0) > TOLERANCE,
            "a row's score changes with the rows that it is scored with in {cells}: alone it would score otherwise",
        ),
    }
    return {mark: sentence for mark, sentence in found.items() if sentence}


def few_tested(counts: Mapping[str, int]) -> dict[str, str]:
    """Mark figures that rest on fewer than `FEWEST` images, or rows, of a kind; given are the fewest of each class."""
    if not counts or min(counts.values()) >= FEWEST:
        return {}
    name = min(counts, key=lambda each: counts[each])
    few = f"only {counts[name]} of class {name} {'were' if counts[name] != 1 else 'was'} tested, fewer than {FEWEST}"
    return {"few tested": f"{few}: the figures are coarse"}


def failed_cells(failures: Mapping[str, str], n_cells: int) -> dict[str, str]:
    """Mark means that are not over all cells: name of a failed cell to what went wrong, and how many were planned."""
    if not failures:
        return {}
    name, message = next(iter(failures.items()))
    return {
        "failed cells": f"{len(failures)} of {n_cells} cells failed, and no mean has them ({name}: {message[:200]})"
    }


def _each(checks: Mapping[str, Checks], is_wrong: Callable[[Checks], bool], sentence: str) -> str:
    """Fill in which cells are wrong; empty where none is."""
    wrong = [name for name, each in checks.items() if is_wrong(each)]
    return sentence.format(cells=_named(wrong, len(checks))) if wrong else ""


def _named(cells: list[str], number: int) -> str:
    if number == 1:
        return f"the cell {cells[0]}"
    return f"{len(cells)} of {number} cells ({cells[0]}{', ...' if len(cells) > 1 else ''})"


def _copies(checks: Mapping[str, Checks]) -> str:
    share = fmean(each.copies for each in checks.values()) if checks else 0.0
    if share <= COPIES:
        return ""
    return f"{share:.1%} of the tested rows are copies of training rows: who learns them by heart is rewarded"


def _error(checks: Mapping[str, Checks]) -> float:
    """Standard error under chance of the mean AUROC of all cells."""
    return math.sqrt(sum(each.error**2 for each in checks.values())) / len(checks)


def _worse_than_chance(checks: Mapping[str, Checks]) -> str:
    """The mean of all cells, or a single one, is below 0.5 by more than its interval."""
    if not checks:
        return ""
    mean = fmean(each.validation_auroc for each in checks.values())
    error = _error(checks)
    if mean < 0.5 - NormalDist().inv_cdf(1 - _LEVEL) * error:
        return f"the mean AUROC on validation data is {mean:.1%}, below chance by more than its interval: upside down?"
    away = NormalDist().inv_cdf(1 - _LEVEL / len(checks))
    return _each(
        checks,
        lambda each: each.validation_auroc < 0.5 - away * each.error,
        "the AUROC on validation data is below chance by more than its interval in {cells}",
    )


def _no_better_than_untrained(checks: Mapping[str, Checks]) -> str:
    for name, each in checks.items():
        if each.moved is not None and each.moved < _MOVED:
            return f"training left weights of the network where they were ({name})"
        before = each.untrained_auroc
        if before is None or not 0.5 + SURE * each.error < before < 1 - ALIKE:  # chance, or too easy to tell
            continue
        gain = each.validation_auroc - before
        if abs(gain) < UNCHANGED or gain < -WORSE * each.error:
            now = f"{each.validation_auroc:.1%}"
            return f"the AUROC on validation data is {now}, and was {before:.1%} before training ({name})"
    return ""


def _size(checks: Mapping[str, Checks]) -> str:
    sized = [each for each in checks.values() if each.size_auroc is not None]
    if not sized:
        return ""
    by_size = fmean(float(each.size_auroc or 0) for each in sized)
    own = fmean(each.validation_auroc for each in sized)
    sure = by_size > 0.5 + SURE * min(each.error for each in sized)
    if not sure or (by_size < own - ALIKE and by_size < ALMOST_ALL):
        return ""
    return (
        f"the size of the images alone has an AUROC of {by_size:.1%} on validation data, and the detector {own:.1%}: "
        "normal images and anomalies differ in height, width or file size"
    )


def _grey(checks: Mapping[str, Checks]) -> str:
    """Only where it tells almost all: that digits differ in ink is no flaw of a data set."""
    greys = [each.confounds[MEAN_GREY] for each in checks.values() if MEAN_GREY in each.confounds]
    if not greys:
        return ""
    by_grey, own = fmean(greys), fmean(each.validation_auroc for each in checks.values())
    if by_grey < max(ALMOST_ALL, own - ALIKE) or _error(checks) > COARSE:
        return ""
    return (
        f"the mean grey of the images alone has an AUROC of {by_grey:.1%} on validation data, and the detector "
        f"{own:.1%}: normal images and anomalies differ in brightness"
    )
