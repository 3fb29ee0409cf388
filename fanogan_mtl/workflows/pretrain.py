"""Pretraining: extractors learn from all domains at once, and are recorded with their curves and weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unicodedata import normalize

import click

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets, pool_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.extractors import Pretrainings, parse_extractors
from fanogan_mtl.plan.options import PretrainOptions
from fanogan_mtl.plan.plan import Execution, read_where
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.state import data_input
from fanogan_mtl.supply.extractors import obtain_extractors
from fanogan_mtl.sweep.pretraining import Pretraining, description_of
from fanogan_mtl.sweep.workers import Workers
from fanogan_mtl.text_table import text_table
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect


def pretrain(options: PretrainOptions, tracking: Tracking | None = None, workers: Workers | None = None) -> int:
    """Train extractors and print their accuracies.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        For a mistake in the options or the data, and if a training failed.
    """
    tracking = tracking or connect()
    execution = read_where(options)
    pretrainings = _plan(options, execution)
    inputs = {each.pool.name: each.pool for each in pretrainings}
    data = [data_input(spec, load_dataset(spec, execution.data_dir)) for spec in inputs.values()]
    with entry_run(tracking, "pretrain", options.dataset, options, options.device, execution.data_dir) as run_id:
        records.log_data(tracking, run_id, data)
        with nullcontext(workers) if workers else execution.open_workers() as workers:
            by_key = {each.key: each for each in pretrainings}
            runs = obtain_extractors(tracking, run_id, by_key, execution, workers)
    descriptions = [(each, description_of(execution.data_dir, each.key)) for each in pretrainings]
    _print(descriptions, runs, tracking.shown)
    return 0


def _plan(options: PretrainOptions, execution: Execution) -> list[Pretraining]:
    specs = parse_datasets(options.dataset)
    seeds = read.parse_integers("seeds", options.seeds, 0)
    limit = read.parse_integer("limit", options.limit, 1, "none")
    for spec in specs:
        if not load_dataset(spec, execution.data_dir).is_images:
            raise UserError(f"data set {spec.name!r} holds vectors, extractors take images; name sets of images")
    choices = parse_extractors(
        options.extractors, options.extractor_params, options.extractor_epochs, options.weights, execution.data_dir
    )
    for choice in choices:
        if choice.uri is not None:
            raise UserError(f"extractors: {choice.uri} is trained already; name an architecture")
    make = Pretrainings(specs, limit, execution.data_dir)
    domains = make.domains
    if options.hold_out_domain != "none":
        names = [domain.name for domain in domains]
        if options.hold_out_domain not in names:
            raise UserError(f"hold_out_domain {options.hold_out_domain!r}: one of {', '.join(names)}, please")
        domains = [domain for domain in domains if domain.name != options.hold_out_domain]
        if not domains:
            raise UserError(f"hold_out_domain {options.hold_out_domain!r} is the only domain: name another data set")
    held_out = None if options.hold_out_class == "none" else normalize("NFC", options.hold_out_class)
    pool = pool_of(domains)
    if held_out is not None:
        read.parse_choice("hold_out_class", held_out, load_dataset(pool, execution.data_dir).classes)
    return [make.make(choice, pool, seed, held_out) for choice in choices for seed in seeds]


def _print(descriptions: Sequence[tuple[Pretraining, dict[str, Any]]], runs: dict[str, str], uri: str) -> None:
    """Print accuracies in percent: validation at the best epoch, and the test of each domain."""
    domains = list(dict.fromkeys(name for _, each in descriptions for name in each["domains"]))
    rows = [["extractor", "features", "epoch", "validation", *(f"test {name}" for name in domains), "run"]]
    for pretraining, each in descriptions:
        best = each["best_epoch"]
        accuracy = each["history"][best - 1].get("accuracy_validation") if best else None
        tests = [each["test_accuracy"].get(name) for name in domains]
        texts = ["-" if value is None else percent(value) for value in (accuracy, *tests)]
        name = pretraining.extractor + (f" (seed {pretraining.seed})" if pretraining.seed else "")
        rows.append([name, str(each["n_features_out"]), str(best or "-"), *texts, runs[pretraining.key]])
    click.echo("\nAccuracy in percent; the epoch was chosen on validation data, the test measured once:\n")
    click.echo(text_table(rows))
    click.echo("\nCurves, weights and figures (extractor.html) are in these runs")
    click.echo(f"Look at them: {uri if uri.startswith('http') else f'mlflow ui --backend-store-uri {uri}'}")
