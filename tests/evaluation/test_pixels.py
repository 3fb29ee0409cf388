"""Pixel figures equal scikit-learn's, and those of a curve that is drawn up threshold by threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from fanogan_mtl.evaluation.pixels import ALL, LIMITS, ScoredMap, pixel_figures


def scored_maps(seed: int, number: int = 8, size: int = 24, digits: int | None = 1) -> list[ScoredMap]:
    """Maps that rise where anomalies are, some images without one; rounded values have ties."""
    random = np.random.default_rng(seed)
    maps = []
    for at in range(number):
        mask = np.zeros((size, size), bool)
        for _ in range(random.integers(1, 4)):
            top, left = random.integers(0, size - 4, 2)
            mask[top : top + random.integers(1, 8), left : left + random.integers(1, 8)] = True
        values = random.normal(size=(size, size)) + random.uniform(0, 3) * mask
        values = (values if digits is None else values.round(digits)).astype(np.float32)
        maps.append(ScoredMap(values) if at % 3 == 0 else ScoredMap(values, mask, "ab"[at % 2]))
    return maps


def truth_of(maps: list[ScoredMap]) -> tuple[np.ndarray, np.ndarray]:
    masks = [np.zeros(each.values.shape, bool) if each.mask is None else each.mask for each in maps]
    return np.concatenate([mask.ravel() for mask in masks]), np.concatenate([each.values.ravel() for each in maps])


def overlap(maps: list[ScoredMap], limit: float) -> float:
    """AUPRO by its definition: the mean share of each region that is found, at every threshold."""
    fpr, _, thresholds = roc_curve(*truth_of(maps), drop_intermediate=False)
    regions = []
    for each in maps:
        if each.mask is not None:
            numbered, number = label(each.mask, np.ones((3, 3)))
            regions += [each.values[numbered == region] for region in range(1, number + 1)]
    pro = np.mean([[(values >= at).mean() for at in thresholds] for values in regions], axis=0)
    within = fpr <= limit
    return auc([*fpr[within], limit], [*pro[within], np.interp(limit, fpr, pro)]) / limit


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, None]))
def test_figures_equal_those_of_the_curves(seed: int, digits: int | None) -> None:
    maps = scored_maps(seed, size=12, digits=digits)
    for kind, found in pixel_figures(maps).items():
        own = [each for each in maps if each.mask is None or kind in (ALL, each.kind)]
        truth, scores = truth_of(own)
        assert found.n_images == sum(each.mask is not None for each in own)
        assert found.auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
        assert found.auprc == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
        precision, recall, _ = precision_recall_curve(truth, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        assert found.f1 == pytest.approx(f1.max(), abs=1e-9)
        assert [found.aupro, found.aupro_05] == pytest.approx([overlap(own, limit) for limit in LIMITS], abs=1e-9)
        assert 0 <= found.auroc_low <= found.auroc_high <= 1


def test_perfect_maps_and_maps_that_say_nothing() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:5, 3:6] = True
    perfect = pixel_figures([ScoredMap(mask.astype(np.float32), mask, "a"), ScoredMap(np.zeros((10, 10), np.float32))])
    assert {perfect[ALL].auroc, perfect[ALL].auprc, perfect[ALL].aupro, perfect[ALL].aupro_05, perfect[ALL].f1} == {1}
    flat = pixel_figures([ScoredMap(np.ones((10, 10), np.float32), mask, "a")])[ALL]
    assert (flat.auroc, flat.auprc) == (0.5, 0.09)
    assert (flat.aupro, flat.aupro_05) == pytest.approx((0.15, 0.025))  # a straight line


def test_a_small_region_counts_as_much_as_a_large_one() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0:10, 0:10], mask[15, 15] = True, True
    values = np.zeros((20, 20), np.float32)
    values[15, 15] = 1  # one of 101 pixels is found
    assert pixel_figures([ScoredMap(values, mask, "a")])[ALL].aupro == pytest.approx(0.5 + 0.5 * 0.15)


def test_the_interval_covers_the_figure_of_other_images_and_is_the_same_again() -> None:
    population = pixel_figures(scored_maps(0, 600, 16))[ALL].auroc
    found = [pixel_figures(scored_maps(seed, 60, 16))[ALL] for seed in range(1, 41)]
    assert sum(each.auroc_low <= population <= each.auroc_high for each in found) >= 32  # of 40, where 38 are meant
    assert found[0] == pixel_figures(scored_maps(1, 60, 16))[ALL]
    assert found[0] != pixel_figures(scored_maps(1, 60, 16), seed=1)[ALL]


def test_what_cannot_be_measured_is_refused() -> None:
    values, mask = np.zeros((4, 4), np.float32), np.ones((4, 4), bool)
    for maps in ([], [ScoredMap(values)], [ScoredMap(values, mask, "a")]):
        with pytest.raises(ValueError, match="need an anomalous and a normal pixel"):
            pixel_figures(maps)
    with pytest.raises(ValueError, match="no anomalous pixel"):
        pixel_figures([ScoredMap(values), ScoredMap(values, ~mask, "a")])
    with pytest.raises(ValueError, match="NaN or infinity"):
        pixel_figures([ScoredMap(values * np.nan, mask, "a")])
