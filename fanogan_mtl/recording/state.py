"""Reads comparisons and cells back from MLflow: which are done, their results, and which results are gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial

from tqdm import tqdm

from fanogan_mtl.data.dataset import Dataset, copy_count
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.plan import Plan
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.tracking import names, records
from fanogan_mtl.tracking.artifacts import artifact_folder, found_file
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import DataInput
from fanogan_mtl.tracking.schema import DONE, FINISHED_CELLS, SPEC, CellRun, ComparisonRun

RESULT_FILE = "cell.npz"
READERS = 8  # results read at a time
FEW_SEEDS = 5  # that are looked for one by one
BEFORE = 2  # the `RESULT_VERSION` of comparisons that don't name it


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
    lost : list of CellRun
        Finished cells whose result is gone, where that was looked for: see `retry`.
    leftovers : list of str
        Ids of cell runs that have a double, or that are to be tried again.
    unfinished : list of str
        Ids of cell runs that a crash cut short, or that another process writes just now.
    """

    comparisons: dict[str, ComparisonRun]
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[CellRun] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def read_state(tracking: Tracking, plan: Plan) -> State:
    """Find the plan's comparisons and cells among the experiment's runs.

    A cell counts as finished if its run says so, as reading ten thousand results would take minutes. Where no cell of a
    comparison was deleted, its run speaks for those that it had when it was last complete: reading fifty thousand would
    take two. A result that is gone is noticed where it is needed, or with `retry`, which reads them all.
    """
    found = reversed(records.find_comparisons(tracking))  # of one that was begun twice the first stays
    runs = {run.key: run for run in found}
    keys = [each.comparison.key for each in plan.comparisons]
    state = State({key: runs[key] for key in keys if key in runs})
    wanted = {each.comparison.key: {cell.key: cell.seed for cell in each.cells} for each in plan.comparisons}
    tampered = records.comparisons_with_deleted_cells(tracking) if state.comparisons else set()
    finished: list[CellRun] = []
    for key, comparison in tqdm(state.comparisons.items(), "finding what is done", delay=2, leave=False):
        told = frozenset() if key in tampered or plan.execution.retry else comparison.told_cells
        state.done |= wanted[key].keys() & told
        cells = _find_cells(tracking, key, {cell: seed for cell, seed in wanted[key].items() if cell not in told}, told)
        spare = {run.run_id for run in records.superseded(cells)}
        for run in cells:
            if run.run_id in spare:
                state.leftovers.append(run.run_id)
            elif run.status == DONE:
                finished.append(run)
            elif run.status == "FAILED" and not plan.execution.retry:
                state.failed[run.key] = run.failure
            elif run.status == "FAILED":
                state.leftovers.append(run.run_id)
            else:
                state.unfinished.append(run.run_id)
    state.lost = _without_result(tracking, finished) if plan.execution.retry else []
    state.leftovers += [run.run_id for run in state.lost]
    state.done |= {run.key for run in finished} - {run.key for run in state.lost}
    return state


def _find_cells(tracking: Tracking, comparison: str, wanted: Mapping[str, int], told: frozenset[str]) -> list[CellRun]:
    """Find runs of the cells of these keys and seeds; beside others that are told of, those of a few seeds alone."""
    seeds = set(wanted.values())
    by_seed = seeds if told and len(seeds) <= FEW_SEEDS else [None] * bool(seeds)
    runs = [run for seed in by_seed for run in records.find_cells(tracking, seed, comparison_key=comparison)]
    return [run for run in runs if run.key in wanted]


@dataclass(frozen=True)
class Finished:
    """A comparison's finished cells, of all sweeps.

    Attributes
    ----------
    cells : list of DoneCell
    runs : list of CellRun
        Of each of `cells` its run.
    newest : int
        When the newest ended, in milliseconds.
    lost : list of CellRun
        Those whose result is gone from the artifact store, or damaged, and which are therefore not in `cells`.
    """

    cells: list[DoneCell]
    runs: list[CellRun]
    newest: int
    lost: list[CellRun]


def finished_cells(tracking: Tracking, comparison: Comparison) -> Finished:
    """Read a comparison's finished cells."""
    runs = [run for run in records.find_cells(tracking, comparison_key=comparison.key) if run.status == DONE]
    found, lost = [], []
    for run, result in zip(runs, _results(tracking, runs), strict=True):
        if result:
            normal, anomalous, seed = run.draw
            cell = Cell(comparison, normal, seed, run.extractor_key, anomalous)
            found.append((DoneCell(cell, result), run))
        else:
            lost.append(run)
    found.sort(key=lambda each: (each[0].seed, each[0].normal_class, each[0].anomalous_class or ""))
    newest = max((run.ended for run in runs), default=0)
    return Finished([cell for cell, _ in found], [run for _, run in found], newest, lost)


def finished_tags(cells: Iterable[str]) -> dict[str, str]:
    """Tags by which a complete comparison's run says which cells have finished."""
    return names.pieces(FINISHED_CELLS, ",".join(sorted(cells)))


def told_lost(runs: Sequence[CellRun]) -> str:
    """Say which results of cells are gone."""
    first = f"{runs[0].name} (run {runs[0].run_id})"
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"the result of {first}{more} is gone from MLflow's artifacts, or damaged"


def _without_result(tracking: Tracking, runs: Sequence[CellRun]) -> list[CellRun]:
    read = tqdm(_results(tracking, runs), "reading results", len(runs), delay=2, leave=False)
    return [run for run, result in zip(runs, read, strict=True) if result is None]


def _results(tracking: Tracking, runs: Sequence[CellRun]) -> Iterator[CellResult | None]:
    """Read results in order, None for one that is gone; several at a time where a store far away is waited for."""
    read = partial(_read_result, tracking)
    if all(map(artifact_folder, runs)):
        yield from map(read, runs)  # threads would take twice as long, as Python itself is busy
        return
    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(read, runs)


def _read_result(tracking: Tracking, run: CellRun) -> CellResult | None:
    with found_file(tracking, run, RESULT_FILE) as file:
        try:
            return CellResult.load(file) if file else None
        except Exception:  # whatever a damaged file makes of zip, NumPy and JSON
            return None


def comparison_of(run: ComparisonRun) -> Comparison:
    """Read back what a comparison's run compares.

    Raises
    ------
    UserError
        For a run that another version recorded.
    """
    if fields := run.json(SPEC):
        spec = DatasetSpec(fields["dataset"]["name"], tuple(fields["dataset"]["sources"]))
        fields = {"result_version": BEFORE} | fields | {"dataset": spec, "budgets": tuple(fields["budgets"])}
        comparison = Comparison(**fields)
        if comparison.key == run.key:
            return comparison
    raise UserError(f"run {run.run_id} was recorded by another version of this project: run its benchmark again")


def spec_tags(comparison: Comparison) -> dict[str, str]:
    """Tags by which `comparison_of` reads a comparison back."""
    return names.pieces(SPEC, json.dumps(asdict(comparison)))


def changed_spec(run: ComparisonRun, comparison: Comparison) -> dict[str, str]:
    """Give the tags that `comparison_of` reads, where those of a run say something else than the comparison does."""
    wanted = spec_tags(comparison)
    return {} if all(run.tag(name) == value for name, value in wanted.items()) else wanted


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
