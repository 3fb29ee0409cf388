"""A sweep as it is recorded: what is done already, each cell as it ends, each comparison when it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.errors import UserError
from fanogan_mtl.sweep.cell import Cell, CellResult, Comparison, DoneCell
from fanogan_mtl.sweep.run import Failure
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.records import DataInput, Record
from fanogan_mtl.workflows.pages import write_cell_figures, write_comparison_page, write_overview
from fanogan_mtl.workflows.plan import Plan, PlannedComparison
from fanogan_mtl.workflows.results import ComparisonResult
from fanogan_mtl.workflows.summary import cell_values, comparison_values

if TYPE_CHECKING:
    from mlflow.entities import Run

RESULT_FILE = "cell.npz"
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
    leftovers : list of str
        Ids of cell runs that a crash cut short, or that are to be tried again.
    """

    comparisons: dict[str, Run]
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)


def read_state(tracking: Tracking, plan: Plan) -> State:
    """Find the plan's comparisons and cells among the experiment's runs."""
    runs = {run.data.tags["comparison_key"]: run for run in records.find_runs(tracking, "comparison")}
    keys = [each.comparison.key for each in plan.comparisons]
    state = State({key: runs[key] for key in keys if key in runs})
    wanted = {cell.key for cell in plan.cells}
    for key in state.comparisons:
        for run in records.find_runs(tracking, "cell", comparison_key=key):
            cell_key = run.data.tags["cell_key"]
            if cell_key not in wanted:
                continue
            if run.info.status == "FINISHED":
                state.done.add(cell_key)
            elif run.info.status == "FAILED" and not plan.execution.retry:
                state.failed[cell_key] = run.data.tags["failure"]
            else:
                state.leftovers.append(run.info.run_id)
    return state


def done_cells(tracking: Tracking, comparison: Comparison) -> tuple[list[DoneCell], int]:
    """Read a comparison's finished cells, of all sweeps, and when the newest ended (in milliseconds)."""
    runs = [
        run
        for run in records.find_runs(tracking, "cell", comparison_key=comparison.key)
        if run.info.status == "FINISHED"
    ]
    cells = []
    with TemporaryDirectory() as folder:
        for run in runs:
            file = records.read_file(tracking, run, RESULT_FILE, Path(folder))
            of = run.data.params
            anomalous = None if of["anomalous_class"] == "all" else of["anomalous_class"]
            key = run.data.tags.get("extractor_key")
            cells.append(DoneCell(of["normal_class"], int(of["seed"]), CellResult.load(file), anomalous, key))
    cells.sort(key=lambda cell: (cell.seed, cell.normal_class, cell.anomalous_class or ""))
    return cells, max((run.info.end_time for run in runs), default=0)


def comparison_of(run: Run) -> Comparison:
    """Read back what a comparison's run compares.

    Raises
    ------
    UserError
        For a run that another version recorded.
    """
    fields = json.loads(run.data.tags.get(SPEC_TAG, "null"))
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
        state = read_state(tracking, plan)
        self.failed = state.failed
        self.pending = [cell for cell in plan.cells if cell.key not in state.done and cell.key not in state.failed]
        self.environment = environment_tags(plan.execution.device)
        record = Record(parameters=options, tags=self.environment)
        self.run_id = run_id or records.start_run(tracking, "sweep", f"{entry} {options['dataset']}", record)
        records.log_data(tracking, self.run_id, [data_input(*each) for each in plan.datasets])
        for run_id in state.leftovers:
            records.discard(tracking, run_id)
        self.comparison_runs: dict[str, str] = {key: run.info.run_id for key, run in state.comparisons.items()}
        for run in state.comparisons.values():
            records.join_sweep(tracking, run, self.run_id)
        self._planned = {each.comparison.key: each for each in plan.comparisons}
        self._missing = dict.fromkeys(self._planned, 0)
        for cell in self.pending:
            self._missing[cell.comparison.key] += 1
        for key, run in state.comparisons.items():
            if self._missing[key]:
                records.reopen(tracking, run.info.run_id)
            elif run.info.status == "RUNNING" or run.info.status == "KILLED":  # cut short between cell and summary
                self._complete(self._planned[key])

    def record(self, cell: Cell, result: CellResult | None, failure: Failure | None) -> None:
        """Write a cell that has ended; if it is its comparison's last, the comparison too."""
        planned = self._planned[cell.comparison.key]
        comparison_id = self._comparison_run(planned)
        with TemporaryDirectory() as folder:
            record = self._cell_record(planned, cell, result, failure, Path(folder))
            records.record_cell(self.tracking, comparison_id, str(cell), record, failed=failure is not None)
        if failure:
            self.failed[cell.key] = failure.message
        self._missing[cell.comparison.key] -= 1
        if not self._missing[cell.comparison.key]:
            self._complete(planned)

    def add_overview(self, results: Sequence[ComparisonResult]) -> None:
        """Add the page that sets the sweep's comparisons side by side."""
        if results:
            with TemporaryDirectory() as folder:
                records.write(self.tracking, self.run_id, Record(files=write_overview(results, Path(folder))))

    def close(self, status: str) -> None:
        """End the sweep's run, and its comparisons that did not get to their end."""
        for key, missing in self._missing.items():
            if missing and key in self.comparison_runs:
                records.finish(self.tracking, self.comparison_runs[key], "KILLED")
        records.finish(self.tracking, self.run_id, status)

    def _comparison_run(self, planned: PlannedComparison) -> str:
        key = planned.comparison.key
        if key not in self.comparison_runs:
            name = f"{planned.dataset.name} · {planned.label}"
            tags = {"level": "comparison", "comparison_key": key, "sweeps": self.run_id, **self.environment}
            tags[SPEC_TAG] = json.dumps(asdict(planned.comparison))
            if planned.seen:
                tags["mlflow.note.content"] = planned.seen
            self.comparison_runs[key] = records.create_run(self.tracking, self.run_id, name, tags)
            parameters = json.loads(planned.comparison.parameters)
            own: dict[str, object] = {
                "budgets": ",".join(map(str, planned.comparison.budgets)),
                "limit": planned.comparison.limit or "none",
            }
            if planned.comparison.extractor:
                of_extractor = json.loads(planned.extractor_parameters)
                own |= {f"extractor_{parameter}": value for parameter, value in of_extractor.items()}
            record = Record(parameters={**parameters, **own, **_grouping(planned)})
            records.write(self.tracking, self.comparison_runs[key], record)
            records.log_data(
                self.tracking, self.comparison_runs[key], [data_input(planned.comparison.dataset, planned.dataset)]
            )
        return self.comparison_runs[key]

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
            note = f"**{failure.message}**\n\n```\n{failure.traceback[-6000:]}\n```"
            return Record(parameters, (), {**tags, "failure": failure.message[:5000], "mlflow.note.content": note})
        result.save(folder / RESULT_FILE)
        files = [folder / RESULT_FILE, *write_cell_figures(result, folder)]
        return Record(parameters, cell_values(result), tags, files, records.now())

    def _complete(self, planned: PlannedComparison) -> None:
        """Log what a comparison's cells say together; done twice, it changes nothing."""
        run_id = self.comparison_runs[planned.comparison.key]
        cells, newest = done_cells(self.tracking, planned.comparison)
        if cells:
            values = comparison_values(cells, planned.dataset.classes)
            with TemporaryDirectory() as folder:
                files = write_comparison_page(planned, cells, self._cells_on_pixels(planned), Path(folder))
                records.write(self.tracking, run_id, Record(values=values, files=files, time=newest))
        failed = any(cell.key in self.failed for cell in planned.cells)
        records.finish(self.tracking, run_id, "FAILED" if failed else "FINISHED")

    def _cells_on_pixels(self, planned: PlannedComparison) -> list[DoneCell]:
        """Finished cells of the same detector without the extractor, if the experiment has them."""
        comparison = planned.comparison
        if comparison.extractor is None or comparison.protocol == "unseen-class":
            return []
        on_pixels = replace(comparison, extractor=None, learned=None, protocol=None, common_scale=False)
        return done_cells(self.tracking, on_pixels)[0]


def data_input(spec: DatasetSpec, dataset: Dataset) -> DataInput:
    """Describe a data set as MLflow's input."""
    sizes = len(dataset.train.labels), len(dataset.test.labels)
    return DataInput(dataset.name, dataset.digest, "+".join(spec.sources), *sizes)


def _grouping(planned: PlannedComparison) -> dict[str, object]:
    """Parameters that people group runs by."""
    return {
        "dataset": planned.dataset.name,
        "detector": planned.comparison.detector,
        "setting": planned.setting,
        "extractor": planned.comparison.extractor or "none",
        "protocol": planned.comparison.protocol or "none",
    }


__all__ = ["SPEC_TAG", "State", "Sweep", "comparison_of", "data_input", "done_cells", "read_state"]
