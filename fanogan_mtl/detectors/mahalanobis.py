"""Mahalanobis distance: one Gaussian is fitted to the training rows, and rows far from its mean are abnormal.

On features of a trained network as in Lee et al. 2018, *A simple unified framework for detecting out-of-distribution
samples and adversarial attacks*, and Rippel et al. 2021, *Modeling the distribution of normal data in pre-trained deep
features for anomaly detection*, who shrink the covariance as here (Ledoit and Wolf 2004, *A well-conditioned estimator
for large-dimensional covariance matrices*): it becomes (1 - s) S + s m I, with S the covariance of the rows, m its mean
variance, I the identity, and s estimated. So it can be inverted with fewer rows than features, too.

Otherwise than there:

- Each feature is first divided by its own standard deviation, for m I suits features of one scale only: one feature in
  another unit would set m for all of them. Scores don't depend on units.
- Where there are no more rows than features, no matrix of features by features is formed: in the rows' span the shrunk
  covariance is a matrix of rows by rows, and in every direction outside it the variance is s m.
- s comes from S as a whole, by the same formula as in scikit-learn's `ledoit_wolf`, which multiplies all features with
  each other twice more and takes five times as long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve
from scipy.linalg.blas import dtrsv
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.detectors.checked import CheckedDetector

LEAST_SHRINKAGE = 1e-8
"""For rows from which Ledoit and Wolf's formula gives 0, as it does for any two: their covariance has no inverse."""


class Mahalanobis(CheckedDetector):
    """Mahalanobis distance to the training rows' mean, under their shrunk covariance; without unit.
    Lee et al. 2018, Rippel et al. 2021, Ledoit and Wolf 2004.

    Parameters
    ----------
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (n_features,)
        Mean and standard deviation of the training rows, in the units of X; a constant feature is divided by 1.
    basis_ : ndarray of shape (n_samples, n_features), or (0, n_features)
        Orthonormal rows whose span has the standardised training rows. Empty where there are more rows than features.
    factor_ : ndarray of shape (k, k), k the lesser of n_samples and n_features
        Cholesky factor, lower, of the shrunk covariance in that basis.
    rest_variance_ : float
        Shrunk variance in every direction outside the span.
    shrinkage_ : float in (0, 1]
    """

    learned = ("mean_", "scale_", "basis_", "factor_", "rest_variance_", "shrinkage_")
    _batch_rows = 1  # so its bits are the same in any company, and a single row isn't padded to many

    def __init__(self, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        X = np.ascontiguousarray(X)  # sums over columns differ in their last bits with another layout
        n_rows, n_features = X.shape
        if np.array_equal(X, np.broadcast_to(X[0], X.shape)):
            raise ValueError(f"Mahalanobis needs training rows that differ: all {n_rows} are equal")
        scaler = StandardScaler().fit(X)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        rows, self.basis_ = (X - self.mean_) / self.scale_, np.empty((0, n_features))
        if n_rows <= n_features:
            basis, coordinates = np.linalg.qr(rows.T)
            rows, self.basis_ = np.ascontiguousarray(coordinates.T), np.ascontiguousarray(basis.T)
        covariance = rows.T @ rows / n_rows
        self.shrinkage_ = shrinkage(rows, covariance, n_features)
        self.rest_variance_ = self.shrinkage_ * float(np.trace(covariance)) / n_features
        shrunk = (1 - self.shrinkage_) * covariance + self.rest_variance_ * np.eye(len(covariance))
        self.factor_ = np.ascontiguousarray(np.linalg.cholesky(shrunk))
        self._set_n_classes(None)
        self.decision_scores_ = self._score_in_batches(X)
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        row, squared = (X[0] - self.mean_) / self.scale_, 0.0
        if len(self.basis_):
            inside = self.basis_ @ row
            squared = np.square(row - inside @ self.basis_).sum() / self.rest_variance_
            row = inside
        whitened = dtrsv(self.factor_.T, row, trans=1)  # BLAS wants columns: the transpose of the factor, transposed
        return np.sqrt([squared + np.square(whitened).sum()])

    def feature_shares(self, X: ArrayLike) -> NDArray[np.float64]:
        """What each feature adds to the squared distance, (n, d): its value times that of the inverse covariance's row.

        Their sum over features is the squared score; one that is correlated with others may have less than nothing.
        """
        rows = (self._validated(X) - self.mean_) / self.scale_
        inside = rows @ self.basis_.T if len(self.basis_) else rows
        weighed: NDArray[np.float64] = cho_solve((self.factor_, True), inside.T).T
        if len(self.basis_):
            weighed = weighed @ self.basis_ + (rows - inside @ self.basis_) / self.rest_variance_
        shares: NDArray[np.float64] = rows * weighed
        return shares


def shrinkage(rows: NDArray[np.float64], covariance: NDArray[np.float64], n_features: int) -> float:
    """Ledoit and Wolf's s, at least `LEAST_SHRINKAGE`: how far a covariance is taken towards a sphere.

    It is the covariance's expected squared error over its squared distance from the sphere of the same mean variance,
    both in the Frobenius norm, and at most 1.

    Parameters
    ----------
    rows : ndarray of shape (n, k), centred, in any orthonormal basis whose span has them
    covariance : ndarray of shape (k, k)
        The rows', without shrinkage.
    n_features : int, at least k
        Dimensions of the space.
    """
    squared_norm = np.square(covariance).sum()
    error = (np.square(np.square(rows).sum(axis=1)).mean() - squared_norm) / len(rows)
    distance = squared_norm - np.trace(covariance) ** 2 / n_features
    return float(np.clip(error / distance, LEAST_SHRINKAGE, 1)) if distance > 0 else 1.0
