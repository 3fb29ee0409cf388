"""What the patch detectors share: rows are feature maps, and each position of a map has a score of its own.

A row has the features of an extractor with a grid, channel by channel: (channels, grid, grid), flattened. A patch is
what the maps have at one position: a vector of as many values as there are channels.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from fanogan_mtl.detectors.checked import CheckedDetector, in_batches
from fanogan_mtl.detectors.checks import POSITIVE, refuse_non_finite

Maps = NDArray[np.float32]


class PatchDetector(CheckedDetector):
    """Base of the detectors that score each position, and an image by its most abnormal one.

    Rows are taken as float32: of ten thousand images with maps of 152 × 14 × 14 they have 1.2 GB.

    Parameters
    ----------
    grid : int
        Positions a side of each map; 1 takes a row for a single patch.
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {"grid": [POSITIVE]}

    def __init__(self, grid: int = 1, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)
        self.grid = grid

    def anomaly_maps(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores of the positions, shape (n, grid, grid); their greatest is the row's score before any weighing.

        Raises
        ------
        ValueError
            As `decision_function`.
        """
        values = in_batches(self._score_positions, self._validated(X), self._batch_rows)
        return values.reshape(-1, self.grid, self.grid)

    @abstractmethod
    def _score_positions(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Scores (n, positions) of rows (n, channels × positions)."""

    def _score_rows(self, X: NDArray[Any]) -> NDArray[np.float64]:
        greatest: NDArray[np.float64] = self._score_positions(X).max(axis=1)
        return greatest

    def _rows(self, X: ArrayLike, **checks: Any) -> NDArray[Any]:
        rows: NDArray[Any] = validate_data(self, X, dtype=np.float32, ensure_all_finite=False, **checks)
        refuse_non_finite(rows)
        if rows.shape[1] % self.grid**2:
            raise ValueError(
                f"{type(self).__name__} takes maps of {self.grid}x{self.grid} positions: rows of {rows.shape[1]} "
                "features are no whole number of them; grid is the extractor's"
            )
        return rows

    def _patches(self, rows: NDArray[Any]) -> Maps:
        """Rows as patches, (n, positions, channels)."""
        return rows.reshape(len(rows), -1, self.grid**2).transpose(0, 2, 1)
