"""The study in one command: preprocess, benchmark, pretrain, hybrid, report; a step that is done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.hybrid import HybridPlan, make_hybrid_plan
from fanogan_mtl.plan.options import (
    BenchmarkOptions,
    HybridOptions,
    PreprocessOptions,
    PretrainOptions,
    ReportOptions,
    StudyOptions,
)
from fanogan_mtl.plan.plan import Plan, make_plan
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.evidence import report_key
from fanogan_mtl.recording.state import read_state
from fanogan_mtl.supply.extractors import recorded_extractors, training_beside
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.workflows.benchmark import benchmark
from fanogan_mtl.workflows.hybrid import hybrid
from fanogan_mtl.workflows.preprocess import preprocess, preprocess_key
from fanogan_mtl.workflows.pretrain import pretrain
from fanogan_mtl.workflows.report import PAGE, report

_STEPS = 5


def study(options: StudyOptions) -> int:
    """Do the whole study.

    Returns
    -------
    int
        Exit status: 1 if a cell failed, else 0; the report is written all the same.

    Raises
    ------
    UserError
        For a mistake in the options or the data, before anything is trained.
    """
    plan = make_plan(_benchmark(options))
    plan.execution.prepare_workers()
    tracking = connect()
    hybrid_plan = make_hybrid_plan(_hybrid(options)) if all(data.is_images for _, data in plan.datasets) else None
    if plan.execution.dry_run:
        return benchmark(_benchmark(options), tracking) or (hybrid(_hybrid(options), tracking) if hybrid_plan else 0)
    with (
        entry_run(tracking, "study", options.dataset, options, options.device, plan.execution.data_dir) as run_id,
        plan.execution.open_workers() as workers,
    ):
        own = replace(tracking, adopted_run_id=None, parent_run_id=run_id)
        return _steps(options, own, plan, hybrid_plan, workers)


def _steps(
    options: StudyOptions, tracking: Tracking, plan: Plan, hybrid_plan: HybridPlan | None, workers: Workers
) -> int:
    status = 0

    def step(number: int, name: str, done: bool, do: Callable[[], int]) -> None:
        nonlocal status
        click.echo(f"\n[{number}/{_STEPS}] {name}{': done before' if done else ''}")
        status |= 0 if done else do()

    def benchmark_step() -> int:
        needed = hybrid_plan.pretrainings.values() if hybrid_plan else ()
        with training_beside(needed, plan.execution, workers):
            return benchmark(_benchmark(options), tracking, workers)

    key = preprocess_key([data for _, data in plan.datasets])
    step(1, "preprocess", bool(_finished(tracking, "preprocess", **{schema.PREPROCESS_KEY: key})),
         lambda: preprocess(_chosen(PreprocessOptions(), options), tracking))  # fmt: skip
    step(2, "benchmark", _is_done(tracking, plan), benchmark_step)
    if hybrid_plan:
        needed = hybrid_plan.pretrainings
        step(3, "pretrain", set(needed) <= set(recorded_extractors(tracking)),
             lambda: pretrain(_chosen(PretrainOptions(), options), tracking, workers))  # fmt: skip
        step(4, "hybrid", _is_done(tracking, hybrid_plan.plan), lambda: hybrid(_hybrid(options), tracking, workers))
    else:
        click.echo(f"\n[3/{_STEPS}] pretrain and [4/{_STEPS}] hybrid: left out, extractors take images, not vectors")
    comparisons = records.find_comparisons(tracking)
    page = Path(options.output).expanduser().resolve() / PAGE
    written = bool(_finished(tracking, "report", **{schema.REPORT_KEY: report_key(comparisons)})) and page.is_file()
    step(5, "report", written, lambda: report(_chosen(ReportOptions(), options), tracking))
    if written:
        click.echo(f"\nThe report is {page}, its numbers are in results.csv and results.parquet beside it.")
    return status


def _finished(tracking: Tracking, level: str, **tags: str) -> list[object]:
    return [run for run in records.find_runs(tracking, level=level, **tags) if run.status == schema.DONE]


def _is_done(tracking: Tracking, plan: Plan) -> bool:
    """Whether every cell has finished, and every comparison is complete."""
    state = read_state(tracking, plan)
    complete = all(run.status == schema.DONE for run in state.comparisons.values())
    return complete and all(cell.key in state.done for cell in plan.cells)


def _chosen(defaults: Any, options: StudyOptions) -> Any:
    """Another entry's options, with the values of those that `main` has under the same name."""
    given = asdict(options)
    return replace(defaults, **{each.name: given[each.name] for each in fields(defaults) if each.name in given})


def _benchmark(options: StudyOptions) -> BenchmarkOptions:
    chosen: BenchmarkOptions = _chosen(BenchmarkOptions(), options)
    return chosen


def _hybrid(options: StudyOptions) -> HybridOptions:
    """The hybrid's options: its own detectors unless others were chosen, and the parameters of those."""
    detectors = HybridOptions.detectors if options.detectors == StudyOptions.detectors else options.detectors
    parameters = options.detector_params
    if parameters.lstrip().startswith("{"):
        names = [name.strip() for name in detectors.split(",")]
        of_all = read.parse_object("detector_params", parameters, read.EXAMPLE)
        own = {name: value for name, value in of_all.items() if name in names}
        parameters = json.dumps(own) if own else "none"
    chosen: HybridOptions = _chosen(HybridOptions(), options)
    return replace(chosen, detectors=detectors, detector_params=parameters)
