"""The results of a complete comparison's cells in one file of its run: a report then reads that, not thousands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.evaluation.sanity import Checks
from fanogan_mtl.recording.state import Finished, finished_cells
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.tracking.artifacts import found_file
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.schema import CellRun, ComparisonRun

COLLECTED_FILE = "cells.npz"
OF_TEST = ("scores", "anomaly", "labels", "rows")  # their last axis is that of test rows


def collected(finished: Finished, folder: Path) -> list[Path]:
    """Write the results of finished cells, but for their examples, to one file; to none where there are maps.

    It holds every array of all cells, end to end, and as JSON each cell's key, what it was, and how long its part is.
    """
    results = [cell.result for cell in finished.cells]
    if any(result.where for result in results):
        return []
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in results], axis=-1) for name in OF_TEST
    }
    held_out = [each.normal_scores for each in results if each.normal_scores is not None]
    if held_out:
        arrays["normal_scores"] = np.concatenate(held_out, axis=-1)
    facts = [
        {
            "key": run.key,
            "cell": (cell.normal_class, cell.seed, cell.extractor_key, cell.anomalous_class),
            "metrics": cell.result.metrics,
            "checks": asdict(cell.result.checks) if cell.result.checks else None,
            "weighs_classes": cell.result.weighs_classes,
            "tested": len(cell.result.anomaly),
            "held_out": None if cell.result.normal_scores is None else cell.result.normal_scores.shape[-1],
        }
        for run, cell in zip(finished.runs, finished.cells, strict=True)
    ]
    np.savez_compressed(folder / COLLECTED_FILE, cells=np.array(json.dumps(facts)), **arrays)
    return [folder / COLLECTED_FILE]


def read_cells(
    tracking: Tracking, run: ComparisonRun, comparison: Comparison, changed: bool
) -> tuple[list[DoneCell], list[CellRun]]:
    """Read a comparison's finished cells, from the one file where that has exactly those that its run names.

    Parameters
    ----------
    changed : bool
        Whether a cell was deleted since: then each is looked at.

    Returns
    -------
    cells : list of DoneCell
        Those from the one file have no examples.
    lost : list of CellRun
        As in `Finished`; the one file loses none.
    """
    if run.finished_cells and not changed:
        with found_file(tracking, run, COLLECTED_FILE) as file:
            try:
                keys, cells = _load(file, comparison) if file else ([], [])
            except Exception:  # whatever a damaged file makes of zip, NumPy and JSON
                keys, cells = [], []
        if len(keys) == len(run.finished_cells) and run.finished_cells.issuperset(keys):
            return cells, []
    finished = finished_cells(tracking, comparison)
    return finished.cells, finished.lost


def _load(path: Path, comparison: Comparison) -> tuple[list[str], list[DoneCell]]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    facts = json.loads(str(arrays.pop("cells")))
    parts: list[dict[str, Any]] = [{} for _ in facts]
    for name, array in arrays.items():
        lengths = [each["held_out" if name == "normal_scores" else "tested"] for each in facts]
        there = [part for part, length in zip(parts, lengths, strict=True) if length is not None]
        for part, own in zip(there, _split(array, [length for length in lengths if length is not None]), strict=True):
            part[name] = own
    cells = []
    for fact, part in zip(facts, parts, strict=True):
        metrics = {int(budget): values for budget, values in fact["metrics"].items()}
        checks = Checks(**fact["checks"]) if fact["checks"] else None
        result = CellResult(metrics, checks=checks, weighs_classes=fact["weighs_classes"], **part)
        result.add_metrics()
        cells.append(DoneCell(Cell(comparison, *fact["cell"]), result))
    return [fact["key"] for fact in facts], cells


def _split(array: NDArray[Any], lengths: Sequence[int]) -> list[NDArray[Any]]:
    ends = np.cumsum([0, *lengths]).tolist()
    return [array[..., start:end] for start, end in pairwise(ends)]
