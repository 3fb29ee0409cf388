"""Shallow detectors, the yardstick for the deep ones: quick, and on digits mostly better.

- `PCA`: mean squared error of the reconstruction from the first principal components (the Q statistic of Jackson and
  Mudholkar 1979, *Control procedures for residuals associated with principal component analysis*). PyOD's PCA scores
  otherwise, by distances to the components.
- `KNN`: distance to the k-th nearest training row (Ramaswamy et al. 2000). PyOD's.
- `IForest`: isolation forest (Liu et al. 2008). PyOD's.
- `OCSVM`: one-class support vector machine (Schölkopf et al. 2001). PyOD's, but with `gamma="scale"`, under which rows
  rank the same with pixels in [0, 1] and in 0 to 255.
- `LOF`: local outlier factor (Breunig et al. 2000). PyOD's.
- `ECOD` (Li et al. 2022), `COPOD` (Li et al. 2020): tail probabilities under each feature's empirical distribution.
  PyOD's formulas, but PyOD adds all rows that are scored together to that distribution, so that a row's score depends
  on the others; here each row is added to the training rows alone.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyod.models.iforest import IForest as PyODIForest
from pyod.models.knn import KNN as PyODKNN
from pyod.models.lof import LOF as PyODLOF
from pyod.models.ocsvm import OCSVM as PyODOCSVM
from sklearn.decomposition import PCA as PrincipalComponents
from sklearn.utils._param_validation import Interval, StrOptions

from fanogan_mtl.detectors.checked import CheckedDetector, in_batches
from fanogan_mtl.detectors.checks import POSITIVE
from fanogan_mtl.detectors.neighbours import NeighbourSearch

SHARE = Interval(Real, 0, 1, closed="right")
BATCH_ROWS = 16  # matrix products round differently in batches of other sizes


class PCA(CheckedDetector):
    """Mean squared error of the reconstruction from the first principal components.
    Jackson and Mudholkar 1979.

    Parameters
    ----------
    n_components : int
        At most one less than there are rows or features, so that an error is left to score by.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
    components_ : ndarray of shape (n_components, n_features)
    """

    learned = ("mean_", "components_")
    _constraints: ClassVar[dict[str, list[Any]]] = {"n_components": [POSITIVE]}
    _batch_rows = BATCH_ROWS

    def __init__(self, n_components: int = 30, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)
        self.n_components = n_components

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float64]:
        """Project rows (n, d) onto the components and back, in the units of X."""
        return in_batches(self._reconstruct_rows, self._validated(X), self._batch_rows)

    def feature_shares(self, X: ArrayLike) -> NDArray[np.float64]:
        """What each feature adds to the score, (n, d): their sum over features is the score."""
        rows = self._validated(X)
        shares: NDArray[np.float64] = np.square(rows - self.reconstruct(rows)) / rows.shape[1]
        return shares

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        n_components = min(self.n_components, len(X) - 1, X.shape[1] - 1)
        found = PrincipalComponents(n_components, svd_solver="full").fit(X)
        self.mean_, self.components_ = found.mean_, found.components_
        self._set_n_classes(None)
        self.decision_scores_ = self._score_in_batches(X)
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        error: NDArray[np.float64] = np.square(X - self._reconstruct_rows(X)).mean(axis=1)
        return error

    def _reconstruct_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = (X - self.mean_) @ self.components_.T @ self.components_ + self.mean_
        return rows


class KNN(CheckedDetector, PyODKNN):  # type: ignore[misc]
    """Distance to the nearest training rows.
    Ramaswamy et al. 2000; PyOD's.

    Parameters
    ----------
    n_neighbors : int
        Fewer than there are training rows.
    method : {"largest", "mean", "median"}
        Which of the distances to the neighbours is the score.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.

    Attributes
    ----------
    training_rows_ : ndarray of shape (n_samples, n_features)
    """

    learned = ("training_rows_",)
    _constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [POSITIVE],
        "method": [StrOptions({"largest", "mean", "median"})],
    }

    def __init__(self, n_neighbors: int = 5, method: str = "largest", contamination: float = 0.1) -> None:
        super().__init__(n_neighbors=n_neighbors, method=method, contamination=contamination)

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        if len(X) <= self.n_neighbors:
            raise ValueError(f"KNN needs more rows than n_neighbors={self.n_neighbors}, X has {len(X)}")
        self.__dict__.pop("_search", None)  # that of an earlier fit
        super()._fit_rows(X)

    @property
    def training_rows_(self) -> NDArray[np.float64]:
        """What new rows are held against."""
        rows: NDArray[np.float64] = self.neigh_._fit_X
        return rows

    @training_rows_.setter
    def training_rows_(self, rows: NDArray[np.float64]) -> None:
        self.neigh_.fit(rows)
        self.tree_ = self.neigh_._tree or self.neigh_  # as PyOD's fit has it

    @cached_property
    def _search(self) -> NeighbourSearch:
        return NeighbourSearch(self.training_rows_)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_search"}  # it is made of the others

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.neigh_._tree is not None:  # of few features; it looks at one row at a time
            return super()._score_rows(X)
        scores: NDArray[np.float64] = self._get_dist_by_method(self._search.distances(X, self.n_neighbors))
        return scores

    def feature_shares(self, X: ArrayLike) -> NDArray[np.float64]:
        """What each feature adds to the squared distance, (n, d), in the mean over the neighbours."""
        rows = self._validated(X)
        nearest = self.neigh_.kneighbors(rows, return_distance=False)
        return np.stack(
            [np.square(self.training_rows_[at] - row).mean(axis=0) for at, row in zip(nearest, rows, strict=True)]
        )


class IForest(CheckedDetector, PyODIForest):  # type: ignore[misc]
    """Isolation forest: the fewer random splits isolate a row, the more abnormal it is.
    Liu et al. 2008; PyOD's.

    Parameters
    ----------
    n_estimators : int
        Trees.
    max_samples : int, float in (0, 1] or "auto"
        Training rows per tree: their number, their share, or at most 256.
    max_features : int or float in (0, 1]
        Features per tree: their number or their share.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    random_state : int
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {
        "n_estimators": [POSITIVE],
        "max_samples": [POSITIVE, SHARE, StrOptions({"auto"})],
        "max_features": [POSITIVE, SHARE],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        max_samples: int | float | str = "auto",
        max_features: int | float = 1.0,
        contamination: float = 0.1,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            n_estimators=n_estimators,
            max_samples=max_samples,
            max_features=max_features,
            contamination=contamination,
            random_state=random_state,
        )


class OCSVM(CheckedDetector, PyODOCSVM):  # type: ignore[misc]
    """One-class support vector machine: distance outside a boundary around the training rows, in a kernel's space.
    Schölkopf et al. 2001; PyOD's.

    Parameters
    ----------
    kernel : {"rbf", "linear", "poly", "sigmoid"}
    nu : float in (0, 1]
        Upper bound of the share of training rows outside, lower bound of the share of support vectors.
    gamma : float or {"scale", "auto"}
        Kernel's coefficient; `scale` is 1 / (n_features * variance of all values).
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {
        "kernel": [StrOptions({"rbf", "linear", "poly", "sigmoid"})],
        "nu": [SHARE],
        "gamma": [StrOptions({"scale", "auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self, kernel: str = "rbf", nu: float = 0.5, gamma: float | str = "scale", contamination: float = 0.1
    ) -> None:
        super().__init__(kernel=kernel, nu=nu, gamma=gamma, contamination=contamination)


class LOF(CheckedDetector, PyODLOF):  # type: ignore[misc]
    """Local outlier factor: how much sparser the training rows lie around a row than around its neighbours.
    Breunig et al. 2000; PyOD's.

    Parameters
    ----------
    n_neighbors : int
        At most one less than there are training rows.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {"n_neighbors": [POSITIVE]}
    _batch_rows = BATCH_ROWS

    def __init__(self, n_neighbors: int = 20, contamination: float = 0.1) -> None:
        super().__init__(n_neighbors=n_neighbors, contamination=contamination)


class TailProbabilities(CheckedDetector):
    """What ECOD and COPOD share: each feature's tails and skewness, as if the row had joined the training rows."""

    learned = ("sorted_", "mean_", "moments_")

    def __init__(self, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        self.sorted_ = np.sort(X, axis=0)  # (n, d)
        self.mean_ = X.mean(axis=0)
        self.moments_ = np.stack([((X - self.mean_) ** power).mean(axis=0) for power in (2, 3)])  # (2, d)
        self._set_n_classes(None)
        n_rows = len(X)  # the training rows are in the distribution already
        left, right = self._counts(X)
        self.decision_scores_ = self._combine(left / n_rows, right / n_rows, skew_sign(X))
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        n_joined = len(self.sorted_) + 1
        left, right = self._counts(X)
        return self._combine((left + 1) / n_joined, (right + 1) / n_joined, self._joined_skew_sign(X))

    def _counts(self, X: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training rows at or below, and at or above, each value: two arrays (n, d)."""
        below, at_or_below = (
            np.stack([np.searchsorted(*pair, side) for pair in zip(self.sorted_.T, X.T, strict=True)], axis=1)
            for side in ("left", "right")
        )
        return at_or_below, len(self.sorted_) - below

    def _joined_skew_sign(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sign of each feature's skewness, had this row joined: (n, d), by updating the training rows' moments."""
        n_rows, (second, third) = len(self.sorted_), self.moments_
        step = (X - self.mean_) / (n_rows + 1)  # what the row moves the mean by
        joined_second = n_rows * (second / (n_rows + 1) + step**2)
        joined_third = n_rows * ((third - 3 * step * second) / (n_rows + 1) + (n_rows - 1) * step**3)
        constant = is_constant(self.mean_ + step, joined_second)
        sign: NDArray[np.float64] = np.where(constant, 0, np.sign(joined_third))
        return sign

    def _combine(
        self, left: NDArray[np.float64], right: NDArray[np.float64], sign: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        left, right = -np.log(left), -np.log(right)
        skewed = np.where(sign < 0, left, np.where(sign > 0, right, left + right))
        total: NDArray[np.float64] = np.maximum(skewed, self._unskewed(left, right)).sum(axis=1)
        return total

    @abstractmethod
    def _unskewed(self, left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Combine both tails of every value, each (n, d), without regard to the skewness."""


class ECOD(TailProbabilities):
    """Sum over features of the greatest of the left, the right and the skewness's tail (-log probability).
    Li et al. 2022.

    Parameters
    ----------
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    def _unskewed(self, left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(left, right)


class COPOD(TailProbabilities):
    """Sum over features of the greater of both tails' mean and the skewness's tail (-log probability).
    Li et al. 2020.

    Parameters
    ----------
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    def _unskewed(self, left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        return (left + right) / 2


def skew_sign(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sign of the skewness of each column; 0 for a constant one."""
    mean = X.mean(axis=0)
    centred = X - mean
    second, third = (centred**2).mean(axis=0), (centred**2 * centred).mean(axis=0)
    return np.where(is_constant(mean, second), 0, np.sign(third))


def is_constant(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a variance is nothing but rounding, by the bound of `scipy.stats.skew`."""
    return variance <= (1e-15 * mean) ** 2
