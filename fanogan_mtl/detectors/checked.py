"""A mixin that checks the rows that go into a PyOD detector and the scores that come out.

PyOD's classes need it: some score NaN or rows of another width, some give NaN themselves, some draw from global
random numbers, some fail with an error that says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyod.models.base import BaseDetector
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from fanogan_mtl.detectors.checks import is_plain, refuse_non_finite
from fanogan_mtl.detectors.parameters import told
from fanogan_mtl.detectors.third_party.own_numbers import own_numbers

_Result = TypeVar("_Result")


class CheckedDetector(BaseDetector):  # type: ignore[misc]
    """Mixin, to stand before a PyOD class: it validates rows and scores, and leaves the rest to that class.

    Rows become float64, so that float32 rows of the same values give the same bits.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {}
    _batch_rows: ClassVar[int | None] = None
    """Rows to score at once, where a row's last bits depend on that number: the last batch is padded to it."""

    draws_to_score: ClassVar[bool] = False
    """Whether it may draw from the global generators to score, as some of PyOD's classes do; many do to learn."""

    learned: ClassVar[tuple[str, ...]] = ()
    """Attributes, arrays and numbers, that hold all that `fit` learns beside `decision_scores_`; none where it keeps
    objects of other libraries, too."""

    contamination: float

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        constraints = {"contamination": [Interval(Real, 0, 0.5, closed="right")], **self._constraints}
        params = self.get_params(deep=False)
        validate_parameter_constraints(constraints, {key: params[key] for key in constraints}, type(self).__name__)

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from normal rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), any real dtype, at least 2 rows
        y : ignored

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, fewer than two rows, no feature, or rows from which the
            detector's scores come out as NaN or infinity.
        """
        self.check_parameters()
        rows = self._rows(X, reset=True, ensure_min_samples=2)
        self._one_clear_error(self._fit_rows, rows, draws=True)
        self._finite(self.decision_scores_)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Anomaly scores of rows, shape (n_samples,), the higher the more abnormal.

        Raises
        ------
        ValueError
            For NaN, infinity, another width than in `fit`, or scores that come out as NaN or infinity.
        """
        rows = self._validated(X)
        return self._finite(self._one_clear_error(self._score_in_batches, rows, self.draws_to_score))

    def predict_proba(self, X: ArrayLike, method: str = "linear", return_confidence: bool = False) -> Any:
        """As PyOD's, which takes arrays only."""
        return super().predict_proba(np.asarray(X), method, return_confidence)

    @property
    def n_features_in_(self) -> int:
        """Width of the rows in `fit` (a property because PyOD's IForest has one that can't be set)."""
        return self._n_features_in

    @n_features_in_.setter
    def n_features_in_(self, value: int) -> None:
        self._n_features_in = value

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        super().fit(X)

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = super().decision_function(X)
        return scores

    def _validated(self, X: ArrayLike) -> NDArray[np.float64]:
        if "_n_features_in" not in vars(self):  # scikit-learn's check takes as long as a score
            check_is_fitted(self, "n_features_in_")
        return self._rows(X, reset=False)

    def _rows(self, X: ArrayLike, **checks: Any) -> NDArray[np.float64]:
        if not checks["reset"] and is_plain(X, self.n_features_in_):  # what is checked below, in a tenth of the time
            return np.asarray(X, np.float64, order="C")
        rows: NDArray[np.float64] = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, **checks)
        refuse_non_finite(rows)
        return rows

    def _score_in_batches(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return in_batches(self._score_rows, X, self._batch_rows)

    def _one_clear_error(
        self, function: Callable[[NDArray[np.float64]], _Result], rows: NDArray[np.float64], draws: bool
    ) -> _Result:
        """Apply a function, with random numbers of its own if it draws; what it raises is one line with the class."""
        name = type(self).__name__
        try:
            with own_numbers(seed_of(self)) if draws else nullcontext():
                return function(rows)
        except Exception as error:  # PyOD's classes fail in many ways on rows that don't suit them
            said = str(error).partition("\n")[0]
            if isinstance(error, ValueError) and name in said:
                raise
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            given = told(self.get_params(deep=False), type(self))
            raise ValueError(f"{name} fails on rows of shape {rows.shape}: {kind}{said}{given}") from error

    def _finite(self, scores: ArrayLike) -> NDArray[np.float64]:
        scores = np.asarray(scores, dtype=np.float64)
        n_bad = np.count_nonzero(~np.isfinite(scores))
        if n_bad:
            raise ValueError(f"{type(self).__name__}: {n_bad} of {len(scores)} scores came out as NaN or infinity")
        return scores


def seed_of(detector: Any) -> int:
    """What a detector's random numbers start from: its `random_state` if that is a number, else 0."""
    seed = getattr(detector, "random_state", None)
    return int(seed) if isinstance(seed, Integral) else 0


def in_batches(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], X: NDArray[np.float64], batch_rows: int | None
) -> NDArray[np.float64]:
    """Apply a function of rows in batches of exactly that many rows (the last one padded); all at once for None."""
    if batch_rows is None:
        return function(X)
    done = []
    for start in range(0, len(X), batch_rows):
        batch = X[start : start + batch_rows]
        whole = batch
        if len(batch) < batch_rows:
            whole = np.zeros((batch_rows, X.shape[1]), X.dtype)
            whole[: len(batch)] = batch
        done.append(function(whole)[: len(batch)])
    return np.concatenate(done)
