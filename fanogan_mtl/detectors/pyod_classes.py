"""Any PyOD detector by class name, behind one check of what goes in and what comes out.

PyOD's classes differ in that: some score NaN or rows of another width, some give NaN themselves. Each checked class is
an attribute of this module (`pyod_classes.GMM`), made on demand, so that pickle and skops find it by name. What a PyOD
class scores may depend on the rows it is scored with: wholly for COF, LMDD, RGraph, ROD and SOS, through the batch's
scale for ALAD and DIF, through fresh noise for VAE, in the last bits for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyod.models.base import BaseDetector
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from fanogan_mtl.detectors.checks import refuse_non_finite
from fanogan_mtl.errors import UserError

FOR_OTHER_INPUT = ("base", "pyg_", "ts_", "audio_", "embedding", "devnet", "xgbod")
"""Starts of file names in PyOD whose classes don't learn from rows of numbers alone: graphs, series, text, labels."""

Result = TypeVar("Result")


@contextmanager
def _fixed_global_numbers() -> Iterator[None]:
    """Give classes that draw from numpy's global state the same numbers each time, and the state back afterwards."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


class CheckedDetector(BaseDetector):  # type: ignore[misc]
    """Mixin, to stand before a PyOD class: it validates rows and scores, and leaves the rest to that class.

    Rows become float64, so that float32 rows of the same values give the same bits.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {}
    _batch_rows: ClassVar[int | None] = None
    """Rows to score at once, where a row's last bits depend on that number: the last batch is padded to it."""

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
        with _fixed_global_numbers():
            self._one_clear_error(self._fit_rows, rows)
        self._finite(self.decision_scores_)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Anomaly scores of rows, shape (n_samples,), the higher the more abnormal.

        Raises
        ------
        ValueError
            For NaN, infinity, another width than in `fit`, or scores that come out as NaN or infinity.
        """
        return self._finite(self._one_clear_error(self._score_in_batches, self._validated(X)))

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
        check_is_fitted(self, "n_features_in_")
        return self._rows(X, reset=False)

    def _rows(self, X: ArrayLike, **checks: Any) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, **checks)
        refuse_non_finite(rows)
        return rows

    def _score_in_batches(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return in_batches(self._score_rows, X, self._batch_rows)

    def _one_clear_error(self, function: Callable[[NDArray[np.float64]], Result], rows: NDArray[np.float64]) -> Result:
        try:
            return function(rows)
        except ValueError:
            raise
        except Exception as error:  # PyOD's classes fail in many ways on rows that don't suit them
            message = f"{type(self).__name__} fails on rows of shape {rows.shape}: {type(error).__name__}: {error}"
            raise ValueError(message) from error

    def _finite(self, scores: ArrayLike) -> NDArray[np.float64]:
        scores = np.asarray(scores, dtype=np.float64)
        n_bad = np.count_nonzero(~np.isfinite(scores))
        if n_bad:
            raise ValueError(f"{type(self).__name__}: {n_bad} of {len(scores)} scores came out as NaN or infinity")
        return scores


def in_batches(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], X: NDArray[np.float64], batch_rows: int | None
) -> NDArray[np.float64]:
    """Apply a function of rows in batches of exactly that many rows (the last one padded); all at once for None."""
    if batch_rows is None:
        return function(X)
    padded = np.pad(X, ((0, -len(X) % batch_rows), (0, 0)))
    return np.concatenate([function(batch) for batch in np.split(padded, len(padded) // batch_rows)])[: len(X)]


@cache
def checked_class(name: str) -> type[Any]:
    """Make the checked class of a PyOD detector.

    Parameters
    ----------
    name : class name in `pyod.models`, as `GMM`

    Raises
    ------
    UserError
        Where PyOD has no such detector for rows of numbers, or it needs a package that is not installed.
    """
    modules = _modules_by_class()
    if name not in modules:
        raise UserError(f"unknown detector 'pyod:{name}'; PyOD has: {', '.join(sorted(modules))}")
    try:
        original = getattr(import_module(f"pyod.models.{modules[name]}"), name)
    except ImportError as error:
        raise UserError(f"detector pyod:{name} can't be imported: {str(error).partition(chr(10))[0]}") from error
    return type(name, (CheckedDetector, original), {"__module__": __name__, "__doc__": original.__doc__})


def __getattr__(name: str) -> type[Any]:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return checked_class(name)
    except UserError as error:
        raise AttributeError(str(error)) from error


@cache
def _modules_by_class() -> dict[str, str]:
    """PyOD's detectors for rows of numbers: class name -> module, read from the files without importing them."""
    package = find_spec("pyod.models")
    assert package is not None
    assert package.submodule_search_locations is not None
    found: dict[str, str] = {}
    for file in sorted(Path(package.submodule_search_locations[0]).glob("[a-z]*.py")):
        if not file.stem.startswith(FOR_OTHER_INPUT):
            for name in re.findall(r"^class (\w+)\(Base\w*Detector\)", file.read_text(encoding="utf-8"), re.MULTILINE):
                found.setdefault(name, file.stem)
    return found
