"""Reads which extractors a person chose, and plans what each of them learns from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import in_use, published_folder
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.joint import hashes_tested, rows_digest, rows_without
from fanogan_mtl.data.specs import DatasetSpec, pool_of, sources_of
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.persistence import DESCRIPTION, read_description
from fanogan_mtl.extractors.registry import default_parameters, extractor_class, extractor_kind, make_extractor
from fanogan_mtl.plan import words as read
from fanogan_mtl.sweep.parameters import pretraining_parameters
from fanogan_mtl.sweep.pretraining import (
    Pretraining,
    extractor_folder,
    learned_from,
)
from fanogan_mtl.tracking.artifacts import fetching_folder
from fanogan_mtl.tracking.logged_models import download_model

LOGGED = ("runs:/", "models:/")
PARAMS_EXAMPLE = '{"resnet18": {"n_components": 32}}'


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
    own = read.parse_object("extractor_params", extractor_params, PARAMS_EXAMPLE)
    for name, given in own.items():
        if name not in words:
            raise UserError(f"extractor_params names {name!r}, which is not among the extractors {extractors}")
        if not isinstance(given, dict):
            raise UserError(f"extractor_params of {name!r}: an object of parameters; write it like {PARAMS_EXAMPLE}")
        if name.startswith(LOGGED):
            raise UserError(f"extractor_params of {name!r}: it is a trained extractor; name an architecture instead")
        for reserved, option in (("random_state", "seeds"), ("device", "device")):
            if reserved in given:
                raise UserError(f"extractor_params of {name!r}: {reserved} is set by the option {option}")
    common: dict[str, Any] = {}
    if (epochs := read.parse_integer("extractor_epochs", extractor_epochs, 1, "default")) is not None:
        common["epochs"] = epochs
    if weights != "default":
        common["weights"] = str(Path(weights).expanduser().resolve())
    known = {word: default_parameters(word) for word in words if not word.startswith(LOGGED)}
    for parameter, option in (("epochs", "extractor_epochs"), ("weights", "weights")):
        if parameter in common and not any(parameter in of for of in known.values()):
            raise UserError(f"{option}: none of the extractors {extractors} takes it")
    choices = []
    for word in words:
        if word not in known:
            choices.append(_logged(word, data_dir))
            continue
        chosen = {**{name: value for name, value in common.items() if name in known[word]}, **own.get(word, {})}
        make_extractor(word, **chosen)
        if (path := chosen.get("weights")) is not None and not Path(path).is_file():
            raise UserError(f"weights {path!r}: there is no such file")
        choices.append(ExtractorChoice(word, pretraining_parameters(word, chosen)))
    names = [choice.name for choice in choices]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"extractors {extractors!r}: tables could not tell two {name} apart; run one after the other"
            )
    return choices


def _logged(uri: str, data_dir: Path) -> ExtractorChoice:
    """Fetch a logged extractor into the data folder."""
    with fetching_folder() as temporary:
        folder = fetch_extractor(uri, Path(temporary))
        description = read_description(folder)
        key = str(description["key"])
        keep_extractor(folder, data_dir, key)
    parameters = pretraining_parameters(description["extractor"], description["params"])
    return ExtractorChoice(str(description["extractor"]), parameters, uri, key)


def fetch_extractor(uri: str, folder: Path) -> Path:
    """Fetch a logged extractor; give the folder that `save_extractor` wrote."""
    found = list(download_model(uri, folder).glob(f"artifacts/*/{DESCRIPTION}"))
    if not found:
        raise UserError(f"extractors: {uri} is no extractor that pretrain or hybrid logged")
    return found[0].parent


def keep_extractor(folder: Path, data_dir: Path, key: str) -> None:
    """Copy a fetched extractor into the data folder."""

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
        self._kept_out: dict[int, NDArray[np.uint64]] = {}
        self._digests: dict[tuple[object, ...], str] = {}
        self._checked: set[str] = set()

    def make(
        self,
        choice: ExtractorChoice,
        pool: DatasetSpec,
        seed: int,
        held_out_class: str | None = None,
        only_class: str | None = None,
    ) -> Pretraining:
        """Plan one extractor's training on a pool of domains.

        Raises
        ------
        UserError
            For ImageNet weights that aren't there, and a pool with too little to learn from.
        """
        takes_labels = extractor_class(choice.name).uses_labels
        digest = self._digest(pool, seed, held_out_class, only_class, takes_labels)
        chosen = (digest, seed, self.limit, held_out_class, only_class)
        made = Pretraining(choice.name, choice.parameters, pool, self.tested, *chosen)
        if choice.parameters not in self._checked:
            _check_weights(made, self.data_dir)
            self._checked.add(choice.parameters)
        return made

    def _digest(
        self, pool: DatasetSpec, seed: int, held_out_class: str | None, only_class: str | None, takes_labels: bool
    ) -> str:
        key = (pool.name, seed, held_out_class, only_class, takes_labels)
        if key not in self._digests:
            if seed not in self._kept_out:
                tested = [load_dataset(spec, self.data_dir) for spec in self.tested]
                hashes = [hashes_tested(dataset, seed, self.limit) for dataset in tested]
                self._kept_out[seed] = np.unique(np.concatenate(hashes))
            loaded = load_dataset(pool, self.data_dir)
            rows = rows_without(loaded, self._kept_out[seed], self.limit, *key[2:])
            self._digests[key] = rows_digest(loaded, rows)
        return self._digests[key]


def _check_weights(pretraining: Pretraining, data_dir: Path) -> None:
    """Check that the weights fit the extractor, unless it is trained already and needs none."""
    from fanogan_mtl.extractors.imagenet import imagenet_weights

    weights_of = extractor_kind(pretraining.extractor).weights_of
    if weights_of is not None and not in_use(extractor_folder(data_dir, pretraining.key)):
        parameters = json.loads(pretraining.parameters)
        imagenet_weights(weights_of.format(**parameters), parameters["weights"])


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


def sentence(description: Mapping[str, Any]) -> str:
    """Say in one sentence what an extractor had seen."""
    if not description["n_images"]:
        return (
            f"The extractor {description['extractor']} learned nothing from these images: its weights are ImageNet's."
        )
    sees = extractor_kind(description["extractor"]).sees
    domains = ", ".join(description["domains"])
    without, only = description["held_out_class"], description.get("only_class")
    held_out = f", class {without} held out" if without is not None else ""
    held_out += f", class {only} alone" if only is not None else ""
    return (
        f"The extractor had seen {sees} of {domains}{held_out} ({description['n_images']} images); no tested image "
        "among them."
    )
