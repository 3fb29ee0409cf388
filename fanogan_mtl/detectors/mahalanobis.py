"""Mahalanobis distance to the training rows, whose covariance is shrunk towards a multiple of the identity.

On features of a network: Lee et al. 2018, *A simple unified framework for detecting out-of-distribution samples*;
Rippel et al. 2021, *Modeling the distribution of normal data in pre-trained deep features for anomaly detection*. The
covariance is Ledoit and Wolf's (2004), *A well-conditioned estimator for large-dimensional covariance matrices*, so
there may be fewer rows than features.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.covariance import ledoit_wolf_shrinkage, shrunk_covariance

from fanogan_mtl.detectors.checked import CheckedDetector

BLOCKS = 4  # of a triangular matrix: the zeros below them are not read

LEAST = 1e-12  # a smaller shrinkage is rounding: of two different rows, however often, nothing is shrunk


class Mahalanobis(CheckedDetector):
    """Square root of (x - mean)' C^-1 (x - mean), where C is the shrunk covariance of the training rows.

    Each feature is first divided by its standard deviation, for Ledoit and Wolf shrink all features towards *one*
    variance: a score depends on no feature's unit. A constant feature is left at its scale.

    Parameters
    ----------
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.

    Attributes
    ----------
    mean_, scale_ : ndarrays of shape (n_features,)
    whitening_ : ndarray of shape (n_features, rank)
        Maps standardised rows to coordinates of unit variance. Upper triangular where `basis_` is not needed.
    basis_ : ndarray of shape (rank, n_features)
        Where few rows, or few different ones, were learned from: orthonormal directions that span them; else of rank 0.
    outside_variance_ : float
        Of every direction that is at a right angle to `basis_`.
    """

    _batch_rows: ClassVar[int | None] = 4  # fewer rows than a multiple of four have other bits

    def __init__(self, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        X = np.ascontiguousarray(X)  # sums and products of another memory order have other bits
        self.mean_, deviation = X.mean(axis=0), X.std(axis=0)
        constant = deviation <= 1e-12 * np.abs(X).max(axis=0)  # what differs is rounding
        self.scale_ = np.where(constant, 1.0, deviation)
        rows = self._standardised(X)
        rows[:, constant] = 0
        shrinkage = 0.0 if constant.all() else float(ledoit_wolf_shrinkage(rows, assume_centered=True))
        if len(rows) > rows.shape[1] and shrinkage > LEAST:
            self._learn_all(rows, shrinkage)
        else:
            self._learn_span(rows, shrinkage if shrinkage > LEAST else 0.0)
        self._set_n_classes(None)
        self.decision_scores_ = self._score_in_batches(X)
        self._process_decision_scores()

    def _learn_all(self, rows: NDArray[np.float64], shrinkage: float) -> None:
        """Learn from more rows than features."""
        covariance = shrunk_covariance(rows.T @ rows / len(rows), shrinkage)
        lower = np.linalg.cholesky(covariance)
        self.whitening_ = np.ascontiguousarray(solve_triangular(lower, np.eye(len(lower)), lower=True).T)
        self.basis_, self.outside_variance_ = np.zeros((0, rows.shape[1])), 1.0

    def _learn_span(self, rows: NDArray[np.float64], shrinkage: float) -> None:
        """Learn from few rows, or few different ones, without their covariance: outside of them it is constant."""
        _, lengths, directions = np.linalg.svd(rows, full_matrices=False)
        inside = lengths > lengths.max() * max(rows.shape) * np.finfo(float).eps
        self.outside_variance_ = shrinkage * float(np.square(rows).mean()) or 1.0
        variances = (1 - shrinkage) * np.square(lengths[inside]) / len(rows) + shrinkage * np.square(rows).mean()
        self.basis_ = np.ascontiguousarray(directions[inside])
        self.whitening_ = np.ascontiguousarray((self.basis_ / np.sqrt(variances)[:, None]).T)

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = self._standardised(X)
        if self.whitening_.size and not len(self.basis_):
            edges = np.linspace(0, rows.shape[1], BLOCKS + 1).astype(int)
            parts = [rows[:, :end] @ self.whitening_[:end, start:end] for start, end in pairwise(edges)]
            return _lengths(parts)
        inside = rows @ self.whitening_
        outside = (rows - rows @ self.basis_.T @ self.basis_) / np.sqrt(self.outside_variance_)
        return _lengths([inside, outside])

    def _standardised(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ascontiguousarray((X - self.mean_) / self.scale_)


def _lengths(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Length of each row of matrices that stand side by side."""
    lengths: NDArray[np.float64] = np.linalg.norm(np.concatenate(parts, axis=1), axis=1)
    return lengths
