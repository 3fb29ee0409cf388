"""Tuning: a search tries settings of one detector on validation data; at its end the best is tested, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from fanogan_mtl.errors import without_password
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.plan.options import TuneOptions
from fanogan_mtl.plan.words import STUDY
from fanogan_mtl.recording.printed import print_failures, print_marks, print_where_to_look
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.supply.exchange import Exchange, opened_exchange, trial_task
from fanogan_mtl.supply.progress import TaskProgress
from fanogan_mtl.sweep.trial import ask_whether_hopeless
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.text_table import text_table
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.outbox import own_journal, recover
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tuning.outcome import compared, judged, metrics_reached
from fanogan_mtl.tuning.page import CAPTION, write_tuning_page
from fanogan_mtl.tuning.runs import record_best, record_trial, study_tags, take_over
from fanogan_mtl.tuning.study import (
    best_trial,
    enqueue_default,
    finished,
    opened_study,
    value_of,
    why_failed,
)
from fanogan_mtl.tuning.trials import FAILURES, Trials
from fanogan_mtl.tuning.tuning import Tuning, how_to_use, make_tuning, objective_of
from fanogan_mtl.workflows.benchmark import train_and_log
from fanogan_mtl.workflows.hybrid import prepare_features

if TYPE_CHECKING:
    from optuna import Study


def tune(options: TuneOptions) -> int:
    """Tune a detector, and print the table of the default and the best setting.

    Returns
    -------
    int
        Exit status: 1 if trials only failed, or a cell at the end did, else 0.

    Raises
    ------
    UserError
        For a mistake in the options or the data, before anything is trained.
    """
    looked_up = options.extractors != "none" or STUDY in options.detector_params
    tracking = connect() if looked_up else None  # else a mistake is told before a database is made
    tuning = make_tuning(options, tracking)
    execution = tuning.plan.execution
    if execution.dry_run:
        return print_tuning(tuning)
    folder = execution.data_dir / "studies"
    with opened_study(tuning.name, tuning.storage, folder, objective_of(tuning)) as study:
        enqueue_default(study, tuning.default, tuning.space)
        tracking = tracking or connect()
        recover(tracking, execution.data_dir, click.echo)
        with own_journal(tracking, execution.data_dir) as mark:
            return run_study(tuning, study, tracking, options, mark)


def print_tuning(tuning: Tuning) -> int:
    """Print what a search with these options would do; give exit status 0."""
    click.echo(f"study {tuning.name}: {tuning.trials} trials of {tuning.plan.comparisons[0].label}")
    click.echo(f"each trains {len(tuning.plan.cells)} cells; the first is the default setting")
    if tuning.pretrainings:
        click.echo(f"on {len(tuning.pretrainings)} extractors, made before the first")
    for name, values in tuning.space.items():
        click.echo(f"{name}: {json.dumps(asdict(values))}")
    return 0


def run_study(tuning: Tuning, study: Study, tracking: Tracking, options: TuneOptions, mark: Mapping[str, str]) -> int:
    """Run the missing trials, record them in a run with the tags `mark`, and score the best; give the exit status."""
    execution = tuning.plan.execution
    typed = {name: str(value) for name, value in asdict(options).items()} | {"study_name": study.study_name}
    typed["storage"] = without_password(typed["storage"])
    tags = {schema.ENTRY: "tune", **environment_tags(execution.device), **study_tags(study), **mark}
    run_id = records.start_run(tracking, "sweep", f"tune {options.dataset}", Record(typed, tags=tags))
    sweep: Sweep | None = None
    try:
        take_over(tracking, run_id, study)
        click.echo(f"study {study.study_name}: {tuning.trials} trials, {len(finished(study))} of them done before")
        with execution.open_workers() as workers, ExitStack() as stack:
            cells = tuning.needed_cells
            if tuning.pretrainings:
                prepare_features(tracking, run_id, tuning.pretrainings, cells, execution, workers)
            exchange = stack.enter_context(opened_exchange(tracking, run_id, cells, execution, workers))
            trials = run_trials(tuning, study, tracking, run_id, workers, exchange)
            best = best_trial(study)
            if best is None or trials.in_vain >= FAILURES:
                records.finish(tracking, run_id, "FAILED")
                failed = f"{trials.in_vain} trials in a row failed, the last: {trials.last_failure}"
                late = "the timeout was over before a trial was complete: start again with more time"
                click.echo(f"Error: {failed if trials.in_vain else late}", err=True)
                return 1
            plan = replace(tuning.plan, comparisons=judged(tuning, study, best))
            sweep = Sweep.begin(tracking, plan, typed, "tune", run_id)
            results = train_and_log(sweep, workers, exchange)
            while sweep.take_up_lost():
                results = train_and_log(sweep, workers, exchange)
        rows, sentence = compared(tuning, study, best, results)
        reached = metrics_reached(tuning, study, best, results)
        record_best(tracking, run_id, tuning.detector.name, tuning.chosen(best.user_attrs["parameters"]), reached)
        with TemporaryDirectory() as temporary:
            files = write_tuning_page(study, rows, sentence, Path(temporary))
            records.write(tracking, run_id, Record(files=files))
    except BaseException as error:
        records.finish_after(error, sweep.close if sweep else partial(records.finish, tracking, run_id))
        raise
    sweep.close("FAILED" if sweep.failed else "FINISHED")
    click.echo(f"\n{CAPTION.removesuffix('.')}:\n\n{text_table(rows)}")
    print_marks([(each.planned.dataset.name, each.planned.setting, each.marks) for each in results.values()])
    click.echo(f"\n{sentence}\nUse it: {how_to_use(options, study.study_name, best.user_attrs['parameters'])}")
    print_failures(sweep)
    print_where_to_look(tracking, run_id)
    return 1 if sweep.failed else 0


def run_trials(
    tuning: Tuning, study: Study, tracking: Tracking, run_id: str, workers: Workers, exchange: Exchange | None = None
) -> Trials:
    """Run the trials that are missing; each is recorded as it ends."""
    execution = tuning.plan.execution
    trials = Trials(study, tuning.default, tuning.space, tuning.cells, tuning.trials, tuning.seed, tuning.timeout)
    if not trials.missing:
        return trials
    done = len(finished(study))
    with (
        workers.answering(trials.is_hopeless) as channel,
        TaskProgress("trials", tuning.trials, partial(_best_so_far, study), done) as progress,
    ):
        run = trial_task(exchange, execution, partial(ask_whether_hopeless, channel=channel))
        while trials.missing:
            for outcome in workers.run(run, trials.begin(), ahead=False):
                trial = trials.end(outcome)
                record_trial(tracking, run_id, study, trial)
                if failure := why_failed(trial):
                    tqdm.write(f"trial {trial.number} failed: {failure[:200]}")
                else:
                    progress.update(())
    return trials


def _best_so_far(study: Study) -> str:
    best = best_trial(study)
    return f"best {percent(value_of(best))} (trial {best.number})" if best else ""
