"""Bootstrap percentile intervals (Efron 1979): how far the mean AUROC would move with other test images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from joblib import cpu_count
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.evaluation.checks import checked

FEW_ANOMALIES = 30  # of so many or more, a resample that misses all has a probability below exp(-30)
_CELLS = 1_000_000  # images times resamples of one chunk, 8 MB at most
_EXACT = 5_000  # images: sums of products of so many weights are below 2**24, which single precision holds exactly

ResampleWeights = NDArray[np.float32] | NDArray[np.float64]
"""Weights (images, m), one column per resample."""


@dataclass(frozen=True)
class _Test:
    """One test: positions of its images among all images, normal rows by score, and where each anomaly falls there."""

    normal: NDArray[np.int64]
    anomalous: NDArray[np.int64]
    below: NDArray[np.int64]  # normal rows with a lower score than the anomaly
    not_above: NDArray[np.int64]  # those, and the normal rows of its own score
    kinds: dict[int, NDArray[np.int64]]  # class to its anomalies' places, where classes count the same; else empty

    @classmethod
    def of(
        cls,
        anomaly: NDArray[np.bool_],
        scores: NDArray[np.float64],
        images: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
    ) -> _Test:
        order = np.flatnonzero(~anomaly)[np.argsort(scores[~anomaly], kind="stable")]
        below, not_above = (np.searchsorted(scores[order], scores[anomaly], side) for side in ("left", "right"))
        own = labels[anomaly] if labels is not None else np.zeros(0, np.int64)
        kinds = {label: np.flatnonzero(own == label) for label in sorted(set(own.tolist()))}
        return cls(images[order], images[anomaly], below, not_above, kinds)

    def aurocs(self, weights: ResampleWeights) -> NDArray[np.float64]:
        """AUROC under each column of the weights (images, m); of classes that count the same, their mean."""
        ranks = np.zeros((len(self.normal) + 1, weights.shape[1]), weights.dtype)
        np.cumsum(weights[self.normal], axis=0, out=ranks[1:])
        areas: list[NDArray[np.float64]] = []
        for kind in self.kinds.values() or (slice(None),):
            anomalous, below, not_above = weights[self.anomalous[kind]], self.below[kind], self.not_above[kind]
            won = np.einsum("am,am->m", anomalous, ranks[below])
            won += won if np.array_equal(below, not_above) else np.einsum("am,am->m", anomalous, ranks[not_above])
            areas.append(won.astype(np.float64) / (2 * ranks[-1] * anomalous.sum(axis=0)))
        mean: NDArray[np.float64] = np.mean(areas, axis=0)
        return mean


def auroc_interval(
    tests: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    labels: Sequence[ArrayLike | None] | None = None,
) -> tuple[float, float]:
    """Interval of the mean AUROC over tests if other test images were drawn; the training stays as it is.

    A resample gives each image a weight, how often it is drawn with replacement, and the weight is the same in all
    tests that have the image. Images are drawn within strata: those that are normal in the same tests, which in tests
    of one class against the rest is a class. So each test keeps its number of normal rows, which the split fixed. Its
    anomalies vary in number, as tests draw different ones of the same classes, and strata by every test's draw would be
    of single images. In a test with fewer than `FEW_ANOMALIES` they are strata of their own, so that none is left
    without. Where classes of anomalies count the same, both hold for each of them.

    Parameters
    ----------
    tests : sequence of (anomaly (n,) bool, scores (n,) real, rows (n,) int)
        `rows` says which image of the data set each row is; n can differ.
    resamples : int
        At least 1.
    level : float
        Share of the resamples in the interval, in (0, 1); equal shares lie on both sides.
    seed : int
        The same arguments give the same interval; no global random state is touched.
    labels : sequence of ((n,) int or None), optional
        For each test the class of each row, where its AUROC is to be the mean over anomalous classes, as under
        `class_weights`; None where each anomaly counts the same.

    Returns
    -------
    tuple of float
        Lower and upper limit in [0, 1].

    Raises
    ------
    ValueError
        For no test, rows or labels of another shape or no integers, an image twice in a test, and as in
        `detection_metrics`.
    """
    if not len(tests):
        raise ValueError("needs at least one test")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"needs 1 resample or more and a level in (0, 1), got {resamples} and {level}")
    numbers, scored = [], []
    for anomaly, scores, rows in tests:
        scored.append(checked(anomaly, scores))
        numbers.append(_checked_rows(rows, len(scored[-1][0])))
    images = np.unique(np.concatenate(numbers))
    positions = [np.searchsorted(images, rows) for rows in numbers]
    classes = [
        None if of_rows is None else _integers("labels", of_rows, len(rows))
        for of_rows, rows in zip(labels or [None] * len(tests), numbers, strict=True)
    ]
    prepared = [_Test.of(*test, *of) for test, of in zip(scored, zip(positions, classes, strict=True), strict=True)]
    means = _resampled_means(prepared, len(images), resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _resampled_means(
    tests: Sequence[_Test], n_images: int, resamples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Mean AUROC over the tests under each resample, (resamples,)."""
    share = -(-len(tests) // cpu_count())  # of a core: a task for each test gains nothing
    shares = [tests[start : start + share] for start in range(0, len(tests), share)]
    with ThreadPoolExecutor(len(shares)) as threads:
        return np.concatenate([
            np.mean(list(chain.from_iterable(threads.map(partial(_aurocs, weights), shares))), axis=0)
            for weights in _weights(_strata(tests, n_images), n_images, resamples, random)
        ])  # fmt: skip


def _aurocs(weights: ResampleWeights, tests: Sequence[_Test]) -> list[NDArray[np.float64]]:
    return [test.aurocs(weights) for test in tests]


def _checked_rows(rows: ArrayLike, length: int) -> NDArray[np.int64]:
    rows = _integers("rows", rows, length)
    if not np.diff(np.sort(rows)).all():
        raise ValueError("an image is in one test twice")
    return rows


def _integers(name: str, values: ArrayLike, length: int) -> NDArray[np.int64]:
    values = np.asarray(values)
    if values.shape != (length,) or values.dtype.kind not in "iu":
        raise ValueError(f"{name} must be {length} integers, got shape {values.shape} of {values.dtype}")
    return values.astype(np.int64)


def _strata(tests: Sequence[_Test], n_images: int) -> list[NDArray[np.int64]]:
    patterns = np.zeros((n_images, len(tests) + 1), np.int32)
    for column, test in enumerate(tests):
        patterns[test.normal, column] = 1
        for kind in test.kinds.values() or (slice(None),):
            if len(test.anomalous[kind]) < FEW_ANOMALIES:
                patterns[test.anomalous[kind], column] = 2
        for label, kind in test.kinds.items():
            patterns[test.anomalous[kind], -1] = 1 + label
    _, stratum = np.unique(patterns, axis=0, return_inverse=True)
    return np.split(np.argsort(stratum, kind="stable"), np.cumsum(np.bincount(stratum))[:-1])


def _weights(
    strata: Sequence[NDArray[np.int64]], n_images: int, resamples: int, random: np.random.Generator
) -> Iterator[ResampleWeights]:
    """Yield multinomial weights (images, m), one column per resample, for as many chunks as that takes."""
    chunk = max(1, _CELLS // n_images)
    for start in range(0, resamples, chunk):
        m = min(chunk, resamples - start)
        weights = np.empty((n_images, m), np.float32 if n_images <= _EXACT else np.float64)
        for images in strata:
            drawn = random.integers(len(images), size=(len(images), m)) * m + np.arange(m)
            weights[images] = np.bincount(drawn.ravel(), minlength=len(images) * m).reshape(-1, m)
        yield weights
