"""What every detector refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
