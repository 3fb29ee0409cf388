"""Exact distances to the nearest rows; those of a row have the same bits alone and in any company."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**22  # values of a block of approximate distances, and of a block of differences
UNIT = 2.0**-24  # rounding error of a float32, relative
LEAST, MOST = 1e-15, 1e18  # lengths whose squares are far from where float32 loses digits, and from its infinity


class NeighbourSearch:
    """Finds the nearest of some rows by the Euclidean distance.

    A product of matrices in single precision tells which rows may be among the nearest: it rounds differently with each
    number of rows, but by no more than a bound (Higham 2002, *Accuracy and stability of numerical algorithms*, section
    3.1). Only the distances to those are then summed, row by row, in double precision.

    Parameters
    ----------
    rows : float64 array of shape (n, d)
    """

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self.rows = rows
        self._centre = rows.mean(axis=0)
        centred = rows - self._centre
        squares = np.square(centred).sum(axis=1)
        self._longest = float(np.sqrt(squares.max()))
        with np.errstate(over="ignore"):
            self._single, self._squares = centred.astype(np.float32), squares.astype(np.float32)

    def distances(self, X: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """Distances of rows (m, d) to the k nearest, ascending, of shape (m, k); k is at most n."""
        size = max(1, AT_ONCE // len(self.rows))
        return np.concatenate([self._block(X[start : start + size], k) for start in range(0, len(X), size)])

    def _block(self, X: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        of, to = np.nonzero(self._candidates(X, k))
        size = max(1, AT_ONCE // X.shape[1])
        parts = [slice(start, start + size) for start in range(0, len(of), size)]
        squared = np.concatenate([np.square(X[of[part]] - self.rows[to[part]]).sum(axis=1) for part in parts])
        order = np.lexsort((squared, of))
        firsts = np.searchsorted(of, np.arange(len(X)))  # nonzero gives them row by row
        nearest: NDArray[np.float64] = np.sqrt(squared[order[firsts[:, None] + np.arange(k)]])
        return nearest

    def _candidates(self, X: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
        """Which rows may be among the k nearest, (m, n): all of them where single precision can't tell."""
        centred = X - self._centre
        lengths = np.sqrt(np.square(centred).sum(axis=1))
        with np.errstate(over="ignore", invalid="ignore"):
            product = centred.astype(np.float32) @ self._single.T
            squared = self._squares - 2 * product  # but for the row's own, which orders nothing
            kth = np.partition(squared, k - 1, axis=1)[:, k - 1]
            error = UNIT * self._longest * (2 * (X.shape[1] + 8) * lengths + 4 * (self._longest + 2 * lengths))
            limit = np.nextafter((kth + 2 * error).astype(np.float32), np.float32(np.inf))
            near: NDArray[np.bool_] = ~(squared > limit[:, None])
        near[(self._longest < LEAST) | (lengths + self._longest > MOST)] = True
        return near
