"""Records a sweep in MLflow: each cell as it ends, each comparison when it is complete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tqdm import tqdm

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.plan import Plan, PlannedComparison
from fanogan_mtl.recording.collected import collected
from fanogan_mtl.recording.marks import find_marks, mark_tags
from fanogan_mtl.recording.pages import write_cell_figures, write_comparison_page, write_overview
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.recording.state import (
    RESULT_FILE,
    Finished,
    State,
    changed_spec,
    data_input,
    finished_cells,
    finished_tags,
    read_state,
    spec_tags,
    told_lost,
)
from fanogan_mtl.recording.summary import cell_values, comparison_values, lacks_metrics
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.sweep.workers import Failure
from fanogan_mtl.tracking import names, records, schema
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.journal import CellRecord, ComparisonRecord, Journal, new_journal
from fanogan_mtl.tracking.outbox import Outbox, comparison_run, journal_folder, recover
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.schema import CellRun, ComparisonRun

NEWS_SECONDS = 10


class Sweep:
    """A sweep that runs: its run in MLflow, and what of its plan is recorded; made by `Sweep.begin`.

    Attributes
    ----------
    run_id : str
    pending : list of Cell
        What is still to be trained.
    failed : dict
        Key of a failed cell to what went wrong.
    """

    @classmethod
    def begin(
        cls, tracking: Tracking, plan: Plan, options: Mapping[str, str], entry: str, run_id: str | None = None
    ) -> Sweep:
        """Begin or resume a sweep.

        Results that dead processes left are sent to MLflow, unfinished runs of cells are deleted, and comparisons of
        the plan that are recorded already become this sweep's as well.

        Parameters
        ----------
        options : mapping
            The options as typed: they become the sweep's parameters.
        entry : str
            The entry point's name.
        run_id : str, optional
            The sweep's run, if it has begun.
        """
        data_dir = plan.execution.data_dir
        recover(tracking, data_dir, click.echo)
        state = read_state(tracking, plan)
        environment = environment_tags(plan.execution.device)
        journal = new_journal(journal_folder(tracking, data_dir), run_id or tracking.adopted_run_id or "")
        record = Record(options, tags={schema.ENTRY: entry, schema.JOURNAL: journal.name, **environment})
        run_id = run_id or records.start_run(tracking, "sweep", f"{entry} {options['dataset']}", record)
        records.log_data(tracking, run_id, [data_input(*each) for each in plan.datasets])
        if state.lost:
            click.echo(f"{told_lost(state.lost)}: trained again")
        for leftover in state.leftovers:
            records.delete_run(tracking, leftover)
        for unfinished in state.unfinished:
            if records.get_run(tracking, unfinished).status not in schema.ENDED:  # else another process has ended it
                records.delete_run(tracking, unfinished)
        sweep = cls(tracking, plan, run_id, environment, state, journal)
        for key, run in state.comparisons.items():
            sweep._join(key, run)
        return sweep

    def __init__(
        self,
        tracking: Tracking,
        plan: Plan,
        run_id: str,
        environment: Mapping[str, str],
        state: State,
        journal: Journal,
    ) -> None:
        self.tracking, self.plan, self.run_id, self.environment = tracking, plan, run_id, environment
        self.failed = state.failed
        self.pending = [cell for cell in plan.cells if cell.key not in state.done and cell.key not in state.failed]
        self.comparison_runs = {key: run.run_id for key, run in state.comparisons.items()}
        self._journal = journal
        self._outbox = Outbox(tracking, journal, self.comparison_runs)
        self._planned = {each.comparison.key: each for each in plan.comparisons}
        self._lost: dict[str, CellRun] = {}
        self._removed: dict[str, Cell] = {}  # by another sweep, or a person, after this one had recorded it
        self._taken_up: set[str] = set()
        self._missing = Counter(cell.comparison.key for cell in self.pending)

    def _join(self, key: str, run: ComparisonRun) -> None:
        """Take a comparison that is recorded already as one of this sweep's."""
        records.join_sweep(self.tracking, run, self.run_id)
        if joined := changed_spec(run, self._planned[key].comparison):  # the data have moved
            records.write(self.tracking, run.run_id, Record(tags=joined))
        if self._missing[key]:
            records.reopen(self.tracking, run.run_id)
        elif not run.is_complete or lacks_metrics(run):  # cut short before its summary, or of an older version
            self._outbox.then(partial(self._complete, self._planned[key]))
        elif run.status == schema.DONE and not run.finished_cells:  # of an older version
            finished = {cell.key for cell in self._planned[key].cells} - self.failed.keys()
            records.write(self.tracking, run.run_id, Record(tags=finished_tags(finished)))

    def record(self, cell: Cell, result: CellResult | None, failure: Failure | None) -> None:
        """Take a cell that has ended: it is on disk when this returns, and in MLflow soon, with its comparison after
        the last.

        Raises
        ------
        UserError
            If the disk has no room.
        """
        planned = self._planned[cell.comparison.key]
        with TemporaryDirectory() as folder:
            try:
                record = self._cell_record(planned, cell, result, failure, Path(folder))
            except OSError as error:
                raise UserError(f"{cell} is not recorded: {folder} can't be written ({error.strerror})") from None
            self._outbox.put(
                CellRecord(cell.key, str(cell), self._comparison_record(planned), record, failure is not None)
            )
        if failure:
            self.failed[cell.key] = failure.message
        self._missing[cell.comparison.key] -= 1
        if not self._missing[cell.comparison.key]:
            self._outbox.then(partial(self._complete, planned))

    def lose(self, planned: PlannedComparison, finished: Finished) -> bool:
        """Note which of the plan's cells have no result, or no run any more; tell whether there are any."""
        own = {cell.key: cell for cell in planned.cells}
        lost = {run.key: run for run in finished.lost if run.key in own}
        there = {done.cell.key for done in finished.cells} | lost.keys() | self.failed.keys()
        removed = {key: cell for key, cell in own.items() if key not in there}
        self._lost |= lost
        self._removed |= removed
        if others := [run for run in finished.lost if run.key not in own]:
            what = f"{planned.dataset.name} · {planned.label}"
            tqdm.write(f"left out of {what}: {told_lost(others)}; the sweep that has it trains it again by retry=true")
        return bool(lost or removed)

    def take_up_lost(self) -> bool:
        """Plan again what `lose` noted, and cells whose runs were removed; tell whether there are any.

        Raises
        ------
        UserError
            If a result is lost that this process has just written.
        """
        lost, self._lost = self._lost, {}
        removed, self._removed = self._removed, {}
        if not lost and not removed:
            return False
        if written := [lost[key] for key in lost.keys() & self._taken_up]:
            raise UserError(f"{told_lost(written)}, just after it was written: see to the artifact store")
        self._taken_up |= lost.keys()
        if lost:
            click.echo(f"{told_lost(list(lost.values()))}: trained again")
        if removed:
            click.echo(f"{', '.join(map(str, removed.values()))}: the run was removed meanwhile; trained again")
        self.pending = [cell for cell in self.plan.cells if cell.key in lost.keys() | removed.keys()]
        for run in lost.values():
            records.delete_run(self.tracking, run.run_id)
        for cell in self.pending:
            self._missing[cell.comparison.key] += 1
        for key in {cell.comparison.key for cell in self.pending}:
            records.reopen(self.tracking, self.comparison_runs[key])
        return True

    @property
    def news(self) -> str:
        """A note for the progress line while the tracking server is away; else empty."""
        if not self._outbox.away_for:
            return ""
        return f"the tracking server is away for {self._outbox.away_for:.0f} s: {self._outbox.waiting} results wait"

    def settle(self) -> None:
        """Wait until everything taken is in MLflow.

        Raises
        ------
        ServerAway
            If the tracking server has been away for long; what waits is safe.
        """
        while not self._outbox.wait(NEWS_SECONDS):
            click.echo(self.news or f"{self._outbox.waiting} results are on their way to MLflow")

    def add_overview(self, results: Sequence[ComparisonResult]) -> None:
        """Add the page that sets the sweep's comparisons side by side."""
        if results:
            with TemporaryDirectory() as folder:
                records.write(self.tracking, self.run_id, Record(files=write_overview(results, Path(folder))))

    def close(self, status: str) -> None:
        """End the sweep's run, and its comparisons that did not get to their end.

        While the server is away this is left to whoever starts the same command again.
        """
        done = self._outbox.close()
        if self._outbox.away_for:
            return
        unfinished = {key for key, missing in self._missing.items() if missing and key in self.comparison_runs}
        for run in records.find_comparisons(self.tracking) if unfinished else ():  # others may have merged ours
            if run.key in unfinished and run.status == "RUNNING":
                records.finish(self.tracking, run.run_id, "KILLED")
        records.finish(self.tracking, self.run_id, status)
        if done:
            self._journal.close()

    def _comparison_record(self, planned: PlannedComparison) -> ComparisonRecord:
        comparison = planned.comparison
        tags = {schema.SWEEPS: self.run_id, **self.environment, **spec_tags(comparison)}
        if planned.seen:
            tags[schema.NOTE] = planned.seen
        parameters = json.loads(comparison.parameters)
        parameters |= {"budgets": ",".join(map(str, comparison.budgets)), "limit": comparison.limit or "none"}
        if comparison.extractor:
            of_extractor = json.loads(planned.extractor_parameters)
            parameters |= {f"extractor_{parameter}": value for parameter, value in of_extractor.items()}
        parameters |= _grouping(planned)
        return ComparisonRecord(
            comparison.key,
            f"{planned.dataset.name} · {planned.label}",
            self.run_id,
            tags,
            {name: str(value) for name, value in parameters.items()},
            data_input(comparison.dataset, planned.dataset),
        )

    def _cell_record(
        self, planned: PlannedComparison, cell: Cell, result: CellResult | None, failure: Failure | None, folder: Path
    ) -> Record:
        draw = schema.cell_parameters(cell.normal_class, cell.anomalous_class, cell.seed)
        parameters = {**_grouping(planned), **draw}
        tags = {schema.CELL_KEY: cell.key, schema.COMPARISON_KEY: cell.comparison.key, **self.environment}
        if cell.extractor_key:
            tags[schema.EXTRACTOR_KEY] = cell.extractor_key
        if result is None:
            assert failure is not None
            note = f"**{names.shortened(failure.message, 1500)}**\n\n```\n{failure.traceback[-6000:]}\n```"
            return Record(parameters, (), {**tags, schema.FAILURE: failure.message, schema.NOTE: note})
        result.save(folder / RESULT_FILE)
        files = [folder / RESULT_FILE, *write_cell_figures(result, folder)]
        return Record(parameters, cell_values(result), tags, files, records.now())

    def _complete(self, planned: PlannedComparison) -> None:
        """Log what a comparison's cells say together; done twice, it changes nothing."""
        self.comparison_runs.pop(planned.comparison.key, None)  # it may have been merged into another sweep's
        run_id = comparison_run(self.tracking, self._comparison_record(planned), self.comparison_runs)
        finished = finished_cells(self.tracking, planned.comparison)
        if self.lose(planned, finished):
            return  # until they are trained again
        failures = {str(cell): self.failed[cell.key] for cell in planned.cells if cell.key in self.failed}
        marks = find_marks(
            planned.comparison.detector, finished.cells, planned.dataset.classes, failures, len(planned.cells)
        )
        if cells := finished.cells:
            values = comparison_values(cells, planned.dataset.classes)
            with TemporaryDirectory() as folder:
                files = write_comparison_page(planned, cells, self._cells_on_pixels(planned), marks, Path(folder))
                files += collected(finished, Path(folder))
                records.write(self.tracking, run_id, Record(values=values, files=files, time=finished.newest))
            for run, cell in zip(finished.runs, cells, strict=True):
                if lacks_metrics(run):
                    records.write(self.tracking, run.run_id, Record(values=cell_values(cell.result), time=run.ended))
        records.write(
            self.tracking,
            run_id,
            Record(tags=mark_tags(marks, planned.seen) | finished_tags(run.key for run in finished.runs)),
        )
        records.finish(self.tracking, run_id, "FAILED" if failures else "FINISHED")

    def _cells_on_pixels(self, planned: PlannedComparison) -> list[DoneCell]:
        """Finished cells of the same detector without the extractor, if the experiment has them."""
        comparison = planned.comparison
        if comparison.extractor is None or comparison.protocol == "unseen-class":
            return []
        on_pixels = replace(comparison, extractor=None, learned=None, protocol=None, common_scale=False)
        return finished_cells(self.tracking, on_pixels).cells


def _grouping(planned: PlannedComparison) -> dict[str, object]:
    """Parameters that people group runs by."""
    return {
        "dataset": planned.dataset.name,
        "detector": planned.comparison.detector,
        schema.SETTING: planned.setting,
        schema.EXTRACTOR: planned.comparison.extractor or "none",
        "protocol": planned.comparison.protocol or "none",
    }
