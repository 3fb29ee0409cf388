"""Prepared folders: the arrays of a source, made once for each content and preparation, and kept in the data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import key_of, published_folder, read_array, read_facts, write_entry
from fanogan_mtl.data.dataset import VECTOR_CLASSES, Images, Masks, RawDataset, RawVectors, class_order
from fanogan_mtl.data.files import PreparedImages, prepare_set
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.images.levels import depth_of
from fanogan_mtl.data.sheets import sheet_arrays
from fanogan_mtl.data.sources.mask_arrays import pooled_masks, prepare_masks
from fanogan_mtl.data.sources.registry import REGISTRY
from fanogan_mtl.data.specs import Source
from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.errors import UserError

_RECIPE = 3  # raise it when the same source and preparation give other arrays
_MOST = 0.97  # of the pixels
_LEAST_RANGE = 0.1  # of all grey levels, below which there is a warning

Arrays = dict[str, NDArray[Any]]


def load_raw(source: Source, data_dir: Path) -> RawDataset | RawVectors:
    """Load a source as it is.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    return REGISTRY[source.kind].load(source.place, data_dir)


def preparation_of(source: Source) -> Preparation | None:
    """Tell how a source's images are prepared: as its settings say, and for the rest as its name does.

    Names of published sets have a preparation, be it the set itself or a file under that name. Vectors are taken as
    they are: None. The depth is None unless it is set: see `found_preparation`.
    """
    if source.holds_vectors:
        return None
    named = REGISTRY[source.name].preparation if source.name in REGISTRY else {}
    return Preparation(**{**named, **dict(source.settings)})


def found_preparation(source: Source, data_dir: Path) -> Preparation | None:
    """Tell how a source's images were prepared, with the depth that its training images have; None for vectors.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    if preparation_of(source) is None:
        return None
    return Preparation(**read_facts(prepared_folder(source, data_dir))["preparation"])


def prepared_folder(source: Source, data_dir: Path) -> Path:
    """Return the folder of a source's prepared arrays, made now if need be.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    if source in _FETCHED:
        return data_dir / "prepared" / _FETCHED[source]
    preparation = preparation_of(source)
    fingerprint = _fingerprint(source, data_dir)
    how = [] if preparation is None else [asdict(preparation)]

    def fill(folder: Path) -> None:
        raw = load_raw(source, data_dir)
        if isinstance(raw, RawVectors):
            arrays = _vector_arrays(raw)
            facts = _content_facts(arrays, VECTOR_CLASSES)
        else:
            assert preparation is not None
            arrays, facts = _prepare(raw, preparation, source.name)
        write_entry(folder, arrays, {"name": source.name, "source": source.kind} | facts)
        if _fingerprint(source, data_dir) != fingerprint:  # the folder's key would tell a lie
            raise UserError(f"data set '{source.name}' changed while it was read; start the same command again")

    return published_folder(data_dir / "prepared" / key_of(_RECIPE, fingerprint, *how), fill)


@contextmanager
def fetched_folders(keys: Mapping[Source, str]) -> Iterator[None]:
    """While active, `prepared_folder(source)` returns these folders of `data_dir/prepared` and prepares nothing.

    A worker on another machine has fetched them there; it may have neither the source nor the same versions.
    """
    before = dict(_FETCHED)
    _FETCHED.update(keys)
    try:
        yield
    finally:
        _FETCHED.clear()
        _FETCHED.update(before)


_FETCHED: dict[Source, str] = {}


def pooled_folder(members: list[Path]) -> Path:
    """Return the folder of the arrays of several prepared folders one after the other, made now if need be."""
    key = key_of(_RECIPE, "pool", [member.name for member in members])

    def fill(folder: Path) -> None:
        facts = [read_facts(member) for member in members]
        names = [each["classes"] for each in facts]
        classes = tuple(sorted({name for each in names for name in each}, key=class_order))
        arrays: Arrays = {}
        for part in ("train", "test"):
            parts = [read_images(member, part) for member in members]
            labels = [
                np.array([classes.index(name) for name in each], np.int64)[images.labels]
                for each, images in zip(names, parts, strict=True)
            ]
            pooled = Images(
                pixels=np.concatenate([images.pixels for images in parts]),
                labels=np.concatenate(labels),
                domains=np.repeat(np.arange(len(parts), dtype=np.int64), [len(images.labels) for images in parts]),
                hashes=np.concatenate([images.hashes for images in parts]),
                sizes=np.concatenate([images.sizes for images in parts]),
            )
            arrays |= _image_arrays(part, pooled)
        if masks := pooled_masks([(read_masks(each), len(read_array(each, "test_labels"))) for each in members]):
            arrays |= {f"masks_{key}": value for key, value in vars(masks).items()}
        name = "+".join(each["name"] for each in facts)
        write_entry(folder, arrays, {"name": name, "source": "pool"} | _content_facts(arrays, classes))

    return published_folder(members[0].parent / key, fill)


def read_images(folder: Path, part: str) -> Images:
    """Read the images or vectors of a prepared folder's part, `train` or `test`; pixels are a memory map."""
    pixels = read_array(folder, f"{part}_pixels")
    others = ("labels", "domains", "hashes", "sizes")
    return Images(pixels, *(np.array(read_array(folder, f"{part}_{name}")) for name in others))


def read_masks(folder: Path) -> Masks | None:
    """Read the masks of a prepared folder's test images, if there are some; all but `rows` are memory maps."""
    if not (folder / "masks_rows.npy").exists():
        return None
    return Masks(
        np.array(read_array(folder, "masks_rows")),
        read_array(folder, "masks_packed"),
        read_array(folder, "masks_pictures"),
    )


def _fingerprint(source: Source, data_dir: Path) -> list[str]:
    """Say what decides a source's content: its files' bytes, or the packages that it comes from."""
    try:
        return [source.kind, *REGISTRY[source.kind].fingerprint(source.place, data_dir)]
    except OSError as error:
        raise UserError(f"can't read {error.filename} ({error.strerror})") from None


def _prepare(raw: RawDataset, preparation: Preparation, name: str) -> tuple[Arrays, dict[str, Any]]:
    """Prepare images: the arrays to be kept, and the facts. The depth is that of the training images."""
    train = prepare_set(raw.train.images, preparation, f"preparing {name}, train")
    test = prepare_set(raw.test.images, train.preparation, f"preparing {name}, test")
    arrays, sheet_classes = sheet_arrays(raw, train.preparation.depth)
    for part, images, made in (("train", raw.train, train), ("test", raw.test, test)):
        domains = np.zeros(len(made.pixels), np.int64)
        arrays |= _image_arrays(
            part, Images(made.pixels, images.labels, domains, content_hashes(made.pixels), made.sizes)
        )
    masks, said = prepare_masks(raw, test, name)
    arrays |= masks
    for line in (*_warnings(name, train, test), *said):
        print(line, file=sys.stderr)
    facts = {"preparation": asdict(train.preparation), "sheet_classes": sheet_classes}
    return arrays, facts | _content_facts(arrays, raw.classes)


def _vector_arrays(raw: RawVectors) -> Arrays:
    """Give vectors as they are, all in the training part, however they are split later."""
    domains, sizes = np.zeros(len(raw.vectors), np.int64), np.zeros((len(raw.vectors), 3), np.int64)
    whole = Images(raw.vectors, raw.labels, domains, content_hashes(raw.vectors), sizes)
    nothing = Images(*(array[:0] for array in vars(whole).values()))
    return _image_arrays("train", whole) | _image_arrays("test", nothing)


def _image_arrays(part: str, images: Images) -> Arrays:
    return {f"{part}_{name}": array for name, array in vars(images).items()}


def _content_facts(arrays: Arrays, classes: tuple[str, ...]) -> dict[str, Any]:
    names = [f"{part}_{name}" for part in ("train", "test") for name in ("pixels", "labels", "domains")]
    names += [name for name in ("masks_rows", "masks_packed") if name in arrays]
    digest = sha256(dumps([classes, [arrays[name].shape for name in names]]).encode())
    for name in names:
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return {"digest": digest.hexdigest(), "classes": classes}


def _warnings(name: str, train: PreparedImages, test: PreparedImages) -> Iterator[str]:
    """Say in a line each where grey levels are lost: by a range that is hardly used, or one that is too short."""
    depth = train.preparation.depth
    assert depth is not None
    pixels = train.pixels.reshape(len(train.pixels), -1)
    low, high = np.quantile(pixels.min(axis=1), 0.05), np.quantile(pixels.max(axis=1), 0.95)  # a spot hides nothing
    if high - low < _LEAST_RANGE * 255:
        yield (
            f"data set '{name}' uses {(high - low) / 255:.0%} of its range: its training images lie between {low:.0f} "
            f"and {high:.0f} of 255; stretch the images to the range they use"
            + (f", or set ?depth= if they have fewer than {depth} bits" if train.highest and depth > 8 else "")
        )
    elif train.highest and (fewer := _bits_of_most(pixels, depth)) < depth:
        yield (
            f"data set '{name}': nearly all pixels of its training images have under a tenth of the grey levels there "
            f"are; if the brighter ones are marks or faults, set ?depth={fewer}"
        )
    if too_high := sum(value >= 2**depth for value in test.highest):
        yield (
            f"data set '{name}': {too_high:,} test images have values above {2**depth - 1:,}, where the "
            f"{depth} bits of the training images end, and become white there; if that matters, set "
            f"?depth={depth_of(max(test.highest))}"
        )


def _bits_of_most(pixels: NDArray[np.uint8], depth: int) -> int:
    """The depth that 97 % of the pixels need, if those have few grey levels; else the depth that there is."""
    counts = np.bincount(pixels.ravel(), minlength=256)
    common = np.argsort(-counts, kind="stable")
    levels = common[: np.searchsorted(counts[common].cumsum(), _MOST * pixels.size) + 1]
    few = len(levels) < _LEAST_RANGE * 256
    return max(8, depth - 8 + int(levels.max()).bit_length()) if few else depth
