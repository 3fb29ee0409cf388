"""Checks that detectors share: rows that are not finite, and constraints of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

PLAIN = (np.dtype(np.float32), np.dtype(np.float64))

POSITIVE = Interval(Integral, 1, None, closed="left")
"""Constraint: a whole number of at least 1."""


@dataclass(frozen=True)
class Each:
    """Parameter constraint: a list or tuple, not empty, of values that each satisfy a constraint of scikit-learn's."""

    item: Interval

    def is_satisfied_by(self, value: object) -> bool:
        """Tell whether the value fits."""
        return isinstance(value, list | tuple) and len(value) > 0 and all(map(self.item.is_satisfied_by, value))

    def __str__(self) -> str:
        return f"a list of one or more values, each {self.item}"


POSITIVES = Each(POSITIVE)
"""Constraint: a list of such numbers."""


def refuse_non_finite(rows: NDArray[Any], infinite: str = "infinity") -> None:
    """Raise a `ValueError` that names the first value of rows (n, d) that is NaN or infinite.

    Parameters
    ----------
    infinite : what an infinite value is called
    """
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(f"X has {'NaN' if np.isnan(rows[row, column]) else infinite} in row {row}, column {column}")


def refuse_even(name: str, value: int) -> None:
    """Raise a `ValueError` for a parameter that is a number of positions a side around one in their middle."""
    if value % 2 == 0:
        raise ValueError(f"{name}={value} is even, and has no middle; choose an odd number")


def is_plain(X: object, n_features: int | None) -> bool:
    """Whether X is an array of at least one row of so many finite floats, which needs no further check."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.shape[1] != n_features or not len(X) or X.dtype not in PLAIN:
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(X.sum()))
