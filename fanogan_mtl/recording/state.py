"""What MLflow has of comparisons and cells, read back: what is done, what came out, and which results are gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tqdm import tqdm

from fanogan_mtl.data.dataset import Dataset, copy_count
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.plan import Plan
from fanogan_mtl.sweep.cell import Comparison
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.tracking import names, records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import DataInput

if TYPE_CHECKING:
    from mlflow.entities import Run

RESULT_FILE = "cell.npz"
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


def spec_tags(comparison: Comparison) -> dict[str, str]:
    """Tags by which `comparison_of` reads a comparison back."""
    return names.pieces(SPEC_TAG, json.dumps(asdict(comparison)))


def changed_spec(run: Run, comparison: Comparison) -> dict[str, str]:
    """The tags by which a comparison is read back, where they say otherwise: they are those of what ran first."""
    wanted = spec_tags(comparison)
    return {} if wanted.items() <= run.data.tags.items() else wanted


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
