"""Heads for which too few rows are held out get the scores of their training rows as well, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from fanogan_mtl.errors import one_line
from fanogan_mtl.plan.plan import Execution
from fanogan_mtl.supply.extractors import obtain_inputs
from fanogan_mtl.supply.heads import BY_DEFAULT, ChosenHead, Rates
from fanogan_mtl.supply.progress import TaskProgress
from fanogan_mtl.sweep.folds import FoldScores, fold_scores, is_new_to_extractor, trains_quickly
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking.connection import Tracking


def with_fold_scores(
    tracking: Tracking, heads: Sequence[ChosenHead], execution: Execution, workers: Workers, rates: Rates = BY_DEFAULT
) -> list[ChosenHead]:
    """Give the heads, those whose held-out rows can't promise the lowest of the rates with the scores of their folds.

    Detectors that train by epochs stay as they are, and those on an extractor that has learned from the rows; so does,
    with a warning, a head whose detector can't be trained on a part of its rows.

    Raises
    ------
    UserError
        If an extractor of theirs is gone.
    """
    few = [head for head in heads if not head.of_normal.promises(min(rates)) and trains_quickly(head.cell)]
    if not few:
        return list(heads)
    obtain_inputs(tracking, [head.cell for head in few], execution, workers)
    cells = [head.cell for head in few if is_new_to_extractor(head.cell, execution.data_dir)]
    made: dict[str, FoldScores] = {}
    with TaskProgress(f"heads of {few[0].cell.comparison.label} cross-validated", len(cells)) as progress:
        for cell in cells:
            try:
                made[cell.key] = fold_scores(cell, execution.data_dir, execution.device)
            except Exception as error:  # the detector's, for so few rows
                click.echo(f"Warning: {cell} is not cross-validated: {one_line(error)}")
            progress.update(())
    return [replace(head, folds=made.get(head.cell.key)) for head in heads]
