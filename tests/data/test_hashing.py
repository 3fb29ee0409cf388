from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fanogan_mtl.data.hashing import content_hashes, random_ranks


def test_hashes_tell_images_apart_by_content():
    images = np.zeros((3, 5, 5), np.uint8)
    images[1, 4, 4] = 1
    first, second, third = content_hashes(images)
    assert first == third != second
    assert content_hashes(images[::-1]).tolist() == [third, second, first]


def test_hashes_tell_vectors_apart_by_content():
    vectors = np.zeros((3, 5), np.float32)
    vectors[1, 4] = 1e-30
    first, second, third = content_hashes(vectors)
    assert first == third != second
    assert content_hashes(vectors[:0]).shape == (0,)


@given(arrays(np.uint64, st.integers(0, 50), unique=True), st.randoms(use_true_random=False))
def test_a_rank_depends_on_an_images_own_content_alone(hashes, shuffler):
    ranks = dict(zip(hashes.tolist(), random_ranks(hashes, "purpose").tolist(), strict=True))
    assert len(set(ranks.values())) == len(hashes)
    some = [value for value in hashes.tolist() if shuffler.random() < 0.5]
    shuffler.shuffle(some)
    assert random_ranks(np.array(some, np.uint64), "purpose").tolist() == [ranks[value] for value in some]


def test_orders_of_two_purposes_look_unrelated_and_unsorted():
    hashes = np.arange(20_000, dtype=np.uint64)  # the worst hashes there could be
    ranks = np.stack([random_ranks(hashes, purpose).astype(float) for purpose in ("split 0 3", "split 1 3")])
    assert np.abs(np.corrcoef([hashes.astype(float), *ranks]) - np.eye(3)).max() < 0.03


def test_hashes_and_ranks_never_change_between_versions():
    assert content_hashes(np.arange(4, dtype=np.uint8).reshape(1, 2, 2)).tolist() == [11009417550903347706]
    ranks = random_ranks(np.array([0, 1], np.uint64), "split 0 3")
    assert ranks.tolist() == [4486589264994816523, 5188870141634061924]
