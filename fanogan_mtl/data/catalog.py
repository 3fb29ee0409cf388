"""From a spec to what the other rooms use: a prepared data set, its sample sheets, an extractor's images of it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import read_array, read_facts
from fanogan_mtl.data.dataset import Dataset, RawDataset
from fanogan_mtl.data.files import prepare_images
from fanogan_mtl.data.prepared import (
    found_preparation,
    load_raw,
    pooled_folder,
    preparation_of,
    prepared_folder,
    read_images,
    read_masks,
)
from fanogan_mtl.data.sheets import SampleSheet
from fanogan_mtl.data.specs import DatasetSpec, Source, parse_source
from fanogan_mtl.data.transforms import Preparation, Wanted, extractor_preparation
from fanogan_mtl.errors import UserError


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
    folders = [prepared_folder(source, data_dir) for source in sources]
    folder = folders[0] if len(folders) == 1 else pooled_folder(folders)
    try:
        facts = read_facts(folder)
        train, test = (read_images(folder, part) for part in ("train", "test"))
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
        masks=read_masks(folder),
    )


def sample_sheets(spec: DatasetSpec, data_dir: Path) -> tuple[SampleSheet, ...]:
    """Return up to eight training images of each class, raw and prepared: one sheet per member, none of vectors."""
    sheets = []
    for source in map(parse_source, spec.sources):
        if preparation_of(source) is None:
            continue
        folder = prepared_folder(source, data_dir)
        facts = read_facts(folder)
        rows = read_array(folder, "sheet_rows")
        classes = tuple(facts["classes"][index] for index in facts["sheet_classes"])
        prepared = read_array(folder, "train_pixels")[rows]
        sheets.append(SampleSheet(source.name, classes, np.array(read_array(folder, "sheet_raw")), prepared))
    return tuple(sheets)


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
    """Images as they are, and how they were prepared: looked up once, however often some of them are asked for."""
    source = parse_source(text)
    raw, preparation = load_raw(source, data_dir), found_preparation(source, data_dir)
    assert isinstance(raw, RawDataset)
    assert preparation is not None
    return raw, preparation


def _check_alike(sources: list[Source], name: str) -> None:
    """Refuse a pool whose members don't have one size and colour."""
    different: dict[tuple[int, str], str] = {}
    for source in sources:
        if preparation := preparation_of(source):
            different.setdefault((preparation.image_size, preparation.colour), source.name)
    if len(different) > 1:
        each = ", ".join(f"'{member}' {size}x{size} {colour}" for (size, colour), member in different.items())
        raise UserError(f"'{name}' mixes {each}; give its members one image_size and colour, or run each by itself")


def _digest_of_split(digest: str, contaminated: bool, unique: bool) -> str:
    """Tell apart the same vectors that are split in different ways."""
    for word, holds in (("contaminated", contaminated), ("unique", unique)):
        digest = sha256(f"{word} {digest}".encode()).hexdigest() if holds else digest
    return digest
