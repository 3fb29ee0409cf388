import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fanogan_mtl.detectors import neighbours
from fanogan_mtl.detectors.neighbours import NeighbourSearch


def rows_of(random: np.random.Generator, number: int, width: int, levels: int, apart: float) -> np.ndarray:
    """Rows around two places, of few levels, so that distances tie and rows repeat."""
    return random.integers(levels, size=(number, width)) + apart * random.integers(2, size=(number, 1))


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    levels=st.sampled_from([1, 2, 5, 1000]),
    apart=st.sampled_from([0.0, 1e3, 1e5, 1e7]),
    offset=st.sampled_from([0.0, -1e6]),
    scale=st.sampled_from([1e-160, 1e-30, 1e-23, 1e-3, 1.0, 1e9, 1e12, 1e20, 1e140]),
    far=st.sampled_from([1.0, 1e6, 1e12]),
    k=st.integers(1, 5),
)
def test_distances_are_those_of_all_pairs(
    seed: int, shape: tuple[int, int], levels: int, apart: float, offset: float, scale: float, far: float, k: int
) -> None:
    random = np.random.default_rng(seed)
    rows = scale * (offset + rows_of(random, shape[0] + k, shape[1], levels, apart))
    queries = far * np.concatenate([rows[:3], scale * (offset + rows_of(random, 5, shape[1], levels, apart))])
    expected = np.sort(cdist(queries, rows), axis=1)[:, :k]
    np.testing.assert_allclose(NeighbourSearch(rows).distances(queries, k), expected, rtol=1e-14)


@pytest.mark.parametrize("at_once", [1, 100, 2**22])
@pytest.mark.parametrize("width", [1, 2, 17, 300])
def test_a_row_has_the_same_bits_alone_and_in_any_company(
    width: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(width)
    search = NeighbourSearch(random.normal(size=(130, width)))
    queries = random.normal(size=(37, width))
    together = search.distances(queries, 4)
    monkeypatch.setattr(neighbours, "AT_ONCE", at_once)
    for company in (1, 2, 3, 8, 36):
        parts = [search.distances(queries[at : at + company], 4) for at in range(0, len(queries), company)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


def test_few_rows_are_looked_at_closely() -> None:
    random = np.random.default_rng(0)
    search = NeighbourSearch(random.normal(size=(1000, 64)) + 100)
    assert search._candidates(random.normal(size=(50, 64)) + 100, 5).sum() < 50 * 5 * 1.1


@pytest.mark.parametrize(("scale", "far"), [(1e-22, 1), (1e-21, 1), (1e14, 1e12), (1e17, 1e6), (1e19, 1)])
def test_lengths_that_single_precision_cannot_square(scale: float, far: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        rows, queries = random.normal(size=(60, 8)) * scale, random.normal(size=(20, 8)) * scale * far
        expected = np.sort(cdist(queries, rows), axis=1)[:, :3]
        np.testing.assert_allclose(NeighbourSearch(rows).distances(queries, 3), expected, rtol=1e-15)
