"""Random orders of a data set's images in which the rows of a split are drawn.

They depend on the images' content, the seed and the purpose alone: not on the order in the file, nor on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.hashing import random_ranks
from fanogan_mtl.errors import UserError

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class DrawTable:
    """Every image's label, identity and random ranks, for one normal class and seed.

    Attributes
    ----------
    subject : str
        The class, for errors.
    n_train : int
        So many of the images are training images; the others are the test's.
    labels, hashes : arrays of shape (n,)
        Equal hashes are copies; see `_identities`.
    split_ranks : array of shape (n,)
        The order in which the normal class's training images are parted into training, validation and test.
    draw_ranks : array of shape (n,)
        A second order, independent of the first, in which a part's images are drawn: in the first, images that were
        held out of training would always come last.
    """

    subject: str
    n_train: int
    labels: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    split_ranks: NDArray[np.uint64]
    draw_ranks: NDArray[np.uint64]

    @classmethod
    def of(cls, dataset: Dataset, normal_class: str, seed: int, limit: int | None) -> DrawTable:
        """Make the table of a data set; the limit is for errors."""
        subject = f"class '{normal_class}' of data set '{dataset.name}'" + (f" with limit {limit}" if limit else "")
        hashes = _identities(dataset)
        labels = np.concatenate([dataset.train.labels, dataset.test.labels])
        ranks, draws = (random_ranks(hashes, f"{purpose} {seed} {normal_class}") for purpose in ("split", "draw"))
        return cls(subject, len(dataset.train.labels), labels, hashes, ranks, draws)

    def without(self, rows: RowNumbers, *seen: RowNumbers) -> RowNumbers:
        """Leave out the rows whose content occurs in the rows seen."""
        return rows[~np.isin(self.hashes[rows], self.hashes[np.concatenate(seen)])]

    def positions(self, rows: RowNumbers) -> tuple[RowNumbers, int]:
        """Give each row the position of its content in random order, and say how many different ones there are."""
        different, positions = np.unique(self.split_ranks[rows], return_inverse=True)
        return positions, len(different)

    def draw(self, rows: RowNumbers, number: int) -> RowNumbers:
        """Draw so many rows."""
        return rows[np.argsort(self.draw_ranks[rows], kind="stable")[:number]]

    def by_class(self, rows: RowNumbers) -> list[RowNumbers]:
        """Part rows by their labels."""
        return [rows[self.labels[rows] == label] for label in np.unique(self.labels[rows])]

    def draw_balanced(self, normal: RowNumbers, anomalies: RowNumbers, aside: RowNumbers) -> RowNumbers:
        """Draw k rows of every class, or up to as many as are normal where k of all would leave out more than half."""
        classes = [normal, *self.by_class(anomalies)]
        sizes = [min(len(rows), len(normal)) for rows in (*classes, *self.by_class(aside))]
        balanced = 2 * len(sizes) * min(sizes) >= sum(sizes)
        k = min(len(rows) for rows in classes) if balanced else len(normal)
        return np.concatenate([self.draw(rows, k) for rows in classes])

    def fifth(self, rows: RowNumbers) -> tuple[RowNumbers, RowNumbers]:
        """Part a fifth of the different contents, at least one if there are two, from the rest."""
        position, number = self.positions(rows)
        n_fifth = max(number // 5, min(number - 1, 1))
        return rows[position < n_fifth], rows[position >= n_fifth]

    def error(self, what: str) -> UserError:
        """Make an error that names the class."""
        return UserError(f"{self.subject} {what}")


def limited_rows(dataset: Dataset, limit: int | None) -> RowNumbers:
    """Draw up to `limit` rows of every class of every domain, of the training and of the test images; None for all."""
    if limit is None:
        return np.arange(len(dataset.train.labels) + len(dataset.test.labels))
    ranks = random_ranks(_identities(dataset), "limit")
    parts = (dataset.train, dataset.test)
    numbers = [
        (number * len(dataset.domains) + part.domains) * len(dataset.classes) + part.labels
        for number, part in enumerate(parts)
    ]
    groups = np.concatenate(numbers)
    order = np.lexsort((ranks, groups))
    starts = np.searchsorted(groups[order], groups[order])
    return np.sort(order[np.arange(len(order)) - starts < limit])


def _identities(dataset: Dataset) -> NDArray[np.uint64]:
    """What is different for the split: contents, or of vectors each row, unless copies are to stay on one side.

    A content's first row keeps its hash, so that without copies both are the same split.
    """
    hashes = np.concatenate([dataset.train.hashes, dataset.test.hashes])
    if dataset.is_images or dataset.unique:
        return hashes
    order = np.argsort(hashes, kind="stable")
    numbers = np.empty_like(hashes)  # of a content's rows, from 0
    numbers[order] = np.arange(len(hashes)) - np.searchsorted(hashes[order], hashes[order])
    different: NDArray[np.uint64] = hashes + numbers
    return different
