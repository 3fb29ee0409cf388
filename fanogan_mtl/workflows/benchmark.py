"""The benchmark: every detector on every data set, class and seed; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict

import click

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import Plan, make_plan
from fanogan_mtl.plan.words import STUDY
from fanogan_mtl.recording.printed import print_failures, print_results, print_where_to_look
from fanogan_mtl.recording.results import ComparisonResult, read_results
from fanogan_mtl.recording.state import read_state
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.supply.exchange import Exchange, cell_task, opened_exchange
from fanogan_mtl.supply.models import log_models
from fanogan_mtl.supply.progress import CellProgress, duration, estimate_seconds
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tuning.runs import study_finder


def benchmark(options: BenchmarkOptions, tracking: Tracking | None = None, workers: Workers | None = None) -> int:
    """Run the benchmark and print its table.

    Parameters
    ----------
    workers : Workers, optional
        Already at work; by default, workers of its own.

    Returns
    -------
    int
        Exit status: 1 if a cell failed, else 0.

    Raises
    ------
    UserError
        For a mistake in the options or the data, before anything is trained.
    """
    if tracking is None and STUDY in options.detector_params:  # else a mistake is told before a database is made
        tracking = connect()
    plan = make_plan(options, study_finder(tracking))
    if workers is None:
        plan.execution.prepare_workers()  # MLflow may have a database to make meanwhile
    tracking = tracking or connect()
    if plan.execution.dry_run:
        return print_plan(plan, tracking)
    return run_plan(plan, tracking, options, "benchmark", workers=workers)


def run_plan(
    plan: Plan,
    tracking: Tracking,
    options: BenchmarkOptions,
    entry: str,
    prepare: Callable[[Sweep, Workers], None] | None = None,
    workers: Workers | None = None,
) -> int:
    """Run a plan's cells, record them, print their table; give the exit status.

    Parameters
    ----------
    entry : str
        The entry point's name.
    prepare : callable, optional
        Obtains what cells need before they can run.
    workers : Workers, optional
        Already at work; by default, workers of its own.
    """
    sweep = Sweep.begin(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, entry)
    try:
        with nullcontext(workers) if workers else plan.execution.open_workers() as workers:
            while True:
                if prepare:
                    prepare(sweep, workers)
                with opened_exchange(tracking, sweep.run_id, plan.cells, plan.execution, workers) as exchange:
                    results = train_and_log(sweep, workers, exchange)
                if not sweep.take_up_lost():
                    break
        sweep.add_overview(list(results.values()))
    except BaseException as error:
        records.finish_after(error, sweep.close)
        raise
    sweep.close("FAILED" if sweep.failed else "FINISHED")
    print_results(list(results.values()))
    print_failures(sweep)
    print_where_to_look(tracking, sweep.run_id)
    return 1 if sweep.failed else 0


def train_and_log(sweep: Sweep, workers: Workers, exchange: Exchange | None) -> dict[str, ComparisonResult]:
    """Train what is not done yet, and log the models; give the results by comparison key.

    If `sweep.take_up_lost` then finds lost results, it must be called once more.
    """
    train_cells(sweep, workers, exchange)
    results = read_results(sweep.tracking, sweep.plan.comparisons, sweep.comparison_runs)
    log_models(sweep, results, workers, exchange)
    return results


def train_cells(sweep: Sweep, workers: Workers, exchange: Exchange | None) -> None:
    """Train what is not done yet; each cell is recorded as it ends, and all are in MLflow at the end."""
    execution, cells = sweep.plan.execution, sweep.plan.cells
    click.echo(f"{len(cells)} cells, {len(cells) - len(sweep.pending)} of them done before")
    if not sweep.pending:
        sweep.settle()
        return
    with CellProgress(sweep.pending, len(cells), execution.n_workers) as progress:
        for outcome in workers.run(cell_task(exchange, execution), list(sweep.pending)):
            progress.update(outcome.item, outcome.result, outcome.running, sweep.news)
            sweep.record(outcome.item, outcome.result, outcome.failure)
    sweep.settle()


def print_plan(plan: Plan, tracking: Tracking, timed: bool = True) -> int:
    """Print what a run with these options would do, and if `timed` about how long it takes; give exit status 0."""
    state = read_state(tracking, plan)
    pending = [cell for cell in plan.cells if cell.key not in state.done and cell.key not in state.failed]
    for planned in plan.comparisons:
        done = sum(cell.key in state.done for cell in planned.cells)
        failed = sum(cell.key in state.failed for cell in planned.cells)
        click.echo(
            f"{planned.dataset.name} · {planned.label} ({planned.setting}): {len(planned.cells)} cells, "
            f"{done} done" + (f", {failed} failed" if failed else "")
        )
    so_far = f"{len(state.done)} done, {len(state.failed)} failed"
    todo = f"{len(pending)} to train"
    if timed:
        seconds = duration(estimate_seconds(plan, pending)) if pending else "0 s"
        todo += f", about {seconds} with {plan.execution.n_workers} workers"
    click.echo(f"{len(plan.cells)} cells: {so_far}, {todo}")
    return 0
