import numpy as np
import pytest

from fanogan_mtl.evaluation.statistics import percent, summarise

GRID = {("a", 0): 0.9, ("a", 1): 0.7, ("b", 0): 0.5, ("b", 1): 0.4, ("c", 0): 0.1, ("c", 1): 0.3}


def test_full_grid_gives_means_and_sample_deviations():
    summary = summarise(GRID)
    values = np.array([[0.9, 0.7], [0.5, 0.4], [0.1, 0.3]])  # class x seed
    assert summary.mean == pytest.approx(values.mean())
    assert summary.std_over_seeds == pytest.approx(values.mean(axis=0).std(ddof=1))
    assert summary.std_over_classes == pytest.approx(values.mean(axis=1).std(ddof=1))
    assert summary.by_class == pytest.approx({"a": 0.8, "b": 0.45, "c": 0.2})
    assert list(summary.by_class) == ["a", "b", "c"]


def test_one_seed_has_no_deviation_over_seeds_and_one_class_none_over_classes():
    assert summarise({("a", 0): 0.9, ("b", 0): 0.5}).std_over_seeds is None
    assert summarise({("a", 0): 0.9, ("a", 1): 0.5}).std_over_classes is None


def test_failed_cell_leaves_its_class_the_same_weight_and_its_seed_out_of_the_deviation():
    summary = summarise({key: value for key, value in GRID.items() if key != ("c", 1)})
    assert summary.mean == pytest.approx((0.8 + 0.45 + 0.1) / 3)
    assert summary.std_over_seeds is None


def test_order_of_the_values_does_not_change_a_bit():
    backwards = dict(reversed(GRID.items()))
    assert summarise(backwards).mean == summarise(GRID).mean
    assert summarise(backwards).std_over_seeds == summarise(GRID).std_over_seeds


def test_nothing_to_summarise_is_refused():
    with pytest.raises(ValueError, match="no cell has a value"):
        summarise({})


def test_percent_for_tables():
    assert percent(0.8744, 0.0123) == "87.4 ± 1.2"
    assert percent(1.0) == "100.0"
