import numpy as np

from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.sweep.tested import rows_tested, together

COMPARISON = Comparison(parse_datasets("optdigits")[0], "digest", "knn", "{}", (20, 50))


def done(*sizes: int) -> DoneCell:
    """A cell tested on so many rows of each class; the first is normal."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return DoneCell(
        Cell(COMPARISON, "0", 0), CellResult({}, np.zeros((1, len(labels))), labels > 0, labels, np.arange(len(labels)))
    )


def test_counts_go_from_the_fewest_to_the_most() -> None:
    assert (
        rows_tested([done(36, 36, 36), done(40, 40, 40)]).text("images")
        == "36 to 40 normal and 72 to 80 anomalous images"
    )
    assert rows_tested([done(1000, 1000)]).text("rows") == "1,000 normal and 1,000 anomalous rows"


def test_the_smallest_class_is_told_where_it_is_smaller_than_both() -> None:
    assert rows_tested([done(56, 12, 2)]).text("images") == "56 normal and 14 anomalous images, 2 of the smallest class"
    assert rows_tested([done(56, 2)]).text("images") == "56 normal and 2 anomalous images"


def test_comparisons_join() -> None:
    joined = together([rows_tested([done(56, 12, 2)]), rows_tested([done(50, 20)])])
    assert joined.text("images") == "50 to 56 normal and 14 to 20 anomalous images, 2 of the smallest class"
