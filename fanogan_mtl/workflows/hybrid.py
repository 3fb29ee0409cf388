"""Detectors on extractors' features: the benchmark once more, after the extractors it needs are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from fanogan_mtl.data.cache import in_use
from fanogan_mtl.plan.hybrid import make_hybrid_plan
from fanogan_mtl.plan.options import HybridOptions
from fanogan_mtl.plan.plan import Execution
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.supply.extractors import feature_tasks, features_there, obtain_extractors, obtain_features
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.pretraining import Pretraining, extractor_folder
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tuning.runs import study_finder
from fanogan_mtl.workflows.benchmark import print_plan, run_plan


def hybrid(options: HybridOptions, tracking: Tracking | None = None, workers: Workers | None = None) -> int:
    """Run detectors on features and print their table.

    Returns
    -------
    int
        Exit status: 1 if a cell failed, else 0.

    Raises
    ------
    UserError
        For a mistake in the options or the data, before anything is trained.
    """
    tracking = tracking or connect()
    hybrid_plan = make_hybrid_plan(options, study_finder(tracking))
    plan, execution = hybrid_plan.plan, hybrid_plan.plan.execution
    if execution.dry_run:
        missing = [key for key in hybrid_plan.pretrainings if not in_use(extractor_folder(execution.data_dir, key))]
        click.echo(f"{len(hybrid_plan.pretrainings)} extractors, {len(missing)} of them not in the data folder")
        tasks = feature_tasks(plan.cells, execution.data_dir)
        return print_plan(plan, tracking, timed=len(tasks) == features_there(tasks, execution.data_dir))

    def prepare(sweep: Sweep, workers: Workers) -> None:
        prepare_features(tracking, sweep.run_id, hybrid_plan.pretrainings, sweep.pending, execution, workers)

    return run_plan(plan, tracking, options, "hybrid", prepare, workers)


def prepare_features(
    tracking: Tracking,
    run_id: str,
    pretrainings: Mapping[str, Pretraining],
    cells: Sequence[Cell],
    execution: Execution,
    workers: Workers,
) -> None:
    """Have the extractors (recorded under that run) and the features that cells read."""
    obtain_extractors(tracking, run_id, pretrainings, execution, workers)
    tasks = feature_tasks(cells, execution.data_dir)
    click.echo(f"{len(tasks)} feature files, {features_there(tasks, execution.data_dir)} of them there")
    obtain_features(tasks, execution, workers)
