"""What vectors and their labels must be, whatever file they are from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import FEWEST_VECTORS, VECTOR_CLASSES, RawVectors
from fanogan_mtl.errors import UserError

_LOST = 0.01  # of a column's deviation: the most that rounding to float32 may change a value by
_NOISE = 1e-12  # of a column's size: a deviation below is the rounding of float64 itself
_LABELS = "0 (normal) and 1 (anomaly)"


def checked_vectors(features: NDArray[Any], labels: NDArray[Any], path: Path) -> RawVectors:
    """Check the rows and labels that a file has, and make a source of them.

    Parameters
    ----------
    features : array of shape (n, features) of real numbers
        They become float32, with 0 in the place of -0, so that equal rows have equal bytes.
    labels : array of shape (n,)
        0 for normal and 1 for anomaly, of any type of numbers.
    path : Path
        The file, for what is said of it.

    Raises
    ------
    UserError
        In one line, with the file's name, for everything that is not as above, for numbers that are not finite in
        float32 or too close together for it, and for fewer than 10 normal rows or 3 anomalies.
    """
    vectors = _vectors(features, f"X in {path}")
    _check_labels(labels, f"y in {path}", len(vectors))
    for number, (name, needed) in enumerate(zip(VECTOR_CLASSES, FEWEST_VECTORS, strict=True)):
        rows = int((labels == number).sum())
        if rows < needed:
            raise UserError(f"y in {path} has {rows} rows of {number} ({name}); at least {needed} are needed to split")
    return RawVectors(vectors, labels.astype(np.int64))


def _vectors(features: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Check the features and make them float32."""
    if features.dtype.kind not in "biuf":
        raise UserError(f"{where} is {features.dtype}; convert features to real numbers")
    if features.ndim != 2 or features.shape[1] == 0:
        raise UserError(f"{where} has shape {features.shape}; vectors must be (n, features)")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(features, np.float32)
    finite = np.isfinite(vectors)
    if not finite.all():
        row, column = divmod(int(finite.argmin()), finite.shape[1])
        what, advice = _not_finite(features[row, column])
        raise UserError(f"{where} has {what} at row {row}, column {column} (counted from 0); {advice}")
    _refuse_lost_differences(features, vectors, where)
    return vectors + np.float32(0)  # -0 becomes 0: equal vectors have equal bytes


def _refuse_lost_differences(features: NDArray[Any], vectors: NDArray[np.float32], where: str) -> None:
    """Refuse a column whose values differ by so little, beside their size, that float32 rounds the differences away."""
    if features.dtype.itemsize < 4 or not len(features):
        return
    for column in range(features.shape[1]):
        exact = features[:, column].astype(np.float64)
        spread, size = exact.std(), np.abs(exact).max()
        lost = np.abs(exact - vectors[:, column]).max()
        if lost > _LOST * spread > _LOST * _NOISE * size:
            raise UserError(
                f"{where} varies by {spread:.3g} around {exact.mean():.6g} in column {column} (counted from 0), too "
                "little for float32 to tell apart; subtract an offset from that column"
            )


def _not_finite(value: Any) -> tuple[str, str]:
    """Name a number that is not finite in float32, and say what to do."""
    if np.isnan(value):
        return "NaN", "fill the gaps or leave such rows out"
    if np.isinf(value):
        return "infinity", "replace it or leave such rows out"
    return f"{value}, more than float32 holds,", "scale the features"


def _check_labels(labels: NDArray[Any], where: str, n_rows: int) -> None:
    if labels.dtype.kind not in "biuf":
        raise UserError(f"{where} is {labels.dtype}; convert labels to {_LABELS}")
    if labels.shape != (n_rows,):
        raise UserError(f"{where} has shape {labels.shape} for {n_rows} rows of X; labels must be ({n_rows},)")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(f"{where} has {labels[row]} at row {row} (counted from 0); labels must be {_LABELS}")
    if n_rows and labels.min() == labels.max():
        raise UserError(f"{where} has one class only ({int(labels[0])}); labels must be {_LABELS}")
