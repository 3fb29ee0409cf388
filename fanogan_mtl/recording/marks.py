"""Marks on comparisons whose figures may mean nothing: found, kept as tags in MLflow, explained to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from fanogan_mtl.detectors.registry import caveats
from fanogan_mtl.evaluation import sanity
from fanogan_mtl.recording.summary import fewest_tested
from fanogan_mtl.sweep.result import DoneCell
from fanogan_mtl.tracking import names, schema

MARKED = "not to be taken as it stands"

Marks = Mapping[str, str]
"""A mark of a few words to the sentence that explains it."""


def find_marks(
    detector: str, cells: Sequence[DoneCell], classes: Sequence[str], failures: Mapping[str, str], n_cells: int
) -> dict[str, str]:
    """Find the marks of a comparison.

    Parameters
    ----------
    detector : str
        Its name.
    cells : sequence of DoneCell
        The finished ones.
    classes : sequence of str
        Names of the data set's classes.
    failures : mapping
        Name of a failed cell to what went wrong.
    n_cells : int
        How many were planned.
    """
    found = dict(caveats(detector))
    found |= sanity.marks({cell_name(cell): cell.result.checks for cell in cells if cell.result.checks})
    if "transductive" in found:
        found.pop("depends on company", None)  # it says the same
    found |= sanity.few_tested(fewest_tested(cells, classes))
    return found | sanity.failed_cells(failures, n_cells)


def mark_tags(marks: Marks, seen: str) -> dict[str, str]:
    """Tags of a comparison's run; its description has `seen`, what the extractor had seen, and the marks' sentences."""
    lines = [f"**{mark}**: {sentence}" for mark, sentence in marks.items()]
    return {
        schema.MARKS: ", ".join(marks) or "none",
        **names.pieces(schema.MARKS_EXPLAINED, json.dumps(dict(marks), ensure_ascii=False)),
        schema.NOTE: "\n\n".join(filter(None, [seen, *lines])),
    }


def rank(marks: Marks, validation_auroc: float) -> tuple[int, float]:
    """Sort key by which winners are chosen, the greatest wins: fewest marks, then the validation AUROC."""
    return -len(marks), validation_auroc


def cell_name(cell: DoneCell) -> str:
    """Name a cell of a comparison for people."""
    against = f" against {cell.anomalous_class}" if cell.anomalous_class is not None else ""
    return f"class {cell.normal_class}{against}, seed {cell.seed}"


def explained(marked: Iterable[tuple[str, str, Marks]]) -> list[str]:
    """One line per mark and data set, with all methods that have it.

    Parameters
    ----------
    marked : iterable of (data set, method, marks)
    """
    methods: dict[tuple[str, str, str], list[str]] = {}
    for dataset, method, marks in marked:
        for mark, sentence in marks.items():
            methods.setdefault((dataset, mark, sentence), []).append(method)
    return [f"{dataset} · {', '.join(own)}: {mark}: {sentence}" for (dataset, mark, sentence), own in methods.items()]
