"""Pixel figures in the report: of what has masks, and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from made_evidence import made

from fanogan_mtl.pages.content import Chart
from fanogan_mtl.report.charts.where import where_section
from fanogan_mtl.report.evidence import Recorded, evidence
from fanogan_mtl.sweep.where import MapExamples, Where

NAMES = ("pixel_auroc", "pixel_auprc", "pixel_aupro", "pixel_aupro_05", "pixel_f1")
SIDE = 8


def with_maps(recorded: Recorded, value: float, kinds: tuple[str, ...] = ("crack",)) -> Recorded:
    """The same, whose cells were held against masks: every figure is `value`, less at earlier budgets."""
    random = np.random.default_rng(0)
    masks = np.zeros((3, SIDE, SIDE), bool)
    masks[:, 2:4, 2:4] = True
    pictures = random.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    maps = random.random((3, SIDE, SIDE)).astype(np.float32)
    examples = MapExamples(pictures, masks, maps, np.array([1, 2, 3]), np.array([0.9, 0.8, 0.7]))
    names = (*NAMES, *(f"pixel_auroc_{kind}" for kind in kinds))
    cells = []
    for cell in recorded.cells:
        last = max(cell.result.metrics)
        metrics = {
            budget: values | dict.fromkeys(names, value if budget == last else 0.1)
            for budget, values in cell.result.metrics.items()
        }
        cells.append(replace(cell, result=replace(cell.result, metrics=metrics, where=Where({}, examples))))
    return replace(recorded, cells=tuple(cells))


class _Dataset:
    classes = tuple("0123456789")


def section_of(*recorded: Recorded) -> Any:
    return where_section(evidence(recorded), {"handwritten": _Dataset()})  # type: ignore[dict-item]


def test_without_masks_there_is_no_section() -> None:
    assert section_of(made("pca"), made("knn")) == []


def test_each_method_with_maps_has_its_figures_at_the_last_budget() -> None:
    sections = section_of(
        with_maps(made("pca"), 0.75),
        with_maps(made("vae"), 0.5, ("crack", "hole")),
        made("knn"),
        made("pca", "optdigits"),
    )
    (section,) = sections
    (table,) = [block for block in section.blocks if hasattr(block, "rows")]
    assert table.columns == ("method", "vae", "pca")
    values = {name: [entry.numbers.get("mean") for entry in entries] for name, entries in table.rows}
    assert values["pixels: AUROC"] == [0.5, 0.75]
    assert values["crack: AUROC"] == [0.5, 0.75]
    assert values["hole: AUROC"] == [0.5, None]
    assert [entry.best for entry in dict(table.rows)["pixels: AUPRO"]] == [False, True]
    assert values["images: AUROC"][1] > 0.5


def test_the_maps_are_of_the_method_that_validation_likes_best() -> None:
    likes = made("pca")
    liked = [
        replace(
            cell,
            result=replace(
                cell.result, metrics={at: each | {"validation_auroc": 0.9} for at, each in cell.result.metrics.items()}
            ),
        )
        for cell in likes.cells
    ]
    (section,) = section_of(with_maps(replace(likes, cells=tuple(liked)), 0.6), with_maps(made("vae"), 0.9))
    (fold,) = [block for block in section.blocks if hasattr(block, "blocks")]
    assert fold.title == "Maps of pca on handwritten, the best by validation"
    assert [isinstance(block, Chart) for block in fold.blocks] == [False, True]
    absent = where_section(evidence([with_maps(made("vae"), 0.9)]), {"handwritten": None})
    assert not [block for block in absent[0].blocks if hasattr(block, "blocks")], "data that isn't here has no names"
