"""Detectors on extractors' features: the benchmark once more, after the extractors it needs are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import click

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets, pool_of, sources_of
from fanogan_mtl.data.splits import split_rows
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.registry import extractor_class
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.grid import comparison_parameters
from fanogan_mtl.sweep.pretraining import Pretraining, description_of, extractor_folder
from fanogan_mtl.sweep.run import LocalWorkers
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.workflows import DEFAULT_EXTRACTORS, DEFAULT_HYBRID_DETECTORS
from fanogan_mtl.workflows import options as read
from fanogan_mtl.workflows.benchmark import print_plan, run_plan
from fanogan_mtl.workflows.extractor_choices import (
    ExtractorChoice,
    Pretrainings,
    check_unseen,
    parse_extractors,
    sentence,
)
from fanogan_mtl.workflows.extractors import feature_tasks, features_there, obtain_extractors, obtain_features
from fanogan_mtl.workflows.options import DetectorChoice
from fanogan_mtl.workflows.plan import BenchmarkOptions, Execution, Plan, PlannedComparison, read_execution
from fanogan_mtl.workflows.recording import Sweep

PROTOCOLS = ("paper", "unseen-class", "unseen-domain")


@dataclass(frozen=True)
class HybridOptions(BenchmarkOptions):
    """What a person may choose, as text; `python -m entrypoints.hybrid --help` says what each means."""

    detectors: str = DEFAULT_HYBRID_DETECTORS
    extractors: str = DEFAULT_EXTRACTORS
    extractor_params: str = "none"
    extractor_epochs: str = "default"
    weights: str = "default"
    protocol: str = "paper"


@dataclass(frozen=True)
class HybridPlan:
    """The cells, and the extractors that they need, by key."""

    plan: Plan
    pretrainings: dict[str, Pretraining]


def hybrid(options: HybridOptions) -> int:
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
    tracking = connect()
    hybrid_plan = make_hybrid_plan(options)
    plan, execution = hybrid_plan.plan, hybrid_plan.plan.execution
    if execution.dry_run:
        missing = [key for key in hybrid_plan.pretrainings if not extractor_folder(execution.data_dir, key).is_dir()]
        click.echo(f"{len(hybrid_plan.pretrainings)} extractors, {len(missing)} of them not in the data folder")
        tasks = feature_tasks(plan.cells, execution.data_dir)
        return print_plan(plan, tracking, timed=len(tasks) == features_there(tasks, execution.data_dir))

    def prepare(sweep: Sweep, workers: LocalWorkers) -> None:
        obtain_extractors(tracking, sweep.run_id, hybrid_plan.pretrainings, execution, workers)
        tasks = feature_tasks(sweep.pending, execution.data_dir)
        click.echo(f"{len(tasks)} feature files, {features_there(tasks, execution.data_dir)} of them there")
        obtain_features(tasks, execution, workers)

    return run_plan(plan, tracking, options, "hybrid", prepare)


def make_hybrid_plan(options: HybridOptions) -> HybridPlan:
    """Check every option, prepare the data, and lay out extractors and cells.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    specs = parse_datasets(options.dataset)
    common = {name: getattr(options, name) for name in ("batch_size", "latent_dim", "kappa")}
    detectors = read.parse_detectors(options.detectors, options.detector_params, common)
    budgets = read.parse_integers("epochs", options.epochs, 1)
    seeds = read.parse_integers("seeds", options.seeds, 0)
    limit = read.parse_integer("limit", options.limit, 1, "none")
    protocols = [read.parse_choice("protocol", word.strip(), PROTOCOLS) for word in options.protocol.split(",")]
    if len(set(protocols)) < len(protocols):
        raise UserError(f"protocol {options.protocol!r}: one is there twice")
    execution = read_execution(options)
    datasets = {spec.name: load_dataset(spec, execution.data_dir) for spec in specs}
    for dataset in datasets.values():
        if not dataset.is_images:
            raise UserError(f"data set {dataset.name!r} holds vectors, extractors take images: use the entry benchmark")
    choices = parse_extractors(
        options.extractors, options.extractor_params, options.extractor_epochs, options.weights, execution.data_dir
    )
    layout = _Layout(specs, datasets, detectors, budgets, seeds, limit, options.classes, execution)
    for protocol in protocols:
        for choice in choices:
            layout.add(choice, protocol)
    return HybridPlan(Plan(tuple(layout.comparisons), execution), layout.pretrainings)


class _Layout:
    """Collects comparisons and pretrainings, extractor by extractor."""

    def __init__(
        self,
        specs: Sequence[DatasetSpec],
        datasets: dict[str, Dataset],
        detectors: Sequence[DetectorChoice],
        budgets: tuple[int, ...],
        seeds: tuple[int, ...],
        limit: int | None,
        classes: str,
        execution: Execution,
    ) -> None:
        self.specs, self.datasets, self.detectors = specs, datasets, detectors
        self.budgets, self.seeds, self.limit, self.execution = budgets, seeds, limit, execution
        self.classes = {
            name: read.parse_classes(classes, dataset.normal_classes, name) for name, dataset in datasets.items()
        }
        for name, dataset in datasets.items():
            for normal_class in self.classes[name]:
                split_rows(dataset, normal_class, seeds[0], limit)  # says so if a class has too few images
        self.make = Pretrainings(specs, limit, execution.data_dir)
        self.pretrainings: dict[str, Pretraining] = {}
        self.comparisons: list[PlannedComparison] = []

    def add(self, choice: ExtractorChoice, protocol: str) -> None:
        """Add what one extractor under one protocol asks for."""
        if choice.uri is not None:
            self._add_logged(choice, protocol)
            return
        for spec in self.specs:
            domains = self.make.domains
            if protocol == "unseen-domain":
                if len(spec.sources) > 1:
                    click.echo(f"unseen-domain leaves out the pool {spec.name}: no domain of it is unseen", err=True)
                    continue
                domains = [domain for domain in domains if domain.name != spec.name]
                if not domains:
                    raise UserError(f"protocol unseen-domain: {spec.name!r} is the only domain; name another data set")
            self._add_trained(choice, protocol, spec, pool_of(domains))

    def _add_trained(self, choice: ExtractorChoice, protocol: str, spec: DatasetSpec, pool: DatasetSpec) -> None:
        dataset = self.datasets[spec.name]
        held_out: list[str | None] = list(dataset.classes) if protocol == "unseen-class" else [None]
        canonical = {name: self.make.make(choice, pool, 0, name) for name in held_out}
        learned = hashlib.sha256(",".join(each.key for each in canonical.values()).encode()).hexdigest()[:32]
        made = {(seed, name): self.make.make(choice, pool, seed, name) for seed in self.seeds for name in held_out}
        self.pretrainings |= {each.key: each for each in made.values()}
        seen = _sentence(choice, pool, protocol)
        for detector in self.detectors:
            comparison = self._comparison(choice, protocol, spec, detector, learned)
            cells = [
                Cell(comparison, normal, seed, made[seed, name].key, name)
                for seed in self.seeds
                for normal in self.classes[spec.name]
                for name in held_out
                if name != normal
            ]
            self._append(comparison, detector, choice, cells, seen)

    def _add_logged(self, choice: ExtractorChoice, protocol: str) -> None:
        assert choice.key is not None
        if protocol != "paper":
            raise UserError(f"protocol {protocol}: {choice.uri} is one trained extractor; name an architecture instead")
        check_unseen(choice, self.datasets.values(), self.seeds, self.limit, self.execution.data_dir)
        seen = sentence(description_of(self.execution.data_dir, choice.key))
        for spec in self.specs:
            for detector in self.detectors:
                comparison = self._comparison(choice, protocol, spec, detector, choice.key)
                cells = [
                    Cell(comparison, normal, seed, choice.key)
                    for seed in self.seeds
                    for normal in self.classes[spec.name]
                ]
                self._append(comparison, detector, choice, cells, seen)

    def _comparison(
        self, choice: ExtractorChoice, protocol: str, spec: DatasetSpec, detector: DetectorChoice, learned: str
    ) -> Comparison:
        parameters = comparison_parameters(detector.name, detector.parameters)
        digest = self.datasets[spec.name].digest
        components = json.loads(choice.parameters)["n_components"] is not None
        return Comparison(
            spec,
            digest,
            detector.name,
            parameters,
            self.budgets,
            self.limit,
            choice.name,
            learned,
            protocol,
            components,
        )

    def _append(
        self, comparison: Comparison, detector: DetectorChoice, choice: ExtractorChoice, cells: list[Cell], seen: str
    ) -> None:
        dataset = self.datasets[comparison.dataset.name]
        planned = PlannedComparison(comparison, dataset, detector.setting, tuple(cells), choice.parameters, seen)
        self.comparisons.append(planned)


def _sentence(choice: ExtractorChoice, pool: DatasetSpec, protocol: str) -> str:
    """One sentence on what the extractor had seen of the classes that count as anomalies."""
    of = f"{extractor_class(choice.name).sees} {', '.join(source.name for source in sources_of(pool))}"
    end = {
        "paper": "all classes, the anomalies' too",
        "unseen-class": "all classes but the one that counts as anomaly",
        "unseen-domain": "all classes, but nothing of the domain that is tested",
    }[protocol]
    return f"Protocol {protocol}: the extractor {choice.name} had seen {of}: {end}; never a tested image."
