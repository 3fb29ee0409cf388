"""Extractors that a plan needs: found in the data folder or in MLflow, or trained and recorded."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import click
import numpy as np
from tqdm import tqdm

from fanogan_mtl.data.cache import published_folder
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.joint import hashes_tested, learnable_rows, rows_digest
from fanogan_mtl.data.specs import DatasetSpec, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.persistence import DESCRIPTION, load_extractor, read_description
from fanogan_mtl.extractors.registry import default_parameters, make_extractor
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.grid import pretraining_parameters
from fanogan_mtl.sweep.pretraining import (
    FeatureTask,
    Pretraining,
    checkpoint_folder,
    compute_features,
    description_of,
    extractor_folder,
    feature_folder,
    learned_from,
    run_pretraining,
    sources_of,
)
from fanogan_mtl.sweep.run import LocalWorkers
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.models import download_model, log_extractor
from fanogan_mtl.tracking.records import Record, Value
from fanogan_mtl.workflows import options as read
from fanogan_mtl.workflows.extractor_pages import write_extractor_page
from fanogan_mtl.workflows.plan import Execution

LOGGED = ("runs:/", "models:/")


@dataclass(frozen=True)
class ExtractorChoice:
    """An extractor as a person chose it.

    Attributes
    ----------
    name : str
        Of the registry.
    parameters : str
        JSON of all parameters; see `Pretraining`.
    uri : str or None
        Of a logged extractor, which is not trained; `parameters` are then its own.
    key : str or None
        Of a logged extractor.
    """

    name: str
    parameters: str
    uri: str | None = None
    key: str | None = None

    @property
    def takes_images_of(self) -> str:
        """What it learns from, for a sentence."""
        uses_labels = make_extractor(self.name).uses_labels
        return "images and class labels" if uses_labels else "images without their labels"


def parse_extractors(
    extractors: str, extractor_params: str, extractor_epochs: str, weights: str, data_dir: Path
) -> list[ExtractorChoice]:
    """Read which extractors, each with its parameters, and check every value.

    Parameters
    ----------
    extractors : str
        Names separated by commas, or addresses of logged ones (`runs:/ID/NAME`, `models:/NAME/VERSION`).
    extractor_params : str
        `none`, or a JSON object such as `{"resnet18": {"n_components": 32}}`.
    extractor_epochs, weights : str
        `default`, or a value for every extractor that takes it.

    Raises
    ------
    UserError
        For an unknown extractor or parameter, a value out of range, and an address without an extractor.
    """
    words = [word.strip() for word in extractors.split(",")]
    if len(set(words)) < len(words):
        raise UserError(f"extractors {extractors!r}: one is there twice")
    own = read.parse_object("extractor_params", extractor_params, '{"resnet18": {"n_components": 32}}')
    for name in own:
        if name not in words:
            raise UserError(f"extractor_params names {name!r}, which is not among the extractors {extractors}")
    common: dict[str, Any] = {}
    if (epochs := read.parse_integer("extractor_epochs", extractor_epochs, 1, "default")) is not None:
        common["epochs"] = epochs
    if weights != "default":
        common["weights"] = str(Path(weights).expanduser().resolve())
    choices = []
    for word in words:
        if word.startswith(LOGGED):
            choices.append(_logged(word, data_dir))
            continue
        known = default_parameters(word)
        chosen = {**{name: value for name, value in common.items() if name in known}, **own.get(word, {})}
        make_extractor(word, **chosen)
        choices.append(ExtractorChoice(word, pretraining_parameters(word, chosen)))
    return choices


def _logged(uri: str, data_dir: Path) -> ExtractorChoice:
    """Fetch a logged extractor into the data folder."""
    with TemporaryDirectory() as temporary:
        folder = _fetch(uri, Path(temporary))
        description = read_description(folder)
        key = str(description["key"])
        _take(folder, data_dir, key)
    parameters = pretraining_parameters(description["extractor"], description["params"])
    return ExtractorChoice(str(description["extractor"]), parameters, uri, key)


def _fetch(uri: str, folder: Path) -> Path:
    """Fetch a logged extractor; give the folder that `save_extractor` wrote."""
    found = list(download_model(uri, folder).glob(f"artifacts/*/{DESCRIPTION}"))
    if not found:
        raise UserError(f"extractors: {uri} is no extractor that pretrain or hybrid logged")
    return found[0].parent


def _take(folder: Path, data_dir: Path, key: str) -> None:
    def fill(target: Path) -> None:
        shutil.copytree(folder, target, dirs_exist_ok=True)

    published_folder(extractor_folder(data_dir, key), fill)


class Pretrainings:
    """Makes the pretrainings of a plan; what several of them share is computed once.

    Parameters
    ----------
    tested : sequence of DatasetSpec
        Data sets that will be tested; each of their members, and the pool of all, is kept out of the learning as well.
    limit : int or None
    data_dir : Path
    """

    def __init__(self, tested: Sequence[DatasetSpec], limit: int | None, data_dir: Path) -> None:
        self.domains = list({source.name: source for spec in tested for source in sources_of(spec)}.values())
        sets = {spec.name: spec for spec in [*self.domains, *tested, pool_of(self.domains)]}
        self.tested = tuple(sets[name] for name in sorted(sets))
        self.limit, self.data_dir = limit, data_dir
        self._digests: dict[tuple[str, int, str | None], str] = {}

    def make(
        self, choice: ExtractorChoice, pool: DatasetSpec, seed: int, held_out_class: str | None = None
    ) -> Pretraining:
        """One extractor's training on a pool of domains.

        Raises
        ------
        UserError
            For ImageNet weights that aren't there, and a pool with too little to learn from.
        """
        key = (pool.name, seed, held_out_class)
        if key not in self._digests:
            loaded = load_dataset(pool, self.data_dir)
            tested = [load_dataset(spec, self.data_dir) for spec in self.tested]
            self._digests[key] = rows_digest(loaded, learnable_rows(loaded, tested, seed, self.limit, held_out_class))
        digest = self._digests[key]
        made = Pretraining(choice.name, choice.parameters, pool, self.tested, digest, seed, self.limit, held_out_class)
        if "weights" in json.loads(choice.parameters):
            _check_weights(made, self.data_dir)
        return made


def pool_of(domains: Sequence[DatasetSpec]) -> DatasetSpec:
    """All domains as one data set."""
    sources = tuple(source for domain in domains for source in domain.sources)
    return DatasetSpec("+".join(parse_source(source).name for source in sources), sources)


def _check_weights(pretraining: Pretraining, data_dir: Path) -> None:
    from fanogan_mtl.extractors.weights import imagenet_weights

    path = json.loads(pretraining.parameters)["weights"]
    if path is not None and not Path(path).is_file():
        raise UserError(f"weights {path!r}: there is no such file")
    if not extractor_folder(data_dir, pretraining.key).is_dir():
        imagenet_weights("resnet18", path)


def check_unseen(
    choice: ExtractorChoice, datasets: Iterable[Any], seeds: Sequence[int], limit: int | None, data_dir: Path
) -> None:
    """Raise `UserError` if a logged extractor has learned from images that would be tested."""
    assert choice.key is not None
    learned = learned_from(data_dir, choice.key)
    for dataset in datasets:
        for seed in seeds:
            seen = int(np.isin(hashes_tested(dataset, seed, limit), learned).sum())
            if seen:
                raise UserError(
                    f"extractors: {choice.uri} has learned from {seen} images that {dataset.name!r} is tested on with"
                    f" seed {seed}; choose its own data sets, seed and limit"
                )


def obtain_extractors(
    tracking: Tracking,
    parent_id: str,
    pretrainings: Mapping[str, Pretraining],
    execution: Execution,
    workers: LocalWorkers,
) -> dict[str, str]:
    """See to it that every extractor is in the data folder and in MLflow; train what is in neither.

    Parameters
    ----------
    parent_id : str
        Under whose run new ones are recorded.
    pretrainings : mapping
        By key.

    Returns
    -------
    dict
        Key to run id.

    Raises
    ------
    UserError
        If a training failed; the others are recorded.
    """
    runs = {
        run.data.tags["extractor_key"]: run.info.run_id
        for run in records.find_runs(tracking, "extractor")
        if run.info.status == "FINISHED"
    }
    data_dir = execution.data_dir
    for key in pretrainings:
        if key in runs and not extractor_folder(data_dir, key).is_dir():
            with TemporaryDirectory() as temporary:
                _take(_fetch(f"runs:/{runs[key]}/{pretrainings[key].extractor}", Path(temporary)), data_dir, key)
    missing = [each for key, each in pretrainings.items() if not extractor_folder(data_dir, key).is_dir()]
    found = len(pretrainings) - len(missing)
    click.echo(f"{len(pretrainings)} extractor{'s' * (len(pretrainings) != 1)}, {found} of them trained before")
    for key, each in pretrainings.items():
        if key not in runs and each not in missing:
            runs[key] = _record(tracking, parent_id, each, execution)
    train = partial(run_pretraining, data_dir=data_dir, device=execution.device)
    failures = []
    with TaskProgress("extractors", len(missing), partial(_epochs_done, missing, data_dir)) as progress:
        for outcome in workers.run(train, missing):
            progress.update(outcome.running)
            if outcome.failure:
                failures.append(f"{outcome.item}: {outcome.failure.message[:300]}")
            else:
                runs[outcome.item.key] = _record(tracking, parent_id, outcome.item, execution)
    if failures:
        raise UserError(f"{len(failures)} extractors could not be trained: {'; '.join(failures)}")
    return {key: runs[key] for key in pretrainings}


def obtain_features(cells: Iterable[Cell], execution: Execution, workers: LocalWorkers) -> None:
    """Compute the features of cells that aren't there yet: of every source once, by each extractor."""
    tasks = {task: feature_path(task, execution.data_dir) for task in feature_tasks(cells, execution.data_dir)}
    missing = [task for task, path in tasks.items() if not path.is_dir()]
    click.echo(f"{len(tasks)} feature files, {len(tasks) - len(missing)} of them there")
    compute = partial(compute_features, data_dir=execution.data_dir, device=execution.device)
    with TaskProgress("feature files", len(missing)) as progress:
        for outcome in workers.run(compute, missing):
            progress.update(outcome.running)
            if outcome.failure:
                raise outcome.failure.error


def feature_tasks(cells: Iterable[Cell], data_dir: Path) -> list[FeatureTask]:
    """Every feature file that cells read."""
    needed = {(str(cell.extractor_key), cell.comparison.dataset, cell.comparison.limit): None for cell in cells}
    tasks = [
        FeatureTask(key, source, load_dataset(source, data_dir).digest, limit)
        for key, spec, limit in needed
        for source in sources_of(spec)
    ]
    return list(dict.fromkeys(tasks))


def feature_path(task: FeatureTask, data_dir: Path) -> Path:
    """Where a task's features are or will be."""
    return feature_folder(data_dir, task.extractor_key, task.data_digest, task.limit)


class TaskProgress:
    """The line that tells how far tasks are, with what `watch` says of those that run, every second.

    Parameters
    ----------
    what : str
    total : int
    watch : callable, optional
        Gives a text.
    """

    def __init__(self, what: str, total: int, watch: Callable[[], str] | None = None) -> None:
        layout = "{n_fmt}/{total_fmt} " + what + " |{bar:20}| {elapsed}{postfix}"
        self._bar = tqdm(total=total, bar_format=layout, disable=not total, leave=True, mininterval=0)
        self._watch, self._end = watch, threading.Event()
        self._now = ""
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._bar.close()

    def update(self, running: Sequence[object]) -> None:
        """Count a task that has ended, and say what runs now."""
        self._now = ", ".join(map(str, running))
        self._bar.set_postfix_str(self._now, refresh=False)
        self._bar.update()

    def _follow(self) -> None:
        shown = None
        while not self._end.wait(1):
            text = self._watch() if self._watch else self._now
            if text != shown:
                shown = text
                self._bar.set_postfix_str(text)


def _epochs_done(pretrainings: Sequence[Pretraining], data_dir: Path) -> str:
    """What the trainings that run have reached."""
    texts = []
    for each in pretrainings:
        try:
            state = json.loads((checkpoint_folder(data_dir, each.key) / "history.json").read_text())
        except (OSError, ValueError):
            continue
        last = state["history"][-1]
        measured = next(
            f"{name.partition('_')[0]} {value:.3f}" for name, value in last.items() if name.endswith("_validation")
        )
        texts.append(f"{each}: epoch {len(state['history'])} of at most {state['epochs']}, validation {measured}")
    return "; ".join(texts)


def _record(tracking: Tracking, parent_id: str, pretraining: Pretraining, execution: Execution) -> str:
    """Write a trained extractor's run: parameters, curves, page, and the extractor as a model."""
    folder = extractor_folder(execution.data_dir, pretraining.key)
    description = description_of(execution.data_dir, pretraining.key)
    extractor = load_extractor(folder, "cpu")
    tags = {"level": "extractor", "extractor_key": pretraining.key, **environment_tags(execution.device)}
    tags["mlflow.note.content"] = sentence(description)
    run_id = records.create_run(tracking, parent_id, str(pretraining), tags)
    parameters = {
        **json.loads(pretraining.parameters),
        "extractor": pretraining.extractor,
        "dataset": pretraining.pool.name,
        "held_out_class": pretraining.held_out_class if pretraining.held_out_class is not None else "none",
        "seed": pretraining.seed,
        "limit": pretraining.limit or "none",
        "n_features": extractor.n_features_out_,
        "images": description["n_images"],
        "weights_count": sum(value.numel() for value in extractor.network_.backbone.parameters()),
    }
    with TemporaryDirectory() as temporary:
        pool = load_dataset(pretraining.pool, execution.data_dir)
        files = write_extractor_page(pretraining, description, extractor, pool, Path(temporary), execution.data_dir)
        values = accuracy_values(description)
        records.write(tracking, run_id, Record(parameters, values, files=files, time=records.now()))
    example = np.zeros((1, *extractor.input_spec.shape), np.uint8)
    log_extractor(tracking, run_id, pretraining.extractor, folder, example, extractor.n_features_out_)
    records.finish(tracking, run_id)
    return run_id


def accuracy_values(description: Mapping[str, Any]) -> list[Value]:
    """Metrics of an extractor's run: each epoch's as step, domains by name; the test's at the best epoch."""
    values = []
    for epoch, entry in enumerate(description["history"], start=1):
        for name, value in entry.items():
            head, _, position = name.rpartition("_")
            named = f"{head}_{description['domains'][int(position)]}" if position.isdigit() else name
            values.append(Value(named, value, epoch))
    best = description["best_epoch"]
    values += [Value(f"accuracy_test_{name}", value, best) for name, value in description["test_accuracy"].items()]
    if best:
        values.append(Value("best_epoch", best, best))
    return values


def sentence(description: Mapping[str, Any]) -> str:
    """One sentence on what an extractor had seen."""
    extractor = ExtractorChoice(description["extractor"], "{}")
    domains = ", ".join(description["domains"])
    without = description["held_out_class"]
    held_out = f", class {without} held out" if without is not None else ""
    return (
        f"The extractor had seen {description['n_images']} training {extractor.takes_images_of} of {domains}{held_out};"
        " no tested image among them."
    )
