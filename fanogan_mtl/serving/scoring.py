"""Images through a model's heads: prepared as in training, features made once, memory bounded by a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.extractors.base import InputSpec
from fanogan_mtl.serving.heads import Head, Model

CHUNK_IMAGES = 64  # held prepared at once; extractors work in batches of as many

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]
Input = tuple[str | None, Preparation]  # the extractor's key, and how images are prepared for it or for the detector


def choose_heads(model: Model, names: str) -> tuple[Head, ...]:
    """The heads of those names, separated by commas, in that order; `all` for every one.

    Raises
    ------
    ValueError
        For an unknown or repeated name, in one line.
    """
    if names.strip() == "all":
        return model.heads
    known = {head.spec.name: head for head in model.heads}
    wanted = [name.strip() for name in names.split(",")]
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
    images : iterable of arrays of shape (height, width) or (height, width, 3), uint8
        Of any size; read one by one.

    Returns
    -------
    array of shape (images, heads), float64
    """
    scores = [np.empty((0, len(heads)))]
    remaining = iter(images)
    inputs = {input_of(model, head) for head in heads}
    preparations = {preparation for _, preparation in inputs}
    while len(prepared := _prepared(islice(remaining, CHUNK_IMAGES), preparations)):
        rows = rows_of(model, inputs, prepared)
        columns = [head.detector.decision_function(rows[input_of(model, head)]) for head in heads]
        scores.append(np.stack(columns, axis=1))
    return np.concatenate(scores)


def input_of(model: Model, head: Head) -> Input:
    """What a head's rows are made of."""
    key, preparation = head.spec.extractor, head.spec.preparation
    assert preparation is not None
    return key, preparation if key is None else extractor_preparation(preparation, model.extractors[key].input_spec)


def extractor_preparation(preparation: Preparation, wanted: InputSpec) -> Preparation:
    """How images are prepared for an extractor."""
    if wanted.original:
        return Preparation(wanted.image_size, wanted.colour)
    return replace(preparation, image_size=wanted.image_size, colour=wanted.colour)


def rows_of(model: Model, inputs: Iterable[Input], prepared: dict[Preparation, Pixels]) -> dict[Input, Rows]:
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


def _prepared(images: Iterator[Pixels], preparations: set[Preparation]) -> dict[Preparation, Pixels]:
    """Prepare images one by one, so that only one is held as it came; empty without images."""
    stacks: dict[Preparation, list[Pixels]] = {}
    for image in images:
        for each in preparations:
            stacks.setdefault(each, []).append(prepare(image[None], each))
    return {each: np.concatenate(stack) for each, stack in stacks.items()}
