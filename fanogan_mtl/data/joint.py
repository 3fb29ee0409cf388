"""The joint data set that feature extractors learn from: all domains at once, without images that are tested later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.draws import RowNumbers, limited_rows
from fanogan_mtl.data.hashing import random_ranks
from fanogan_mtl.data.splits import held_out_rows
from fanogan_mtl.errors import UserError

VALIDATION_SHARE = 5  # one part in five, as in the study


def learnable_rows(
    pool: Dataset,
    tested: Sequence[Dataset],
    seed: int,
    limit: int | None = None,
    held_out_class: str | None = None,
    only_class: str | None = None,
    takes_labels: bool = True,
) -> RowNumbers:
    """Rows of the training images that an extractor may learn from.

    Left out are all images that are tested, by content: the test images of every tested data set, and those training
    images which the one-class protocol of `splits` tests normal classes on, for that seed.

    Parameters
    ----------
    pool : Dataset
        All domains to learn from (one data set is a pool of one).
    tested : sequence of Dataset
        Data sets that detectors will be tested on.
    seed, limit : as in `one_vs_rest`
    held_out_class : str, optional
        A class of which nothing is learned.
    only_class : str, optional
        The only class that is learned from.
    takes_labels : bool
        Whether classes are learned, so that there must be two.

    Returns
    -------
    array of shape (n,), int64
        Ascending positions in `pool.train`.

    Raises
    ------
    UserError
        For a class that the pool doesn't have, and where fewer than ten images are left, or fewer than two classes for
        an extractor that takes labels.
    """
    kept_out = [hashes_tested(dataset, seed, limit) for dataset in tested]
    hashes = np.concatenate([np.zeros(0, np.uint64), *kept_out])
    return rows_without(pool, hashes, limit, held_out_class, only_class, takes_labels)


def rows_without(
    pool: Dataset,
    kept_out: NDArray[np.uint64],
    limit: int | None = None,
    held_out_class: str | None = None,
    only_class: str | None = None,
    takes_labels: bool = True,
) -> RowNumbers:
    """As `learnable_rows`, given the content hashes of all images that are left out."""
    for name in (held_out_class, only_class):
        if name is not None and name not in pool.classes:
            raise UserError(f"data set '{pool.name}' has no class '{name}'; one of: {', '.join(pool.classes)}")
    rows = limited_rows(pool, limit)
    rows = rows[rows < len(pool.train.labels)]
    if held_out_class is not None:
        rows = rows[pool.train.labels[rows] != pool.classes.index(held_out_class)]
    if only_class is not None:
        rows = rows[pool.train.labels[rows] == pool.classes.index(only_class)]
    rows = rows[~np.isin(pool.train.hashes[rows], kept_out)]
    n_classes = len(np.unique(pool.train.labels[rows]))
    if len(rows) < 10 or n_classes < 1 + takes_labels:
        of = f"{n_classes} class{'es' * (n_classes != 1)}"
        advice = "take more data or classes"
        if len(rows) >= 10:
            advice += ", or an extractor that takes no labels"
        raise UserError(f"'{pool.name}' leaves {len(rows)} images to learn features from, of {of}; {advice}")
    return rows


def hashes_tested(dataset: Dataset, seed: int, limit: int | None) -> NDArray[np.uint64]:
    """Content hashes of all images that detectors may be tested on with that seed, whichever class is normal."""
    held_out = [held_out_rows(dataset, normal_class, seed, limit) for normal_class in dataset.normal_classes]
    return np.unique(np.concatenate([dataset.test.hashes, *(dataset.train.hashes[rows] for rows in held_out)]))


def rows_digest(pool: Dataset, rows: RowNumbers) -> str:
    """Digest, 32 hexadecimal digits, of what is learned from: the images' content, class and domain."""
    digest = sha256()
    for values in (pool.train.hashes[rows], pool.train.labels[rows], pool.train.domains[rows]):
        digest.update(np.ascontiguousarray(values).data)
    digest.update("/".join(pool.classes).encode())
    return digest.hexdigest()[:32]


def stratified_split(
    hashes: NDArray[np.uint64], labels: NDArray[np.int64], domains: NDArray[np.int64], seed: int
) -> tuple[RowNumbers, RowNumbers]:
    """Part images into training (four fifths) and validation, the same share of each class of each domain.

    It comes before any resampling, and copies of an image stay together: no image is on both sides.

    Parameters
    ----------
    hashes, labels, domains : arrays of shape (n,)
    seed : int

    Returns
    -------
    training, validation : ascending positions
    """
    ranks = random_ranks(hashes, f"extractor validation {seed}")
    validation = np.zeros(len(hashes), bool)
    for group in _groups(labels, domains):
        different, position = np.unique(ranks[group], return_inverse=True)
        validation[group] = position < len(different) // VALIDATION_SHARE
    validation |= np.isin(hashes, hashes[validation])  # copies in another class or domain
    return np.flatnonzero(~validation), np.flatnonzero(validation)


class JointSampler:
    """Batches of positions in which every domain has as many images of a class as the largest domain has.

    Per class the smaller domains are drawn with replacement up to the largest one's count; then all are shuffled. Only
    positions are drawn: no image is copied, however much is resampled.

    Parameters
    ----------
    labels, domains : int arrays of shape (n,)
    batch_size : int
        Images per batch; a last batch of one image is left out, for it has no batch statistics.
    seed : int
        With the epoch (see `set_epoch`) it decides every draw, so that a resumed training sees the same batches.
    """

    def __init__(self, labels: NDArray[np.int64], domains: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self._classes: list[tuple[int, list[RowNumbers]]] = []
        for label in np.unique(labels):
            members = [np.flatnonzero((labels == label) & (domains == domain)) for domain in np.unique(domains)]
            members = [member for member in members if len(member)]
            self._classes.append((max(map(len, members)), members))
        self.n_images = sum(most * len(members) for most, members in self._classes)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def rows(self) -> RowNumbers:
        """All positions of the epoch in order, shape (n_images,)."""
        random = np.random.default_rng([self.seed, self.epoch])
        drawn = [
            member if len(member) == most else random.choice(member, most)
            for most, members in self._classes
            for member in members
        ]
        return random.permutation(np.concatenate(drawn))

    def __iter__(self) -> Iterator[RowNumbers]:
        rows = self.rows()
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield rows[start : start + self.batch_size]

    def __len__(self) -> int:
        full, rest = divmod(self.n_images, self.batch_size)
        return max(1, full + (rest > 1))


def _groups(labels: NDArray[np.int64], domains: NDArray[np.int64]) -> list[RowNumbers]:
    """Positions of each class of each domain."""
    numbers = labels * (int(domains.max(initial=0)) + 1) + domains
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
