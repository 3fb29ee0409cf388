"""Scores images by a model's heads: prepared as in training, features made once, in chunks that bound the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, extractor_preparation, prepare
from fanogan_mtl.errors import one_line
from fanogan_mtl.serving.heads import Head, Model

CHUNK_IMAGES = 64  # held prepared at once, or fewer large ones; extractors work in batches of as many
_CHUNK_PIXELS = 2**24
SMALL_VALUES = 2**16  # pixel values of an image that waits for others of its shape: a call of PyTorch costs as much

Rows = NDArray[np.float32]
Input = tuple[str | None, Preparation]  # the extractor's key, and how images are prepared for it or for the detector


def named_heads(model: Model, names: str) -> tuple[Head, ...]:
    """The heads of those names, separated by commas, in that order; `all` for every one.

    Raises
    ------
    ValueError
        For an unknown or repeated name, in one line.
    """
    if names.strip() == "all":
        return model.heads
    known = {head.spec.name: head for head in model.heads}
    wanted = [name.strip() for name in normalize("NFC", names).split(",")]
    for name in wanted:
        if name not in known:
            some = ", ".join(list(known)[:8]) + (", ..." if len(known) > 8 else "")
            raise ValueError(f"heads: no head {name[:80]!r}; there are {some}")
    if len(set(wanted)) < len(wanted):
        raise ValueError("heads: a head is there twice")
    return tuple(known[name] for name in wanted)


def score_images(model: Model, heads: Sequence[Head], images: Iterable[Pixels]) -> NDArray[np.float64]:
    """Score images by heads of a model; each extractor sees each image once, whatever the number of heads.

    Parameters
    ----------
    images : iterable of arrays of shape (height, width) or (height, width, 3), uint8 or uint16
        Of any size; read one by one.

    Returns
    -------
    array of shape (images, heads), float64

    Raises
    ------
    ValueError
        For an image that a head can't score, in one line that names both.
    """
    scores = [np.empty((0, len(heads)))]
    remaining = iter(images)
    inputs = [input_of(model, head) for head in heads]
    preparations = {preparation for _, preparation in inputs}
    side = max((each.image_size for each in preparations), default=1)
    number = max(1, min(CHUNK_IMAGES, _CHUNK_PIXELS // side**2))
    while len(prepared := _prepared(islice(remaining, number), preparations)):
        rows = rows_of(model, set(inputs), prepared)
        first = sum(map(len, scores))
        columns = [head_scores(head, rows[own], "image", first) for head, own in zip(heads, inputs, strict=True)]
        scores.append(np.stack(columns, axis=1))
    return np.concatenate(scores)


def head_scores(head: Head, rows: Rows, what: str, first: int = 0) -> NDArray[np.float64]:
    """Score rows by one head; an error names the row that can't be scored, where row 0 is `what` number `first`."""
    try:
        scores: NDArray[np.float64] = head.detector.decision_function(rows)
    except ValueError as error:  # scores that come out as infinity, as of pixels that training never saw
        if len(rows) == 1:
            raise ValueError(f"{what} {first}: head {head.spec.name} can't score it ({one_line(error)})") from None
        return np.concatenate([head_scores(head, rows[at : at + 1], what, first + at) for at in range(len(rows))])
    return scores


def input_of(model: Model, head: Head) -> Input:
    """What a head's rows are made with: its preparation and its extractor."""
    key, preparation = head.spec.extractor, head.spec.preparation
    assert preparation is not None
    return key, preparation if key is None else extractor_preparation(preparation, model.extractors[key].input_spec)


def rows_of(model: Model, inputs: Iterable[Input], prepared: dict[Preparation, NDArray[np.uint8]]) -> dict[Input, Rows]:
    """Rows (n, d) for each input, of images by preparation; one call for each extractor."""
    rows: dict[Input, Rows] = {}
    by_extractor: dict[str | None, list[Preparation]] = {}
    for key, preparation in inputs:
        by_extractor.setdefault(key, []).append(preparation)
    for key, preparations in by_extractor.items():
        if key is None:
            made = [pixel_rows(prepared[each]) for each in preparations]
        else:
            together = np.concatenate([prepared[each] for each in preparations])
            made = np.split(model.extractors[key].transform(together), len(preparations))
        rows |= {(key, each): part for each, part in zip(preparations, made, strict=True)}
    return rows


def _prepared(images: Iterator[Pixels], preparations: set[Preparation]) -> dict[Preparation, NDArray[np.uint8]]:
    """Prepare images; empty without any. Small ones of a shape and type go together, a large one alone as it comes."""
    number = 0
    small: dict[object, list[tuple[int, Pixels]]] = {}
    parts: dict[Preparation, list[tuple[list[int], NDArray[np.uint8]]]] = {each: [] for each in preparations}

    def add(positions: list[int], same: Pixels) -> None:
        for each, own in parts.items():
            own.append((positions, prepare(same, each)))

    for position, image in enumerate(images):
        number += 1
        if image.size > SMALL_VALUES:
            add([position], image[None])
        else:
            small.setdefault((image.shape, image.dtype), []).append((position, image))
    for group in small.values():
        add([position for position, _ in group], np.stack([image for _, image in group]))
    return {each: _in_order(own, number) for each, own in parts.items()} if number else {}


def _in_order(parts: list[tuple[list[int], NDArray[np.uint8]]], number: int) -> NDArray[np.uint8]:
    whole = np.empty((number, *parts[0][1].shape[1:]), np.uint8)
    for positions, pixels in parts:
        whole[positions] = pixels
    return whole
