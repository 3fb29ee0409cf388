"""The plan of a sweep on features: which extractors are needed, and the cells that read their features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec, pool_of, sources_of
from fanogan_mtl.detectors.registry import takes
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.registry import extractor_class, extractor_kind, make_extractor
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.extractors import (
    ExtractorChoice,
    Pretrainings,
    check_unseen,
    parse_extractors,
    sentence,
)
from fanogan_mtl.plan.options import HybridOptions
from fanogan_mtl.plan.plan import Asked, Plan, PlannedComparison, read_options
from fanogan_mtl.plan.words import DetectorChoice, FindStudy
from fanogan_mtl.sweep.cell import LABEL_FREE, PROTOCOLS, Cell, Comparison, result_version
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.pretraining import Pretraining, description_of

if TYPE_CHECKING:
    from fanogan_mtl.extractors.base import Extractor

Data = tuple[DatasetSpec, Dataset, tuple[str, ...]]  # with the classes that are normal in turn
Extractors = dict[tuple[int, str | None, str | None], str]  # seed, held-out class and only class -> key


@dataclass(frozen=True)
class HybridPlan:
    """The cells, and the extractors that they need, by key."""

    plan: Plan
    pretrainings: dict[str, Pretraining]


def make_hybrid_plan(options: HybridOptions, find_study: FindStudy | None = None) -> HybridPlan:
    """Check every option, prepare the data, and plan extractors and cells.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    protocols = [read.parse_choice("protocol", word.strip(), PROTOCOLS) for word in options.protocol.split(",")]
    if len(set(protocols)) < len(protocols):
        raise UserError(f"protocol {options.protocol!r}: one is there twice")
    asked = read_options(options, find_study)
    for _, dataset, _ in asked.datasets:
        if not dataset.is_images:
            raise UserError(f"data set {dataset.name!r} holds vectors, extractors take images: use the entry benchmark")
    data_dir = asked.execution.data_dir
    choices = parse_extractors(
        options.extractors, options.extractor_params, options.extractor_epochs, options.weights, data_dir
    )
    layout = _Layout(asked)
    for choice in choices:
        for protocol in _protocols_of(choice, protocols):
            layout.add(choice, protocol)
    if not layout.comparisons:
        said = "no domain of a pool is unseen; name its members, as in a,b"
        if set(protocols) <= set(LABEL_FREE):
            said = f"{options.extractors} learns from labels; choose another, or extractors that don't"
        raise UserError(f"protocol {options.protocol}: {said}")
    return HybridPlan(Plan(tuple(layout.comparisons), asked.execution), layout.pretrainings)


def _protocols_of(choice: ExtractorChoice, protocols: Sequence[str]) -> list[str]:
    """The protocols that an extractor is used under: of `paper` and `label-free` the one that fits it."""
    if choice.uri is not None:
        return list(protocols)
    if not extractor_class(choice.name).uses_labels:
        return list(dict.fromkeys("label-free" if name == "paper" else name for name in protocols))
    for name in LABEL_FREE:
        if name in protocols:
            click.echo(f"{name} leaves out {choice.name}: it learns from labels", err=True)
    return [name for name in protocols if name not in LABEL_FREE]


class _Layout:
    """Collects the plan's comparisons and pretrainings, one extractor at a time."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.make = Pretrainings([spec for spec, _, _ in asked.datasets], asked.limit, asked.execution.data_dir)
        self.pretrainings: dict[str, Pretraining] = {}
        self.comparisons: list[PlannedComparison] = []

    def add(self, choice: ExtractorChoice, protocol: str) -> None:
        """Add what one extractor under one protocol asks for."""
        if choice.uri is not None:
            self._add_logged(choice, protocol)
            return
        for data in self.asked.datasets:
            spec, domains = data[0], self.make.domains
            if protocol == "unseen-domain":
                if len(spec.sources) > 1:
                    click.echo(f"unseen-domain leaves out the pool {spec.name}: no domain of it is unseen", err=True)
                    continue
                domains = [domain for domain in domains if domain.name != spec.name]
                if not domains:
                    raise UserError(f"protocol unseen-domain: {spec.name!r} is the only domain; name another data set")
            self._add_trained(choice, protocol, data, pool_of(domains))

    def _add_trained(self, choice: ExtractorChoice, protocol: str, data: Data, pool: DatasetSpec) -> None:
        seen: list[tuple[str | None, str | None]] = [(None, None)]  # without a class, from a class alone
        if protocol == "unseen-class":
            seen = [(name, None) for name in data[1].classes]
        elif protocol == "normal-only":
            seen = [(None, name) for name in data[2]]
        canonical = [self.make.make(choice, pool, 0, *each).key for each in seen]  # one key for all seeds
        learned = hashlib.sha256(",".join(canonical).encode()).hexdigest()[:32]
        made = {(seed, *each): self.make.make(choice, pool, seed, *each) for seed in self.asked.seeds for each in seen}
        self.pretrainings |= {each.key: each for each in made.values()}
        extractors = {each: pretraining.key for each, pretraining in made.items()}
        domains = [source.name for source in sources_of(pool)]
        self._append(choice, protocol, data, learned, extractors, domains, _sentence(choice, pool, protocol))

    def _add_logged(self, choice: ExtractorChoice, protocol: str) -> None:
        assert choice.key is not None
        if protocol != "paper":
            raise UserError(f"protocol {protocol}: {choice.uri} is one trained extractor; name an architecture instead")
        data_dir = self.asked.execution.data_dir
        datasets = [dataset for _, dataset, _ in self.asked.datasets]
        check_unseen(choice, datasets, self.asked.seeds, self.asked.limit, data_dir)
        description = description_of(data_dir, choice.key)
        seen = sentence(description)
        for data in self.asked.datasets:
            extractors: Extractors = {(seed, None, None): choice.key for seed in self.asked.seeds}
            self._append(choice, "logged", data, choice.key, extractors, description["domains"], seen)

    def _append(
        self,
        choice: ExtractorChoice,
        protocol: str,
        data: Data,
        learned: str,
        extractors: Extractors,
        domains: Sequence[str],
        seen: str,
    ) -> None:
        """Add the comparison of every detector on the features of a data set."""
        spec, dataset, classes = data
        parameters = json.loads(choice.parameters)
        extractor = make_extractor(choice.name, **parameters)
        of_extractor = json.dumps({**parameters, "data": "+".join(domains)})
        for detector in self.asked.detectors:
            comparison = Comparison(
                spec,
                dataset.digest,
                detector.name,
                comparison_parameters(detector.name, _with_grid(detector, extractor)),
                self.asked.budgets,
                self.asked.limit,
                extractor=choice.name,
                learned=learned,
                protocol=protocol,
                common_scale=extractor.common_scale,
                result_version=result_version(detector.name),
            )
            cells = tuple(
                Cell(comparison, normal_class, seed, key, held_out)
                for normal_class in classes
                for (seed, held_out, only), key in extractors.items()
                if held_out != normal_class and only in (None, normal_class)
            )
            planned = PlannedComparison(comparison, dataset, detector.setting, cells, of_extractor, seen)
            self.comparisons.append(planned)


def _with_grid(detector: DetectorChoice, extractor: Extractor) -> dict[str, Any]:
    """The detector's parameters; one that takes maps is told their positions, unless it was told some."""
    known = {"grid": extractor.positions} if takes(detector.name, "grid") else {}
    return {**known, **detector.parameters}


def _sentence(choice: ExtractorChoice, pool: DatasetSpec, protocol: str) -> str:
    """One sentence on what the extractor had seen of the classes that count as anomalies."""
    of = f"{extractor_kind(choice.name).sees} of {', '.join(source.name for source in sources_of(pool))}"
    end = {
        "paper": "all classes, the anomalies' too",
        "label-free": "all classes, without any of their labels",
        "unseen-class": "all classes but the one that counts as anomaly",
        "unseen-domain": "all classes, but nothing of the domain that is tested",
        "normal-only": "the normal class alone, another extractor for each",
    }[protocol]
    return f"Protocol {protocol}: the extractor {choice.name} had seen {of}: {end}; never a tested image."
