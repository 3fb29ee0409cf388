"""A pretraining is one extractor's training, as a cell is a detector's; here it is described, run and read back."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import digest_of, published_folder, read_array
from fanogan_mtl.data.catalog import extractor_images, load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.draws import limited_rows
from fanogan_mtl.data.joint import learnable_rows, rows_digest
from fanogan_mtl.data.specs import DatasetSpec, sources_of
from fanogan_mtl.data.usage import claim
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.persistence import load_extractor, read_description, save_extractor
from fanogan_mtl.extractors.registry import make_extractor

_CHUNK_IMAGES = 512  # read, prepared and turned into features at once, or fewer large ones
_CHUNK_PIXELS = 2**25
MOST_ORIGINALS = 2_000  # frozen networks take large images, and learn next to nothing from them


@dataclass(frozen=True)
class Pretraining:
    """One extractor's training.

    Parameters
    ----------
    extractor : str
        A name of the registry.
    parameters : str
        JSON object of every parameter that the result depends on, defaults included, keys sorted.
    pool : DatasetSpec
        All domains that are learned from.
    tested : tuple of DatasetSpec
        Data sets whose test images are kept out.
    rows_digest : str
        Of the images that are learned from; see `fanogan_mtl.data.joint.rows_digest`.
    seed : int
    limit : int or None
    held_out_class, only_class : str or None
        The class that nothing is learned of; the only class that is learned from.
    """

    extractor: str
    parameters: str
    pool: DatasetSpec
    tested: tuple[DatasetSpec, ...]
    rows_digest: str
    seed: int
    limit: int | None = None
    held_out_class: str | None = None
    only_class: str | None = None

    @cached_property
    def key(self) -> str:
        """Digest of all that the extractor depends on: not of the data sets' names, but of the images learned from."""
        parameters = dict(json.loads(self.parameters))
        if parameters.get("weights"):
            parameters["weights"] = _file_digest(Path(parameters["weights"]).expanduser())
        extractor = make_extractor(self.extractor, **parameters)
        fields = {"extractor": self.extractor, "parameters": parameters, "version": extractor.version}
        if extractor.learns:
            fields |= {"rows": self.rows_digest, "seed": self.seed}
        return digest_of(fields)

    def __str__(self) -> str:
        without = f" without {self.held_out_class}" if self.held_out_class is not None else ""
        only = f" class {self.only_class} alone" if self.only_class is not None else ""
        return f"{self.extractor} on {self.pool.name}{without}{only} seed {self.seed}"


@dataclass(frozen=True)
class FeatureTask:
    """Features to compute: of one source's images, at most so many per class, by one extractor."""

    extractor_key: str
    source: DatasetSpec
    data_digest: str
    limit: int | None

    def __str__(self) -> str:
        return f"features of {self.source.name}"


def extractor_folder(data_dir: Path, key: str) -> Path:
    """Where a trained extractor is: `extractor.json`, `weights.safetensors` and `learned_from.npy`."""
    return data_dir / "extractors" / key


def checkpoint_folder(data_dir: Path, key: str) -> Path:
    """Where an extractor's training keeps its state until it is finished."""
    return data_dir / "checkpoints" / key


def run_pretraining(pretraining: Pretraining, data_dir: Path, device: str = "auto") -> str:
    """Train an extractor on one thread, unless it is there already; give its key.

    A training that was cut short goes on from its last finished epoch.

    Raises
    ------
    RuntimeError
        If the data are no longer those that the training was planned for.
    """
    checkpoints = checkpoint_folder(data_dir, pretraining.key)
    claim(checkpoints, data_dir)  # what a training that was cut short left

    def fill(folder: Path) -> None:
        extractor = make_extractor(
            pretraining.extractor, **json.loads(pretraining.parameters), random_state=pretraining.seed, device=device
        )
        pool = load_dataset(pretraining.pool, data_dir)
        tested = [load_dataset(spec, data_dir) for spec in pretraining.tested]
        chosen = (pretraining.held_out_class, pretraining.only_class)
        rows = learnable_rows(pool, tested, pretraining.seed, pretraining.limit, *chosen, extractor.uses_labels)
        if rows_digest(pool, rows) != pretraining.rows_digest:
            raise RuntimeError(f"data set {pool.name!r} changed since the plan was made: start the same command again")
        learned = rows if extractor.learns else rows[:0]
        np.save(folder / "learned_from.npy", np.unique(pool.train.hashes[learned]))
        if extractor.input_spec.original or extractor.input_spec.colour == "own":
            most = MOST_ORIGINALS if extractor.learns else _chunk_images(extractor.input_spec)
            rows = rows[:: max(1, len(rows) // most)]
        images = images_of(pretraining.pool, pool, rows, extractor.input_spec, data_dir)
        classes, domains = np.array(pool.classes), np.array(pool.domains)
        extractor.fit(images, classes[pool.train.labels[rows]], domains[pool.train.domains[rows]], checkpoints)
        facts: dict[str, Any] = {"domains": list(pool.domains), "n_images": len(learned), "seed": pretraining.seed}
        facts |= {"held_out_class": pretraining.held_out_class, "only_class": pretraining.only_class}
        facts["key"] = pretraining.key
        facts["test_accuracy"] = _test_accuracy(extractor, pretraining, pool, data_dir)
        save_extractor(extractor, folder, facts)

    with one_thread():
        published_folder(extractor_folder(data_dir, pretraining.key), fill)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return pretraining.key


def compute_features(task: FeatureTask, data_dir: Path, device: str = "auto") -> None:
    """Compute a source's features on one thread, unless they are there already.

    `rows.npy` says of which images, counted as in `SplitRows`, and `features.npy` has them, one row per image.
    """

    def fill(folder: Path) -> None:
        extractor = load_extractor(extractor_folder(data_dir, task.extractor_key), device)
        dataset = load_dataset(task.source, data_dir)
        rows = limited_rows(dataset, task.limit)
        np.save(folder / "rows.npy", rows)
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), extractor.n_features_out_)}
        with (folder / "features.npy").open("wb") as file:  # a memory map would crash on a full disk
            np.lib.format.write_array_header_1_0(file, header)
            number = _chunk_images(extractor.input_spec)
            for start in range(0, len(rows), number):
                chunk = rows[start : start + number]
                images = images_of(task.source, dataset, chunk, extractor.input_spec, data_dir)
                file.write(np.ascontiguousarray(extractor.transform(images), "<f4").tobytes())
        if load_dataset(task.source, data_dir).digest != task.data_digest:
            raise RuntimeError(f"data set {dataset.name!r} changed while it was read: start the same command again")

    with one_thread():
        published_folder(feature_folder(data_dir, task.extractor_key, task.data_digest, task.limit), fill)


def _chunk_images(wanted: InputSpec) -> int:
    return max(1, min(_CHUNK_IMAGES, _CHUNK_PIXELS // wanted.image_size**2))


def feature_folder(data_dir: Path, extractor_key: str, data_digest: str, limit: int | None) -> Path:
    """Where the features of a source are."""
    return data_dir / "features" / f"{extractor_key}-{data_digest[:16]}-{limit or 'all'}"


def read_features(
    extractor_key: str, spec: DatasetSpec, dataset: Dataset, rows: NDArray[np.int64], limit: int | None, data_dir: Path
) -> NDArray[np.float32]:
    """Features (len(rows), d) of rows of a data set or pool, counted as in `SplitRows`."""
    gathered = None
    for position, source in enumerate(sources_of(spec)):
        of_train = np.flatnonzero(dataset.train.domains == position)
        of_test = np.flatnonzero(dataset.test.domains == position) + len(dataset.train.labels)
        own = np.concatenate([of_train, of_test])  # the source's rows, as the pool counts them; ascending
        wanted = np.flatnonzero(np.isin(rows, own))
        if not len(wanted):
            continue
        folder = feature_folder(data_dir, extractor_key, load_dataset(source, data_dir).digest, limit)
        features, known = read_array(folder, "features"), read_array(folder, "rows")
        if gathered is None:
            gathered = np.empty((len(rows), features.shape[1]), np.float32)
        gathered[wanted] = features[np.searchsorted(known, np.searchsorted(own, rows[wanted]))]
    assert gathered is not None
    return gathered


def learned_from(data_dir: Path, key: str) -> NDArray[np.uint64]:
    """Content hashes of all images that an extractor has learned from or chosen its epoch by."""
    hashes: NDArray[np.uint64] = np.load(extractor_folder(data_dir, key) / "learned_from.npy", allow_pickle=False)
    return hashes


def description_of(data_dir: Path, key: str) -> dict[str, Any]:
    """Read the description saved with a trained extractor."""
    return read_description(extractor_folder(data_dir, key))


def described(data_dir: Path, key: str) -> Extractor:
    """Make a trained extractor without what it has learned."""
    description = description_of(data_dir, key)
    return make_extractor(description["extractor"], **description["params"])


def grid_of(data_dir: Path, key: str) -> int:
    """Positions a side that an extractor's features keep apart; 1 where they have none."""
    return described(data_dir, key).positions


def input_size_of(data_dir: Path, key: str) -> int:
    """Height and width in pixels of the images that an extractor takes."""
    return described(data_dir, key).input_spec.image_size


def images_of(
    spec: DatasetSpec, dataset: Dataset, rows: NDArray[np.int64], wanted: InputSpec, data_dir: Path
) -> NDArray[np.uint8]:
    """Images of rows, ascending, as an extractor wants them."""
    if wanted.original or wanted.colour == "own" or dataset.train.pixels.shape[1:] != wanted.shape:
        return extractor_images(spec, rows, wanted, data_dir)
    n_train = len(dataset.train.labels)
    if rows[0] >= n_train:
        return np.asarray(dataset.test.pixels[rows - n_train])
    if rows[-1] < n_train:
        return np.asarray(dataset.train.pixels[rows])
    cut = int(np.searchsorted(rows, n_train))
    return np.concatenate([dataset.train.pixels[rows[:cut]], dataset.test.pixels[rows[cut:] - n_train]])


def _test_accuracy(extractor: Extractor, pretraining: Pretraining, pool: Dataset, data_dir: Path) -> dict[str, float]:
    """Accuracy on the test images of each domain, of the classes that were learned; measured once, at the end."""
    if not extractor.classifies:
        return {}
    n_train = len(pool.train.labels)
    usable = limited_rows(pool, pretraining.limit)
    rows = usable[usable >= n_train]
    names = np.array(pool.classes)[pool.test.labels[rows - n_train]]
    known = np.isin(names, extractor.classes_)
    rows, names = rows[known], names[known]
    right = np.zeros(len(rows), bool)
    for start in range(0, len(rows), _CHUNK_IMAGES):
        chunk = slice(start, start + _CHUNK_IMAGES)
        images = images_of(pretraining.pool, pool, rows[chunk], extractor.input_spec, data_dir)
        right[chunk] = extractor.predict(images) == names[chunk]
    domains = pool.test.domains[rows - n_train]
    return {
        name: float(right[domains == position].mean())
        for position, name in enumerate(pool.domains)
        if (domains == position).any()
    }


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
