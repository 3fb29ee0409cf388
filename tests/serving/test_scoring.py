"""Images through heads: prepared as in training whatever their neighbours, features once, memory of a chunk."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_heads import CALIBRATION, Array

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from fanogan_mtl.serving.scoring import CHUNK_IMAGES, named_heads, score_images


class Sums:
    """In place of a detector: keeps the rows that it is given."""

    def __init__(self) -> None:
        self.rows: list[Array] = []

    def decision_function(self, rows: Array) -> Array:
        self.rows.append(np.array(rows))
        return np.asarray(rows.sum(axis=1), np.float64)


class Counted:
    """In place of an extractor: counts the images that it is given."""

    def __init__(self, input_spec: InputSpec) -> None:
        self.input_spec = input_spec
        self.calls: list[int] = []

    def transform(self, images: Array) -> Array:
        assert images.shape[1:] == self.input_spec.shape
        self.calls.append(len(images))
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)


def head(name: str, preparation: Preparation, extractor: str | None = None, detector: Any = None) -> Head:
    return Head(HeadSpec(name, "knn", 0, 1, preparation, CALIBRATION, extractor), detector or Sums())


preparations = st.builds(
    Preparation,
    image_size=st.integers(2, 40),
    colour=st.sampled_from(["grey", "rgb"]),
    crop=st.sampled_from([1.0, 0.9, 0.5]),
    contrast=st.sampled_from([1.0, 1.5]),
    sharpness=st.sampled_from([1.0, 2.0]),
)
shapes = st.sampled_from([(28, 28), (28, 28, 3), (1, 1), (5, 1, 3), (64, 17), (200, 220, 3), (300, 230), (40, 40)])


@settings(max_examples=40)
@given(preparations, st.lists(shapes, min_size=1, max_size=20), st.integers(0, 99))
def test_an_image_is_prepared_to_the_same_bits_among_any_others(
    preparation: Preparation, sizes: list[tuple[int, ...]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    one = head("a", preparation)
    scores = score_images(Model((one,), {}), [one], images)
    alone = np.concatenate([pixel_rows(prepare(image[None], preparation)) for image in images])
    np.testing.assert_array_equal(np.concatenate(one.detector.rows), alone)
    np.testing.assert_array_equal(scores[:, 0], alone.sum(axis=1))


def test_an_extractor_is_called_once_a_chunk_for_all_heads() -> None:
    first, second = Preparation(28), Preparation(28, crop=0.5)
    extractors: dict[str, Any] = {"own": Counted(InputSpec(9)), "original": Counted(InputSpec(7, "rgb", original=True))}
    heads = [head(f"{key}/{at}", (first, second)[at % 2], key) for key in extractors for at in range(10)]
    heads.append(head("pixels", first))
    images = np.random.default_rng(0).integers(0, 256, (2 * CHUNK_IMAGES + 3, 20, 20), dtype=np.uint8)
    scores = score_images(Model(tuple(heads), extractors), heads, images)
    assert scores.shape == (len(images), 21)
    assert extractors["own"].calls == [2 * CHUNK_IMAGES, 2 * CHUNK_IMAGES, 2 * 3]  # of two preparations
    assert extractors["original"].calls == [CHUNK_IMAGES, CHUNK_IMAGES, 3]
    assert score_images(Model(tuple(heads), extractors), heads, images[:1])[0].tolist() == scores[0].tolist()


@pytest.mark.parametrize(("side", "most"), [(512, 2), (20, CHUNK_IMAGES + 1)])
def test_images_are_let_go_as_they_are_read(side: int, most: int) -> None:
    alive: set[int] = set()
    counts = []

    def images() -> Iterator[Array]:
        for number in range(2000):
            image = np.full((side, side), number % 256, np.uint8)
            alive.add(number)
            weakref.finalize(image, alive.discard, number)
            counts.append(len(alive))
            yield image
            del image

    one = head("a", Preparation(8))
    scores = score_images(Model((one,), {}), [one], images())
    np.testing.assert_allclose(scores[:, 0], 64 * (np.arange(2000) % 256) / 255, rtol=1e-5)
    assert len(counts) == 2000
    assert max(counts) <= most


def test_an_image_that_cannot_be_scored_is_named() -> None:
    class Fussy:
        def decision_function(self, rows: Array) -> Array:
            if (rows == 1).any():
                raise ValueError("X has\nvalues that are too large")
            return rows.sum(axis=1)

    one = head("a/b", Preparation(8), detector=Fussy())
    images = np.zeros((200, 8, 8), np.uint8)
    images[[131, 150]] = 255
    with pytest.raises(ValueError, match=r"^image 131: head a/b can't score it \(X has values that are too large\)$"):
        score_images(Model((one,), {}), [one], images)


def test_no_image_gives_no_score() -> None:
    one = head("a", Preparation(8))
    assert score_images(Model((one,), {}), [one], []).shape == (0, 1)


def test_heads_are_chosen_by_name() -> None:
    heads = tuple(head(name, Preparation(8)) for name in ("a/1", "a/2", "b/1"))
    model = Model(heads, {})
    assert named_heads(model, " all ") == heads
    assert named_heads(model, "b/1, a/1") == (heads[2], heads[0])
    for names, said in {
        "c": "heads: no head 'c'; there are a/1, a/2, b/1",
        "a/1,a/1": "heads: a head is there",
    }.items():
        with pytest.raises(ValueError, match=f"^{said}"):
            named_heads(model, names)
