"""The one-class protocol: one class is normal, and train, validation and test share no image.

| part | normal | anomalies |
|---|---|---|
| `train` | 80 % of the class's training images | none |
| `validation` | k of half of the other 20 % | k training images of each other class |
| `test` | k of the other half and the class's test images | k test images of each other class |

k is the number of normal images there, or the size of the smallest other class if that is less: with ten classes there
are exactly nine anomalies per normal image. Where classes differ so much in size that k of each would leave out more
than half, a part has all its normal images and up to as many of each other class, and metrics weigh the classes
alike. Percentages count different images, and copies go with their original.
Where no training image is anomalous, `train` is all of the class's training images, and a fifth of each class's test
images is `validation` and leaves the test.

Code that chooses something (a hyperparameter, say) calls `choosing_parts`, which gives `train` and `validation` alone.
Where the
data have training anomalies, as the digit sets do, it reads nothing of the test images.

Vectors are split as ADBench does, row for row: `test` is the 30 % that scikit-learn's stratified `train_test_split`
draws, and our seeds 0, 1, 2 are ADBench's 1, 2, 3. A fifth of each class of the 70 % is `validation`, and `train` is
the rest without its anomalies, unless the data set is contaminated. Copies may be on both sides, as there. Of a data
set that is `unique`, copies of tested rows leave the 70 %, and those of validated rows leave the training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import FEWEST_VECTORS, VECTOR_CLASSES, Dataset
from fanogan_mtl.data.draws import DrawTable, RowNumbers, limited_rows
from fanogan_mtl.errors import UserError

FIRST_SEED = 1  # of ADBench's own runs
_FEWEST = 6  # different training images of the normal class: 4 to train on, and one each to validate and test on


@dataclass(frozen=True)
class SplitRows:
    """Row numbers of the three parts, ascending; they count the training images, then the test images."""

    train: RowNumbers
    validation: RowNumbers
    test: RowNumbers


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes
    ----------
    pixels : array of shape (n, size, size) or (n, size, size, 3), uint8, or of shape (n, features), float32
    anomaly : array of shape (n,), bool
        In the training part true for the anomalies of a contaminated data set alone.
    labels : array of shape (n,), int64
        Positions in the data set's `classes`.
    rows : array of shape (n,), int64
        Row numbers as in `SplitRows`.
    sizes : array of shape (n, 3), int64
        As in `Images`.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    anomaly: NDArray[np.bool_]
    labels: NDArray[np.int64]
    rows: RowNumbers
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """What a detector trains on, what choices are made on, and what it is judged on."""

    train: Part
    validation: Part
    test: Part


def one_vs_rest(
    dataset: Dataset, normal_class: str, seed: int, limit: int | None = None, anomalous_class: str | None = None
) -> Split:
    """Split a data set for one normal class.

    The result depends on the images' content, the class, seed and limit alone. The training part depends on the class's
    own training images alone: not on the test, nor on other classes.

    Parameters
    ----------
    dataset : Dataset
    normal_class : str
        One of `dataset.normal_classes`.
    seed : int
    limit : int, optional
        Use at most so many training and so many test images of each class, in a pool of each class of each domain.
        The same ones for every seed.
    anomalous_class : str, optional
        The only class whose images count as anomalies; all other classes by default.

    Raises
    ------
    UserError
        For an unknown class, anomalies as the normal class, and a class with too few images or vectors.

    Examples
    --------
    >>> dataset = load_dataset(*parse_datasets("optdigits"), default_data_dir())
    >>> split = one_vs_rest(dataset, normal_class="3", seed=0, limit=20)
    >>> len(split.train.anomaly), len(split.validation.anomaly), len(split.test.anomaly)
    (16, 20, 200)
    >>> int(split.test.anomaly.sum())
    180
    """
    rows = split_rows(dataset, normal_class, seed, limit, anomalous_class)
    normal = dataset.classes.index(normal_class)
    return Split(*(_part(dataset, part, normal) for part in (rows.train, rows.validation, rows.test)))


def choosing_parts(
    dataset: Dataset, normal_class: str, seed: int, limit: int | None = None, anomalous_class: str | None = None
) -> tuple[Part, Part]:
    """Give the training and the validation part of `one_vs_rest`, and nothing that is tested.

    With training anomalies, both depend on training images alone: other test images or labels change no bit of them.
    Without, and for vectors, test rows are what the split leaves over, so that it has to see them.
    """
    asked = _Asked.of(dataset, normal_class, seed, limit, anomalous_class)
    if dataset.is_images and len(asked.anomalous):
        train, validation = _of_training_images(asked)
    else:
        train, validation, _ = _split(asked)
    normal = dataset.classes.index(normal_class)
    return _part(dataset, np.sort(train), normal), _part(dataset, np.sort(validation), normal)


def split_rows(
    dataset: Dataset, normal_class: str, seed: int, limit: int | None = None, anomalous_class: str | None = None
) -> SplitRows:
    """Make the split of `one_vs_rest` as row numbers alone, without touching a pixel."""
    asked = _Asked.of(dataset, normal_class, seed, limit, anomalous_class)
    return SplitRows(*(np.sort(part) for part in _split(asked)))


@dataclass(frozen=True)
class _Asked:
    """The rows that a split is made of, by what they count as, first of the training and then of the test images.

    Those aside are of classes that are neither normal nor anomalous: whether the data set's classes balance is asked of
    them too, so that a pair of classes is drawn as both are among all the others.
    """

    dataset: Dataset
    seed: int
    table: DrawTable
    normal: RowNumbers
    anomalous: RowNumbers
    aside: RowNumbers
    normal_test: RowNumbers
    anomalous_test: RowNumbers
    aside_test: RowNumbers

    @classmethod
    def of(
        cls, dataset: Dataset, normal_class: str, seed: int, limit: int | None, anomalous_class: str | None
    ) -> _Asked:
        for name in (normal_class, anomalous_class):
            if name is not None and name not in dataset.classes:
                known = ", ".join(dataset.classes)
                raise UserError(f"data set '{dataset.name}' has no class '{name}'; one of: {known}")
        if not dataset.is_images and normal_class not in dataset.normal_classes:
            known = ", ".join(dataset.normal_classes)
            raise UserError(
                f"class '{normal_class}' of data set '{dataset.name}' can't be the normal one; one of: {known}"
            )
        table = DrawTable.of(dataset, normal_class, seed, limit)
        usable = limited_rows(dataset, limit)
        labels = table.labels[usable]
        normal = labels == dataset.classes.index(normal_class)
        anomalous = ~normal & (anomalous_class is None or labels == dataset.classes.index(anomalous_class))
        kinds = (normal, anomalous, ~normal & ~anomalous)
        in_train = usable < table.n_train
        groups = (usable[side & kind] for side in (in_train, ~in_train) for kind in kinds)
        return cls(dataset, seed, table, *groups)


def _split(asked: _Asked) -> list[RowNumbers]:
    """Rows of training, validation and test, in any order."""
    if not asked.dataset.is_images:
        return _of_vectors(asked.table, asked.normal, asked.anomalous, asked.seed, asked.dataset.contaminated)
    if len(asked.anomalous):
        return _with_training_anomalies(asked)
    return _without_training_anomalies(asked.table, asked.normal, asked.normal_test, asked.anomalous_test)


def held_out_rows(dataset: Dataset, normal_class: str, seed: int, limit: int | None = None) -> RowNumbers:
    """Training images that the test of this normal class may draw on, whatever counts as its anomalies."""
    table = DrawTable.of(dataset, normal_class, seed, limit)
    usable = limited_rows(dataset, limit)
    own = usable[(usable < table.n_train) & (table.labels[usable] == dataset.classes.index(normal_class))]
    position, number = table.positions(own)
    held_out: RowNumbers = own[position >= _cuts(number)[1]]
    return held_out


def _cuts(number: int) -> tuple[int, int]:
    """Where, of so many different images in random order, training ends, and where validation does."""
    n_train = number * 4 // 5
    return n_train, n_train + (number - n_train) // 2


def _of_training_images(asked: _Asked) -> list[RowNumbers]:
    """Training and validation, where other classes have training images."""
    table, own = asked.table, asked.normal
    position, number = table.positions(own)
    if number < _FEWEST:
        raise table.error(f"has {number} different training images; at least {_FEWEST} are needed")
    n_train, n_seen = _cuts(number)
    validation_anomalies = table.without(asked.anomalous, own)
    if not len(validation_anomalies):
        raise table.error(
            "has no anomaly to validate on; another class needs training images that are no copies of its own"
        )
    validation_normal = own[(position >= n_train) & (position < n_seen)]
    validation = table.draw_balanced(validation_normal, validation_anomalies, table.without(asked.aside, own))
    return [own[position < n_train], validation]


def _with_training_anomalies(asked: _Asked) -> list[RowNumbers]:
    table, own = asked.table, asked.normal
    train, validation = _of_training_images(asked)
    test_anomalies = table.without(asked.anomalous_test, train, validation)
    if not len(test_anomalies):
        raise table.error("has no anomaly to test on; another class needs test images that are no training images")
    position, number = table.positions(own)
    held_out = own[position >= _cuts(number)[1]]
    test_normal = np.concatenate([held_out, table.without(asked.normal_test, train, validation)])
    test = table.draw_balanced(test_normal, test_anomalies, table.without(asked.aside_test, train, validation))
    return [train, validation, test]


def _without_training_anomalies(
    table: DrawTable, own: RowNumbers, own_test: RowNumbers, other_test: RowNumbers
) -> list[RowNumbers]:
    _, number = table.positions(own)
    if number < 2:
        raise table.error(f"has {number} different training images; at least 2 are needed")
    new, other_new = (table.without(rows, own) for rows in (own_test, other_test))
    n_copies = {"normal image": len(own_test) - len(new), "anomaly": len(other_test) - len(other_new)}
    normal = table.fifth(new)
    anomalies = [table.fifth(rows) for rows in table.by_class(other_new)]
    validation, test = (np.concatenate(part) for part in zip(normal, *anomalies, strict=True))
    test = table.without(test, validation)  # copies under another label
    for part, rows in (("validate", validation), ("test", test)):
        is_normal = np.isin(rows, own_test)
        if not is_normal.any() or is_normal.all():
            kind = "anomaly" if is_normal.any() else "normal image"
            aside = f", copies of training images ({n_copies[kind]:,}) aside" if n_copies[kind] else ""
            raise table.error(
                f"has no {kind} to {part} on; at least 2 different ones are needed among the test images{aside}"
            )
    return [own, validation, test]


def _of_vectors(
    table: DrawTable, normal: RowNumbers, anomalies: RowNumbers, seed: int, contaminated: bool
) -> list[RowNumbers]:
    from sklearn.model_selection import train_test_split

    for rows, name, needed in zip((normal, anomalies), VECTOR_CLASSES, FEWEST_VECTORS, strict=True):
        _, number = table.positions(rows)
        if number < needed:
            raise table.error(f"has {number} different {name} rows; at least {needed} are needed")
    rows = np.sort(np.concatenate([normal, anomalies]))
    seen, test = train_test_split(
        rows, test_size=0.3, shuffle=True, stratify=table.labels[rows], random_state=seed + FIRST_SEED
    )
    seen = table.without(seen, test)
    validation = np.concatenate([table.fifth(group)[0] for group in table.by_class(seen)])
    train = table.without(seen, validation)
    train = train if contaminated else train[~np.isin(train, anomalies)]
    if len(train) < 2 or len(table.by_class(validation)) < 2:
        raise table.error("has too many copies among its rows to be split")
    return [train, validation, test]


def _part(dataset: Dataset, rows: RowNumbers, normal: int) -> Part:
    n_train = len(dataset.train.labels)
    train, test = rows[rows < n_train], rows[rows >= n_train] - n_train
    labels = np.concatenate([dataset.train.labels[train], dataset.test.labels[test]])
    pixels = np.concatenate([dataset.train.pixels[train], dataset.test.pixels[test]])
    sizes = np.concatenate([dataset.train.sizes[train], dataset.test.sizes[test]])
    return Part(pixels, labels != normal, labels, rows, sizes)
