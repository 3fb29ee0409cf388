"""A sweep as it is recorded: what is done already, each cell as it ends, each comparison when it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from fanogan_mtl.data.dataset import Dataset, copy_count
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.sweep.cell import Cell, CellResult, Comparison, DoneCell
from fanogan_mtl.sweep.run import Failure
from fanogan_mtl.tracking import names, records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.journal import CellRecord, ComparisonRecord, new_journal
from fanogan_mtl.tracking.outbox import Outbox, comparison_run, journal_folder, recover
from fanogan_mtl.tracking.records import DataInput, Record
from fanogan_mtl.workflows.marks import find_marks, mark_tags
from fanogan_mtl.workflows.pages import write_cell_figures, write_comparison_page, write_overview
from fanogan_mtl.workflows.plan import Plan, PlannedComparison
from fanogan_mtl.workflows.results import ComparisonResult
from fanogan_mtl.workflows.summary import cell_values, comparison_values

if TYPE_CHECKING:
    from mlflow.entities import Run

RESULT_FILE = "cell.npz"
NEWS_SECONDS = 10
READERS = 8  # results read at a time
SPEC_TAG = "comparison"
"""Tag of a comparison's run: what it compares, for those who make its models later."""


@dataclass
class State:
    """What MLflow knows of a plan.

    Attributes
    ----------
    comparisons : dict
        Comparison key to its run, for those that have one.
    done : set of str
        Keys of finished cells.
    failed : dict
        Key of a failed cell to what went wrong, in one line.
    lost : list of Run
        Finished cells whose result is gone, where that was looked for: see `retry`.
    leftovers : list of str
        Ids of cell runs that a crash cut short, or that are to be tried again.
    """

    comparisons: dict[str, Run]
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[Run] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def read_state(tracking: Tracking, plan: Plan) -> State:
    """Find the plan's comparisons and cells among the experiment's runs.

    A finished cell is taken at its run's word, as reading ten thousand results takes minutes: that one is gone shows
    where it is needed, and with `retry`, which reads them all.
    """
    found = reversed(records.find_runs(tracking, "comparison"))  # of one that was begun twice the first stays
    runs = {run.data.tags["comparison_key"]: run for run in found}
    keys = [each.comparison.key for each in plan.comparisons]
    state = State({key: runs[key] for key in keys if key in runs})
    wanted = {cell.key for cell in plan.cells}
    finished: list[Run] = []
    for key in tqdm(state.comparisons, "finding what is done", delay=2, leave=False):
        runs_of_cells = [
            run
            for run in records.find_runs(tracking, "cell", comparison_key=key)
            if run.data.tags["cell_key"] in wanted
        ]
        spare = {run.info.run_id for run in records.superseded(runs_of_cells)}
        for run in runs_of_cells:
            cell_key = run.data.tags["cell_key"]
            if run.info.run_id in spare:
                state.leftovers.append(run.info.run_id)
            elif run.info.status == "FINISHED":
                finished.append(run)
            elif run.info.status == "FAILED" and not plan.execution.retry:
                state.failed[cell_key] = run.data.tags["failure"]
            else:
                state.leftovers.append(run.info.run_id)
    state.lost = _without_result(tracking, finished) if plan.execution.retry else []
    state.leftovers += [run.info.run_id for run in state.lost]
    state.done = {run.data.tags["cell_key"] for run in finished} - {run.data.tags["cell_key"] for run in state.lost}
    return state


@dataclass(frozen=True)
class Finished:
    """A comparison's finished cells, of all sweeps.

    Attributes
    ----------
    cells : list of DoneCell
    newest : int
        When the newest ended, in milliseconds.
    lost : list of Run
        Those that can't be among `cells`, as their result is gone from the artifact store, or damaged.
    """

    cells: list[DoneCell]
    newest: int
    lost: list[Run]


def finished_cells(tracking: Tracking, comparison: Comparison) -> Finished:
    """Read a comparison's finished cells."""
    runs = [
        run
        for run in records.find_runs(tracking, "cell", comparison_key=comparison.key)
        if run.info.status == "FINISHED"
    ]
    cells, lost = [], []
    for run in runs:
        if result := _read_result(tracking, run):
            of = run.data.params
            anomalous = None if of["anomalous_class"] == "all" else of["anomalous_class"]
            key = run.data.tags.get("extractor_key")
            cells.append(DoneCell(of["normal_class"], int(of["seed"]), result, anomalous, key))
        else:
            lost.append(run)
    cells.sort(key=lambda cell: (cell.seed, cell.normal_class, cell.anomalous_class or ""))
    return Finished(cells, max((run.info.end_time for run in runs), default=0), lost)


def told_lost(runs: Sequence[Run]) -> str:
    """Name cells whose results are gone, for a line that says what comes of it."""
    first = f"{runs[0].info.run_name} (run {runs[0].info.run_id})"
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"the result of {first}{more} is gone from MLflow's artifacts, or damaged"


def _without_result(tracking: Tracking, runs: Sequence[Run]) -> list[Run]:
    with ThreadPoolExecutor(READERS) as readers:
        lost = readers.map(lambda run: _read_result(tracking, run) is None, runs)
        return [run for run in tqdm(runs, "reading results", delay=2, leave=False) if next(lost)]


def _read_result(tracking: Tracking, run: Run) -> CellResult | None:
    with TemporaryDirectory() as folder:
        file = records.find_file(tracking, run, RESULT_FILE, Path(folder))
        try:
            return CellResult.load(file) if file else None
        except Exception:  # whatever a damaged file makes of zip, NumPy and JSON
            return None


def comparison_of(run: Run) -> Comparison:
    """Read back what a comparison's run compares.

    Raises
    ------
    UserError
        For a run that another version recorded.
    """
    fields = json.loads(names.joined(run.data.tags, SPEC_TAG, "null"))
    if fields:
        spec = DatasetSpec(fields["dataset"]["name"], tuple(fields["dataset"]["sources"]))
        comparison = Comparison(**{**fields, "dataset": spec, "budgets": tuple(fields["budgets"])})
        if comparison.key == run.data.tags["comparison_key"]:
            return comparison
    raise UserError(f"run {run.info.run_id} was recorded by another version of this project: run its benchmark again")


class Sweep:
    """A sweep that runs: its run in MLflow, and what of its plan is recorded.

    Parameters
    ----------
    tracking : Tracking
    plan : Plan
    options : mapping
        The options as typed: they become the sweep's parameters.
    entry : str
        The entry point's name.
    run_id : str, optional
        The sweep's run, if it has begun.

    Attributes
    ----------
    run_id : str
    pending : list of Cell
        What is still to be trained.
    failed : dict
        Key of a failed cell to what went wrong.
    """

    def __init__(
        self, tracking: Tracking, plan: Plan, options: Mapping[str, str], entry: str, run_id: str | None = None
    ) -> None:
        self.tracking, self.plan = tracking, plan
        data_dir = plan.execution.data_dir
        recover(tracking, data_dir, click.echo)
        state = read_state(tracking, plan)
        self.failed = state.failed
        self.pending = [cell for cell in plan.cells if cell.key not in state.done and cell.key not in state.failed]
        self.environment = environment_tags(plan.execution.device)
        record = Record(parameters=options, tags=self.environment)
        self.run_id = run_id or records.start_run(tracking, "sweep", f"{entry} {options['dataset']}", record)
        self._journal = new_journal(journal_folder(tracking, data_dir), self.run_id)
        records.log_data(tracking, self.run_id, [data_input(*each) for each in plan.datasets])
        if state.lost:
            click.echo(f"{told_lost(state.lost)}: trained again")
        for run_id in state.leftovers:
            records.discard(tracking, run_id)
        self.comparison_runs = {key: run.info.run_id for key, run in state.comparisons.items()}
        self._outbox = Outbox(tracking, self._journal, self.comparison_runs)
        self._planned = {each.comparison.key: each for each in plan.comparisons}
        for key, run in state.comparisons.items():
            records.join_sweep(tracking, run, self.run_id)
            if joined := _changed_spec(run, self._planned[key].comparison):  # the data have moved
                records.write(tracking, run.info.run_id, Record(tags=joined))
        self._lost: dict[str, Run] = {}
        self._taken_up: set[str] = set()
        self._missing = dict.fromkeys(self._planned, 0)
        for cell in self.pending:
            self._missing[cell.comparison.key] += 1
        for key, run in state.comparisons.items():
            if self._missing[key]:
                records.reopen(tracking, run.info.run_id)
            elif run.info.status == "RUNNING" or run.info.status == "KILLED":  # cut short between cell and summary
                self._outbox.then(partial(self._complete, self._planned[key]))

    def record(self, cell: Cell, result: CellResult | None, failure: Failure | None) -> None:
        """Take a cell that has ended: it is on disk now, and in MLflow soon; after its comparison's last, that too.

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

    def lose(self, planned: PlannedComparison, runs: Sequence[Run]) -> bool:
        """Note which of the plan's finished cells turned out to have no result; tell whether there are any."""
        own = {cell.key for cell in planned.cells}
        lost = {run.data.tags["cell_key"]: run for run in runs if run.data.tags["cell_key"] in own}
        self._lost |= lost
        if others := [run for run in runs if run.data.tags["cell_key"] not in own]:
            what = f"{planned.dataset.name} · {planned.label}"
            tqdm.write(f"left out of {what}: {told_lost(others)}; the sweep that has it trains it again by retry=true")
        return bool(lost)

    def take_up_lost(self) -> bool:
        """Plan again what `lose` noted; tell whether there is any.

        Raises
        ------
        UserError
            If a result is lost that this process has just written.
        """
        lost, self._lost = self._lost, {}
        if not lost:
            return False
        if written := [lost[key] for key in lost.keys() & self._taken_up]:
            raise UserError(f"{told_lost(written)}, just after it was written: see to the artifact store")
        self._taken_up |= lost.keys()
        click.echo(f"{told_lost(list(lost.values()))}: trained again")
        self.pending = [cell for cell in self.plan.cells if cell.key in lost]
        for run in lost.values():
            records.discard(self.tracking, run.info.run_id)
        for cell in self.pending:
            self._missing[cell.comparison.key] += 1
        for key in {cell.comparison.key for cell in self.pending}:
            records.reopen(self.tracking, self.comparison_runs[key])
        return True

    @property
    def news(self) -> str:
        """What there is to say of the tracking server: nothing, unless it is away."""
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
        for run in records.find_runs(self.tracking, "comparison") if unfinished else ():  # others may have merged ours
            if run.data.tags["comparison_key"] in unfinished and run.info.status == "RUNNING":
                records.finish(self.tracking, run.info.run_id, "KILLED")
        records.finish(self.tracking, self.run_id, status)
        if done:
            self._journal.close()

    def _comparison_record(self, planned: PlannedComparison) -> ComparisonRecord:
        comparison = planned.comparison
        tags = {"sweeps": self.run_id, **self.environment, **_spec_tags(comparison)}
        if planned.seen:
            tags["mlflow.note.content"] = planned.seen
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
        of_cell = {"normal_class": cell.normal_class, "anomalous_class": cell.anomalous_class or "all"}
        parameters = {**_grouping(planned), **of_cell, "seed": cell.seed}
        tags = {"cell_key": cell.key, "comparison_key": cell.comparison.key, **self.environment}
        if cell.extractor_key:
            tags["extractor_key"] = cell.extractor_key
        if result is None:
            assert failure is not None
            note = f"**{names.shortened(failure.message, 1500)}**\n\n```\n{failure.traceback[-6000:]}\n```"
            return Record(parameters, (), {**tags, "failure": failure.message, "mlflow.note.content": note})
        result.save(folder / RESULT_FILE)
        files = [folder / RESULT_FILE, *write_cell_figures(result, folder)]
        return Record(parameters, cell_values(result), tags, files, records.now())

    def _complete(self, planned: PlannedComparison) -> None:
        """Log what a comparison's cells say together; done twice, it changes nothing."""
        self.comparison_runs.pop(planned.comparison.key, None)  # it may have been merged into another sweep's
        run_id = comparison_run(self.tracking, self._comparison_record(planned), self.comparison_runs)
        finished = finished_cells(self.tracking, planned.comparison)
        if self.lose(planned, finished.lost):
            return  # until they are trained again
        failures = {str(cell): self.failed[cell.key] for cell in planned.cells if cell.key in self.failed}
        marks = find_marks(planned.comparison.detector, finished.cells, failures, len(planned.cells))
        if cells := finished.cells:
            values = comparison_values(cells, planned.dataset.classes)
            with TemporaryDirectory() as folder:
                files = write_comparison_page(planned, cells, self._cells_on_pixels(planned), marks, Path(folder))
                records.write(self.tracking, run_id, Record(values=values, files=files, time=finished.newest))
        records.write(self.tracking, run_id, Record(tags=mark_tags(marks, planned.seen)))
        records.finish(self.tracking, run_id, "FAILED" if failures else "FINISHED")

    def _cells_on_pixels(self, planned: PlannedComparison) -> list[DoneCell]:
        """Finished cells of the same detector without the extractor, if the experiment has them."""
        comparison = planned.comparison
        if comparison.extractor is None or comparison.protocol == "unseen-class":
            return []
        on_pixels = replace(comparison, extractor=None, learned=None, protocol=None, common_scale=False)
        return finished_cells(self.tracking, on_pixels).cells


def data_input(spec: DatasetSpec, dataset: Dataset) -> DataInput:
    """Describe a data set as MLflow's input."""
    sizes = len(dataset.train.labels), len(dataset.test.labels)
    return DataInput(dataset.name, dataset.digest, _place(spec), *sizes, copy_count(dataset))


def data_key(comparison: Comparison) -> tuple[str, str]:
    """Name and digest by which MLflow knows a comparison's data set."""
    return names.dataset_key(comparison.dataset.name, comparison.data_digest, _place(comparison.dataset))


def _place(spec: DatasetSpec) -> str:
    """Where a data set is, by absolute paths, as what was typed means something else in another folder."""
    sources = [parse_source(text) for text in spec.sources]
    return "+".join(each.kind if each.path is None else f"{each.kind}:{each.path.resolve()}" for each in sources)


def _spec_tags(comparison: Comparison) -> dict[str, str]:
    return names.pieces(SPEC_TAG, json.dumps(asdict(comparison)))


def _changed_spec(run: Run, comparison: Comparison) -> dict[str, str]:
    """The tags by which a comparison is read back, where they say otherwise: they are those of what ran first."""
    wanted = _spec_tags(comparison)
    return {} if wanted.items() <= run.data.tags.items() else wanted


def _grouping(planned: PlannedComparison) -> dict[str, object]:
    """Parameters that people group runs by."""
    return {
        "dataset": planned.dataset.name,
        "detector": planned.comparison.detector,
        "setting": planned.setting,
        "extractor": planned.comparison.extractor or "none",
        "protocol": planned.comparison.protocol or "none",
    }


__all__ = [
    "SPEC_TAG", "Finished", "State", "Sweep", "comparison_of", "data_input", "data_key", "finished_cells", "read_state",
    "told_lost",
]  # fmt: skip
