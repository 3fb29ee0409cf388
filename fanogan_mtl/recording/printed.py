"""What a sweep prints at its end: the table of results, what failed, and where to look."""

from __future__ import annotations

from collections.abc import Sequence

import click

from fanogan_mtl.detectors.registry import takes
from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.recording.marks import MARKED, Marks, explained
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.sweep.tested import together
from fanogan_mtl.text_table import text_table
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.views import is_server, save_view

_DEVIATIONS = ("auroc_std_over_seeds", "auroc_std_over_classes")
VIEWED = [
    column
    for name, metric in METRICS.items()
    if metric.in_view
    for column in (name, *(each for each in _DEVIATIONS if each.startswith(name)))
]
"""Metrics that are columns of the view in MLflow."""


def print_results(results: Sequence[ComparisonResult]) -> None:
    """Print mean AUROC in percent, one row per detector, one column per data set, and how many images it rests on."""
    if not results:
        return
    budget = max(results[0].auroc)
    several = any(result.std_over_seeds for result in results)
    over = "seeds" if several else "classes"
    datasets = list(dict.fromkeys(result.planned.dataset.name for result in results))
    cells = {
        (result.planned.label, result.planned.dataset.name): percent(
            result.auroc[budget], (result.std_over_seeds if several else result.std_over_classes).get(budget)
        )
        + ("*" if result.marks else "")
        for result in results
    }
    detectors = list(dict.fromkeys(detector for detector, _ in cells))
    rows = [["detector", *map(_shortened, datasets)]]
    rows += [[detector, *(cells.get((detector, dataset), "-") for dataset in datasets)] for detector in detectors]
    trained = any(takes(result.planned.comparison.detector, "epochs") for result in results)
    at = f" at {budget} epochs" if trained else ""
    click.echo(f"\nMean AUROC in percent{at}, ± std over {over}:\n\n{text_table(rows)}\n")
    for dataset in datasets:
        own = [result for result in results if result.planned.dataset.name == dataset]
        count = together(result.tested for result in own).text(own[0].planned.comparison.unit)
        click.echo(f"{_shortened(dataset)}: each AUROC rests on {count}")
    print_marks([(result.planned.dataset.name, result.planned.label, result.marks) for result in results])


def print_marks(marked: Sequence[tuple[str, str, Marks]]) -> None:
    """Print why figures are marked: of each (data set, method, marks)."""
    if lines := explained(marked):
        click.echo(f"\n* {MARKED}:\n")
        for line in lines:
            click.echo(f"  {line}")


def print_failures(sweep: Sweep) -> None:
    """Print the cells that failed, and how to try them again."""
    failed = [cell for cell in sweep.plan.cells if cell.key in sweep.failed]
    if not failed:
        return
    click.echo(
        f"\n{len(failed)} cells failed (their runs in MLflow have the traceback; -P retry=true tries them again):\n"
    )
    for cell in failed:
        click.echo(f"  {cell}: {sweep.failed[cell.key][:200]}")


def print_where_to_look(tracking: Tracking, sweep_id: str) -> None:
    """Print how to open the MLflow UI at the comparisons of a sweep."""
    page = save_view(tracking, sweep_id, VIEWED)
    if is_server(tracking):
        click.echo(f"\nLook at it: {page}")
    else:
        click.echo(f"\nLook at it: mlflow ui --backend-store-uri {tracking.shown}\nand open    {page}")


def _shortened(dataset: str) -> str:
    members = dataset.split("+")
    return dataset if len(members) == 1 else f"all {len(members)} pooled"
