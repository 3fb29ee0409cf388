"""Scores the files of a person's input by a model's heads, in chunks that bound the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.requests import answer_table
from fanogan_mtl.serving.scoring import CHUNK_IMAGES, score_images

_MASK = "a mask, by its name or its folder's: rename it to have it scored"


def score_files(
    model: Model, heads: Sequence[Head], files: Mapping[str, Path], masks: Set[str], done: Set[str] = frozenset()
) -> Iterator[list[ScoredRow]]:
    """Score files chunk by chunk, under a progress bar.

    Parameters
    ----------
    files : mapping of str to Path
        As `list_images` gives them.
    masks : set of str
        Names of those that are rows with an error.
    done : set of str
        Names of those that have rows already.

    Yields
    ------
    list of ScoredRow
        An image's rows together, in the order of the heads.
    """
    remaining = iter([name for name in files if name not in done])
    interval = 0.1 if os.isatty(2) else 10
    with tqdm(total=len(files), initial=len(done), unit="image", mininterval=interval) as bar:
        while names := list(islice(remaining, CHUNK_IMAGES)):
            yield _rows(model, heads, {name: files[name] for name in names}, masks)
            bar.update(len(names))


def _rows(model: Model, heads: Sequence[Head], files: Mapping[str, Path], masks: Set[str]) -> list[ScoredRow]:
    errors: dict[str, str] = {}

    def images() -> Iterator[Pixels]:
        for name, path in files.items():
            if name in masks:
                errors[name] = _MASK
                continue
            try:
                yield read_image_file(path)
            except ImageError as error:
                errors[name] = str(error)

    try:
        scores = score_images(model, heads, images())
    except ValueError as error:  # a score of infinity, as of pixels that training never saw
        if len(files) == 1:
            return [ScoredRow(name, error=str(error).removeprefix("image 0: ")) for name in files]
        return [row for name, path in files.items() for row in _rows(model, heads, {name: path}, masks)]
    table = answer_table(tuple(heads), scores)[list(ScoredRow._fields[1:-1])].astype(object)
    scored = table.where(table.notna(), None).itertuples(index=False, name=None)  # older models have no p-values
    return [
        row
        for name in files
        for row in (
            [ScoredRow(name, error=errors[name])] if name in errors else [ScoredRow(name, *next(scored)) for _ in heads]
        )
    ]
