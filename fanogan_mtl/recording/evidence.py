"""Reads what a report is made from out of MLflow: comparisons, their cells, data, extractors and commands."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fanogan_mtl.data.cache import digest_of, in_use
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec, pool_of, sources_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.plan.options import BenchmarkOptions, HybridOptions, TuneOptions, shown_again
from fanogan_mtl.recording.collected import read_cells
from fanogan_mtl.recording.state import comparison_of, told_lost
from fanogan_mtl.report.charts.extractors import Trained, example_rows
from fanogan_mtl.report.evidence import Evidence, Recorded, evidence
from fanogan_mtl.report.provenance import Origin
from fanogan_mtl.sweep.cell import ALL_SEEN, Comparison
from fanogan_mtl.sweep.pretraining import description_of, extractor_folder
from fanogan_mtl.sweep.result import DoneCell
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.schema import PARENT, ComparisonRun, SweepRun


def chosen_comparisons(tracking: Tracking, runs: str) -> list[ComparisonRun]:
    """Comparison runs that are asked for: `all` of the experiment, or those of certain runs.

    Raises
    ------
    UserError
        For a run that isn't there, is of another experiment, or has no comparisons.
    """
    comparisons = records.find_comparisons(tracking)
    if runs == "all":
        if not comparisons:
            where = f"experiment {tracking.experiment_id} of {tracking.shown}"
            raise UserError(f"{where} has no comparison: run the entry benchmark first")
        return comparisons
    chosen: dict[str, ComparisonRun] = {}
    for run_id in [word.strip() for word in runs.split(",")]:
        if not run_id.isalnum():
            raise UserError(f"runs {run_id!r}: give the ids of sweeps' runs, as 3f2a...,81bc..., or all")
        children = records.find_sweeps(tracking, **{f"`{PARENT}`": run_id})  # of the entry main
        wanted = {run_id, *(child.run_id for child in children)}
        own = [run for run in comparisons if wanted & {run.run_id, *run.sweeps}]
        if not own:
            raise UserError(f"runs {run_id!r}: {_why_nothing(tracking, run_id)}")
        chosen |= {each.run_id: each for each in own}
    return list(chosen.values())


def _why_nothing(tracking: Tracking, run_id: str) -> str:
    try:
        run = records.get_run(tracking, run_id)
    except Exception:  # each kind of store fails in ways of its own
        return f"{tracking.shown} has no such run; give the id of a sweep's run, or all"
    if run.experiment_id != tracking.experiment_id:
        return (
            f"it belongs to experiment {run.experiment_id}, not {tracking.experiment_id}: "
            "set MLFLOW_EXPERIMENT_ID to that"
        )
    return "it has no comparisons; give the id of a sweep's run (benchmark or hybrid), or all"


def report_key(runs: Iterable[ComparisonRun]) -> str:
    """Digest of what a report depends on: its comparisons, when each last changed, and the code's version."""
    tags = environment_tags("cpu")
    facts = [sorted((run.run_id, run.status, run.ended) for run in runs), tags.get("git_state", "")]
    return digest_of([*facts, tags["version.fanogan-mtl"]])


OPTIONS = {"hybrid": HybridOptions, "tune": TuneOptions}  # of entries whose sweeps have more than benchmark's


@dataclass(frozen=True)
class Found:
    """What was read of the comparisons."""

    evidence: Evidence
    datasets: Mapping[str, tuple[DatasetSpec, Dataset | None]]


def read_evidence(tracking: Tracking, runs: Sequence[ComparisonRun], data_dir: Path) -> Found:
    """Read the results of those comparisons; one that can't be read is left out with one line.

    Raises
    ------
    UserError
        If none of them has a finished cell.
    """
    recorded: list[tuple[ComparisonRun, Comparison, list[DoneCell]]] = []
    changed = records.comparisons_with_deleted_cells(tracking)
    for run in tqdm(runs, desc="reading", unit="comparison"):
        try:
            comparison = comparison_of(run)
        except UserError as error:
            tqdm.write(f"left out: {error}", file=sys.stderr)
            continue
        cells, lost = read_cells(tracking, run, comparison, run.key in changed)
        if cells:
            recorded.append((run, comparison, cells))
        if lost:
            remedy = "start its benchmark again with retry=true"
            tqdm.write(f"left out of {run.name}: {told_lost(lost)}; {remedy}", file=sys.stderr)
    recorded = _newest(recorded)
    if not recorded:
        raise UserError(
            "none of these runs has a finished cell with its result: wait for the first, or run the entry benchmark "
            "(with retry=true for results that are gone)"
        )
    data = {comparison.key: _dataset(comparison, data_dir) for _, comparison, _ in recorded}
    widths = {run.key: run.n_features for run in records.find_extractors(tracking) if run.n_features}
    found = evidence(
        Recorded(
            run.run_id,
            comparison,
            run.setting,
            tuple(cells),
            _width(cells[0], data[comparison.key], widths),
            None if (dataset := data[comparison.key]) is None else len(dataset.normal_classes),
            run.marks,
        )
        for run, comparison, cells in recorded
    )
    datasets = {each.dataset: (each.comparison.dataset, data[each.comparison.key]) for each in found.results}
    return Found(found, {name: datasets[name] for name in found.datasets})


def _newest(
    recorded: Sequence[tuple[ComparisonRun, Comparison, list[DoneCell]]],
) -> list[tuple[ComparisonRun, Comparison, list[DoneCell]]]:
    """Each comparison once: as the newest version recorded it, and of one that was begun twice the first."""
    newest: dict[Comparison, tuple[ComparisonRun, Comparison, list[DoneCell]]] = {}
    for each in recorded:
        of_any = replace(each[1], result_version=0)
        if of_any not in newest or newest[of_any][1].result_version < each[1].result_version:
            newest[of_any] = each
    return list(newest.values())


def _dataset(comparison: Comparison, data_dir: Path) -> Dataset | None:
    """The comparison's data, if it is to be had as it was."""
    try:
        dataset = load_dataset(comparison.dataset, data_dir)
    except UserError:
        return None
    return dataset if dataset.digest == comparison.data_digest else None


def _width(cell: DoneCell, dataset: Dataset | None, widths: Mapping[str, int]) -> int | None:
    if cell.extractor_key:
        return widths.get(cell.extractor_key)
    return None if dataset is None else int(np.prod(dataset.train.pixels.shape[1:]))


def main_extractors(found: Found) -> dict[str, str]:
    """Name to key of the extractors that had seen all classes and domains, each at its first seed."""
    keys: dict[str, str] = {}
    for each in found.evidence.results:
        if each.main and each.comparison.protocol in ALL_SEEN and each.comparison.extractor:
            first = min(each.cells, key=lambda cell: cell.seed)
            keys.setdefault(each.comparison.extractor, str(first.extractor_key))
    return keys


def trained_extractors(found: Found, data_dir: Path) -> list[Trained]:
    """Load the main extractors that lie in the data folder, with the data they learned from."""
    here = [spec for spec, dataset in found.datasets.values() if dataset is not None]
    sources = {source.name: source for spec in here for source in sources_of(spec)}
    trained = []
    for name, key in main_extractors(found).items():
        if not in_use(extractor_folder(data_dir, key)):
            continue
        description = description_of(data_dir, key)
        if not all(domain in sources for domain in description["domains"]):
            continue
        pool = pool_of([sources[domain] for domain in description["domains"]])
        extractor = load_extractor(extractor_folder(data_dir, key), "cpu")
        known = Trained(name, key, description, extractor, pool, load_dataset(pool, data_dir))
        if len(example_rows(known, data_dir)):  # none where a domain of that name has other images
            trained.append(known)
    return trained


def origins(tracking: Tracking, runs: Sequence[ComparisonRun]) -> list[Origin]:
    """The sweeps that comparisons were made in, one for each command."""
    wanted = {run_id for run in runs for run_id in run.sweeps}
    origins: dict[str, Origin] = {}
    for run in records.find_sweeps(tracking):
        if run.run_id in wanted:
            facts = {**run.environment, "seeds": run.parameter("seeds")}
            origin = Origin(run.run_id, _command(tracking, run), facts)
            origins.setdefault(origin.command, origin)
    return list(origins.values())


def _command(tracking: Tracking, run: SweepRun) -> str:
    """The command that does a sweep again, without what is as by default and what changes no number."""
    options = OPTIONS.get(run.entry, BenchmarkOptions)
    typed = records.options_of(tracking, run)
    chosen = [
        f" -P {shlex.quote(f'{name}={typed[name]}')}"
        for name, default in shown_again(options).items()
        if typed.get(name, default) != default
    ]
    return f"mlflow run . -e {run.entry}{''.join(chosen)}"
