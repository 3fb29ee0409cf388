"""PaDiM: each position has a Gaussian of its own.

Defard, Setkov, Loesch and Audigier 2021, *PaDiM: a patch distribution modeling framework for anomaly detection and
localization*: the mean and the covariance of the training images' patches at a position, to whose diagonal 0.01 is
added, and the Mahalanobis distance from them. An image's score is its greatest distance.

Otherwise than there:

- `context` sets beside a patch's own channels their mean around it, for anomalies that are wider than a patch.
- 0.01 is a share of the mean variance, so that the result does not depend on the scale of the features.
- A training image has the score that it would have, had the Gaussians been fitted without it. With hardly more images
  than channels its own patches are near the mean by construction: on 200 images of magnetic tiles the median score of
  new faultless ones was 21 where it was 12 in training, and every one of them lay above the threshold.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from sklearn.utils._param_validation import Interval

from fanogan_mtl.detectors.checked import in_batches
from fanogan_mtl.detectors.checks import POSITIVE, refuse_even
from fanogan_mtl.detectors.patches.base import PatchDetector

CHUNK_ROWS = 256  # of the training rows, at once: all in float64 would be twice the rows


class PaDiM(PatchDetector):
    """Mahalanobis distance of each position's patch to the training images' patches there; without unit.
    Defard et al. 2021.

    Parameters
    ----------
    n_channels : int, optional
        So many channels are drawn at random and the others left out, for "a draw does as well as principal components"
        (the paper); None, and more than there are, take all.
    context : int, odd
        Beside its own channels a patch has their means over so many positions a side, by which a wide shadow is told
        from the shade of a single patch; 1 leaves them out, as the paper does. Channels are drawn from both.
    regularisation : float above 0
        Share of the mean variance that is added to every covariance's diagonal.
    grid : int
        Positions a side of each map; 1 takes a row for a single patch.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    random_state : int
        Draws the channels.

    Attributes
    ----------
    channels_ : int64 array of shape (k,)
        Those that were drawn, ascending; with a context the means' numbers follow the patches' own.
    means_ : float32 array of shape (positions, k)
    whitenings_ : float32 array of shape (positions, k, k)
        What a patch, its mean taken off, is multiplied with so that its length is the distance: the inverse of the
        covariance's Cholesky factor.
    """

    learned = ("channels_", "means_", "whitenings_")
    _constraints: ClassVar[dict[str, list[Any]]] = {
        **PatchDetector._constraints,
        "n_channels": [POSITIVE, None],
        "context": [POSITIVE],
        "regularisation": [Interval(Real, 0, None, closed="neither")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }
    _batch_rows = 16  # at once: what takes long is reading the whitenings, for one image as for sixteen

    def __init__(
        self,
        n_channels: int | None = 100,
        context: int = 1,
        regularisation: float = 0.01,
        grid: int = 1,
        contamination: float = 0.1,
        random_state: int = 0,
    ) -> None:
        super().__init__(grid=grid, contamination=contamination)
        self.n_channels = n_channels
        self.context = context
        self.regularisation = regularisation
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        super().check_parameters()
        refuse_even("context", self.context)

    def _fit_rows(self, X: NDArray[Any]) -> None:
        n_rows, positions = len(X), self.grid**2
        n_channels = X.shape[1] // positions * (1 if self.context == 1 else 2)
        number = min(self.n_channels or n_channels, n_channels)
        random = np.random.default_rng(self.random_state)
        self.channels_ = np.sort(random.permutation(n_channels)[:number])
        chunks = [X[start : start + CHUNK_ROWS] for start in range(0, n_rows, CHUNK_ROWS)]
        means = sum(self._described(chunk).sum(axis=2, dtype=np.float64) for chunk in chunks) / n_rows
        self.means_ = means.astype(np.float32)
        covariances = np.zeros((positions, number, number))
        for chunk in chunks:
            away = self._described(chunk) - means[:, :, None]
            covariances += away @ away.transpose(0, 2, 1) / (n_rows - 1)
        diagonals = np.einsum("pcc->pc", covariances)  # a view
        variance = diagonals.mean()
        if not variance > 0:
            raise ValueError(f"PaDiM needs training rows that differ: all {n_rows} are equal")
        diagonals += self.regularisation * variance
        self.whitenings_ = np.linalg.inv(np.linalg.cholesky(covariances)).astype(np.float32)
        self._set_n_classes(None)
        distances = in_batches(self._score_positions, X, self._batch_rows)
        self.decision_scores_ = leave_one_out(distances, n_rows).max(axis=1)
        self._process_decision_scores()

    def _score_positions(self, X: NDArray[Any]) -> NDArray[np.float64]:
        away = self._described(X) - self.means_[:, :, None]
        whitened = self.whitenings_ @ away  # (positions, k, n)
        squared = np.einsum("pkn,pkn->np", whitened, whitened)
        distances: NDArray[np.float64] = np.sqrt(squared.astype(np.float64))
        return distances

    def _described(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """The channels that were drawn (positions, k, n) of rows, and of their means around each position."""
        maps = X.reshape(len(X), -1, self.grid, self.grid)
        n_channels = maps.shape[1]
        around = self.channels_[self.channels_ >= n_channels] - n_channels
        values = maps[:, self.channels_[self.channels_ < n_channels]]
        if len(around):
            means = uniform_filter(maps[:, around], (1, 1, self.context, self.context), mode="nearest")
            values = np.concatenate([values, means], axis=1)
        return np.ascontiguousarray(values.reshape(len(X), len(self.channels_), -1).transpose(2, 1, 0))


def leave_one_out(distances: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    """What training rows' distances would be, had mean and covariance been found without the row; the diagonal stays.

    Without row z, counted from the mean, the scatter A of n rows loses n / (n - 1) z zᵀ and the row lies n / (n - 1) z
    from the mean of the others; Sherman and Morrison's formula gives the inverse.

    Parameters
    ----------
    distances : ndarray of any shape
        Mahalanobis distances under the covariance A / (n - 1), a diagonal added to it.
    n_rows : int
        Training rows, at least 2.
    """
    ratio = n_rows / (n_rows - 1)
    share = np.square(distances) / (n_rows - 1)  # zᵀ A⁻¹ z
    squared = max(n_rows - 2, 1) * ratio**2 * share / (1 - ratio * share)
    return np.sqrt(np.maximum(squared, 0))
