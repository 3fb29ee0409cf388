"""PatchCore: the distance of each patch to the nearest patch of a memory of the training images.

Roth, Pemula, Zepeda, Schölkopf, Brox and Gehler 2022, *Towards total recall in industrial anomaly detection*. The
memory is a greedy coreset of all training patches (k-centre: the patch that is farthest from all chosen so far is
chosen next; Gonzalez 1985), which keeps rare patches that a random draw misses. Each patch is first averaged with its
neighbours.

An image's score is the greatest distance of its patches, weighed as in the paper: by 1 - exp(d) / sum of exp(d_b), with
d the distance of that patch from the nearest one m of the memory, and d_b from each of m's own nearest ones, m among
them.

Otherwise than there: no random projection is made before patches are chosen, which saves nothing at some hundred
channels, and training images are scored without their own patches, as in PyOD's KNN.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.special import logsumexp
from sklearn.utils._param_validation import Interval

from fanogan_mtl.detectors.checks import POSITIVE, refuse_even
from fanogan_mtl.detectors.patches.base import Maps, PatchDetector

LEAST_MEMORY = 1_000
"""Patches of the memory where the share asked for has fewer, or all."""
MOST_CANDIDATES = 200_000
"""Patches that the coreset is chosen from; of more, a random draw. A choice of each reads all of them."""

CHUNK_PATCHES = 1_024  # of an image, held against the memory at once


class PatchCore(PatchDetector):
    """Distance of the most abnormal patch to the nearest training patch kept; in units of a standardised feature.
    Roth et al. 2022.

    Parameters
    ----------
    coreset : float in (0, 1]
        Share of the training patches that are kept; at least 1,000 patches, or all where there are fewer. Of more than
        200,000 patches, as a thousand images have, it is the share of so many that are drawn.
    neighbourhood : int, odd
        A patch is the mean of so many positions a side.
    n_neighbors : int
        Patches of the memory by which an image's score is weighed; 1 leaves it as it is.
    grid : int
        Positions a side of each map; 1 takes a row for a single patch.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.

    Attributes
    ----------
    memory_ : float32 array of shape (k, channels)
    """

    learned = ("memory_", "_squares", "_turned")
    _constraints: ClassVar[dict[str, list[Any]]] = {
        **PatchDetector._constraints,
        "coreset": [Interval(Real, 0, 1, closed="right")],
        "neighbourhood": [POSITIVE],
        "n_neighbors": [POSITIVE],
    }
    _batch_rows = 1  # so that products of matrices always have the same number of rows

    def __init__(
        self,
        coreset: float = 0.1,
        neighbourhood: int = 3,
        n_neighbors: int = 9,
        grid: int = 1,
        contamination: float = 0.1,
    ) -> None:
        super().__init__(grid=grid, contamination=contamination)
        self.coreset = coreset
        self.neighbourhood = neighbourhood
        self.n_neighbors = n_neighbors

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        super().check_parameters()
        refuse_even("neighbourhood", self.neighbourhood)

    def _fit_rows(self, X: NDArray[Any]) -> None:
        patches = np.empty((len(X) * self.grid**2, X.shape[1] // self.grid**2), np.float32)
        per_image = np.split(patches, len(X))  # views
        for own, row in zip(per_image, X, strict=True):
            own[:] = self._averaged(row[None])
        candidates = np.arange(len(patches))
        if len(patches) > MOST_CANDIDATES:
            candidates = np.sort(np.random.default_rng(0).choice(len(patches), MOST_CANDIDATES, replace=False))
        number = min(max(round(self.coreset * len(candidates)), LEAST_MEMORY), len(candidates))
        chosen = candidates[greedy_coreset(patches[candidates], number)]
        self.memory_ = patches[chosen]
        self._squares, self._turned = np.square(self.memory_).sum(axis=1), np.ascontiguousarray(-2 * self.memory_.T)
        self._set_n_classes(None)
        images = chosen // self.grid**2  # that the memory's patches are of
        self.decision_scores_ = np.array(
            [self._score_patches(own, images == image) for image, own in enumerate(per_image)]
        )
        self._process_decision_scores()

    def _score_positions(self, X: NDArray[Any]) -> NDArray[np.float64]:
        distances, _ = self._nearest(self._averaged(X))
        return distances[None]

    def _score_rows(self, X: NDArray[Any]) -> NDArray[np.float64]:
        return np.array([self._score_patches(self._averaged(X))])

    def _averaged(self, X: NDArray[Any]) -> Maps:
        """Patches (positions, channels) of one row, each the mean of its neighbourhood; the map's edge is continued."""
        maps = self._patches(X).reshape(self.grid, self.grid, -1)
        size = (self.neighbourhood, self.neighbourhood, 1)
        return np.ascontiguousarray(uniform_filter(maps, size, mode="nearest")).reshape(self.grid**2, -1)

    def _away(self, patches: Maps, left_out: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Squared distances (n, k) of patches from the memory's, less what all of a patch have in common."""
        away: NDArray[np.float32] = patches @ self._turned
        away += self._squares
        if left_out is not None:
            away[:, left_out] = np.inf
        return away

    def _nearest(
        self, patches: Maps, left_out: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distance of each patch to the nearest of the memory's, and which that is."""
        chunks = (patches[start : start + CHUNK_PATCHES] for start in range(0, len(patches), CHUNK_PATCHES))
        nearest = np.concatenate([self._away(chunk, left_out).argmin(axis=1) for chunk in chunks])
        return _distances(patches, self.memory_[nearest]), nearest

    def _score_patches(self, patches: Maps, left_out: NDArray[np.bool_] | None = None) -> float:
        """An image's score, by the memory without some of its patches, unless nothing else is in it."""
        if left_out is not None and left_out.all():
            left_out = None
        distances, nearest = self._nearest(patches, left_out)
        worst = int(distances.argmax())
        kept = len(self.memory_) if left_out is None else int((~left_out).sum())
        number = min(self.n_neighbors, kept)
        if number == 1:
            return float(distances[worst])
        away = self._away(self.memory_[nearest[worst]][None], left_out)[0]
        beside = np.argpartition(away, number - 1)[:number]
        others = _distances(patches[worst], self.memory_[beside])
        return float(distances[worst] * (1 - np.exp(distances[worst] - logsumexp(others))))


def greedy_coreset(patches: Maps, number: int) -> NDArray[np.int64]:
    """Choose patches (n, channels) so that the farthest of the others is near: each next one is the farthest so far.

    The first is the farthest from the mean.

    Parameters
    ----------
    number : int, at most n

    Returns
    -------
    int64 array of shape (number,)
        Positions in the order in which they were chosen.
    """
    squares = np.square(patches).sum(axis=1)
    away = np.full(len(patches), np.inf, np.float32)  # squared distances from the nearest chosen one
    chosen = np.empty(number, np.int64)
    first = int(np.square(patches - patches.mean(axis=0)).sum(axis=1).argmax())
    for at in range(number):
        chosen[at] = newest = int(away.argmax()) if at else first
        np.minimum(away, squares - 2 * (patches @ patches[newest]) + squares[newest], out=away)
        away[newest] = -np.inf  # so that a copy is taken before it is taken twice
    return chosen


def _distances(patches: Maps, others: Maps) -> NDArray[np.float64]:
    """Euclidean distances of patches from others, in pairs."""
    distances: NDArray[np.float64] = np.sqrt(np.square(patches.astype(np.float64) - others).sum(axis=-1))
    return distances
