"""What cells say together, and which of them become a model's heads."""

import numpy as np
import pytest

from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.recording.summary import best_heads, cell_values, comparison_values, fewest_tested, validation_auroc
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.result import CellResult, DoneCell

COMPARISON = Comparison(parse_datasets("optdigits")[0], "digest", "knn", "{}", (20, 50))


def done(normal_class: str, seed: int, test: tuple[float, float], validation: tuple[float, float]) -> DoneCell:
    metrics = {
        budget: {"auroc": test[at], "validation_auroc": validation[at], "threshold": 1.0, "fit_seconds": 2.0}
        for at, budget in enumerate((20, 50))
    }
    labels = np.repeat([0, 1, 2], [5, 4, 3 if normal_class == "a" else 2])
    of_rows = np.zeros((2, len(labels))), labels > 0, labels, np.arange(len(labels))
    return DoneCell(Cell(COMPARISON, normal_class, seed), CellResult(metrics, *of_rows))


CELLS = [
    done("a", 0, (0.6, 0.9), (0.7, 0.9)),
    done("b", 0, (0.5, 0.6), (0.8, 0.6)),
    done("a", 1, (0.8, 0.7), (0.9, 0.5)),
    done("b", 1, (0.7, 0.8), (0.6, 0.7)),
]


def test_means_deviations_and_classes() -> None:
    values = {(value.name, value.step): value.value for value in comparison_values(CELLS, ("b", "a"))}
    assert values["auroc", 20] == pytest.approx(0.65)
    assert values["auroc_std_over_seeds", 20] == pytest.approx(np.std([0.55, 0.75], ddof=1))
    assert values["auroc_std_over_classes", 20] == pytest.approx(np.std([0.7, 0.6], ddof=1))
    assert values["auroc_class_a", 50] == pytest.approx(0.8)
    assert values["auroc_by_class", 1] == pytest.approx(0.8)  # "a" is the second class
    assert values["auroc_by_class", 0] == pytest.approx(0.7)
    assert not [name for name, _ in values if name.startswith("threshold") or name.startswith("fit_seconds_std")]


def test_how_many_rows_they_rest_on_is_among_the_metrics() -> None:
    values = {value.name: value.value for value in comparison_values(CELLS, ("b", "a"))}
    assert {name: value for name, value in values.items() if name.startswith("n_")} == {
        "n_normal_min": 5, "n_normal_max": 5, "n_anomalies_min": 6, "n_anomalies_max": 7, "n_class_min": 2,
    }  # fmt: skip
    assert fewest_tested(CELLS, ("b", "a", "rare")) == {"b": 5, "a": 4, "rare": 2}
    of_cell = {(value.name, value.step): value.value for value in cell_values(CELLS[0].result)}
    assert (of_cell["n_normal", 50], of_cell["n_anomalies", 50]) == (5, 7)


def test_one_seed_has_no_deviation_over_seeds() -> None:
    names = {value.name for value in comparison_values(CELLS[:2], ("a", "b"))}
    assert "auroc_std_over_seeds" not in names
    assert "auroc_std_over_classes" in names


def test_comparisons_and_heads_are_chosen_by_validation_alone() -> None:
    assert validation_auroc(CELLS) == pytest.approx(np.mean([0.7, 0.8, 0.9, 0.6]))
    heads = best_heads([*CELLS[::-1], done("c", 2, (0.5, 0.5), (0.8, 0.8)), done("c", 1, (0.1, 0.1), (0.7, 0.7))])
    assert (heads["a"][0].seed, heads["a"][1]) == (0, 50)  # seed 1 has as good a one at 20 epochs
    assert (heads["b"][0].seed, heads["b"][1]) == (0, 20)
    assert (heads["c"][0].seed, heads["c"][1]) == (1, 20)  # its first seed, though the other validates better
