"""Scores the files of a person's input by a model's heads, in chunks that bound the memory, one a thread at a time."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from joblib import cpu_count
from tqdm import tqdm

from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.detectors.threads import stay_on_one_thread
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.requests import answer_table
from fanogan_mtl.serving.scoring import CHUNK_IMAGES, score_images

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MASK = "a mask, by its name or its folder's: rename it to have it scored"


def score_files(
    model: Model, heads: Sequence[Head], files: Mapping[str, Path], masks: Set[str], done: Set[str] = frozenset()
) -> Iterator[list[ScoredRow]]:
    """Score files chunk by chunk, under a progress bar; chunks come in order, while others are read and scored beside.

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
    threads = _threads(heads)
    chunks = iter(lambda: {name: files[name] for name in islice(remaining, CHUNK_IMAGES)}, {})
    with (
        tqdm(total=len(files), initial=len(done), unit="image", mininterval=interval) as bar,
        warnings.catch_warnings(action="ignore"),  # for all threads: the readers' own would undo each other's
        ThreadPoolExecutor(threads, initializer=stay_on_one_thread) as pool,
    ):
        for rows in _in_order(pool, threads, partial(_rows, model, heads, masks), chunks):
            yield rows
            bar.update(len({row.path for row in rows}))


def _threads(heads: Sequence[Head]) -> int:
    """One a core, but for detectors that draw random numbers: the generators are the process's."""
    return 1 if any(getattr(head.detector, "draws_to_score", False) for head in heads) else cpu_count()


def _in_order(
    pool: ThreadPoolExecutor, ahead: int, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Results in the order of the items, of which so many more are taken than are waited for."""
    running: deque[Future[_Result]] = deque()
    try:
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for each in running:
            each.cancel()


def _rows(model: Model, heads: Sequence[Head], masks: Set[str], files: Mapping[str, Path]) -> list[ScoredRow]:
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
        return [row for name, path in files.items() for row in _rows(model, heads, masks, {name: path})]
    table = answer_table(tuple(heads), scores)[list(ScoredRow._fields[1:-1])].astype(object)
    scored = table.where(table.notna(), None).itertuples(index=False, name=None)  # older models have no p-values
    return [
        row
        for name in files
        for row in (
            [ScoredRow(name, error=errors[name])] if name in errors else [ScoredRow(name, *next(scored)) for _ in heads]
        )
    ]
