from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fanogan_mtl.evaluation.bootstrap import auroc_interval
from fanogan_mtl.evaluation.calibration import fit_calibration
from fanogan_mtl.evaluation.curves import histogram_data, roc_data
from fanogan_mtl.evaluation.metrics import auroc, detection_metrics
from fanogan_mtl.evaluation.weights import class_weights

SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=6)  # of the classes of a test; the first is normal


def scored(sizes: list[int], seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give labels, anomaly and scores of classes of those sizes, shuffled."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    scores = random.normal(size=len(labels)) + 0.5 * labels
    return labels, labels > 0, np.round(scores) if ties else scores


@settings(deadline=None)
@given(SIZES)
def test_every_class_has_the_same_sum_of_weights(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    weights = class_weights(labels)
    if len(set(sizes)) == 1:
        assert weights is None
        return
    assert weights is not None
    sums = np.bincount(labels, weights)
    np.testing.assert_allclose(sums, len(labels) / len(sizes), rtol=1e-12)
    assert (weights > 0).all()


@settings(deadline=None)
@given(SIZES, st.integers(0, 99), st.booleans())
def test_weighted_auroc_is_the_mean_over_anomalous_classes(sizes: list[int], seed: int, ties: bool) -> None:
    labels, anomaly, scores = scored(sizes, seed, ties)
    one_by_one = [
        auroc(anomaly[pair], scores[pair])
        for label in range(1, len(sizes))
        for pair in [(labels == 0) | (labels == label)]
    ]
    weighted = auroc(anomaly, scores, class_weights(labels))
    assert weighted == pytest.approx(np.mean(one_by_one), abs=1e-12, rel=0)
    assert roc_data(anomaly, scores, class_weights(labels)).auroc == pytest.approx(weighted, abs=1e-12, rel=0)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 99))
def test_classes_of_one_size_give_the_bits_that_no_weights_give(size: int, n_classes: int, seed: int) -> None:
    labels, anomaly, scores = scored([size] * n_classes, seed)
    with_weights = detection_metrics(anomaly, scores, 1.0, class_weights(labels))
    assert with_weights == detection_metrics(anomaly, scores, 1.0)


@settings(deadline=None)
@given(SIZES, st.integers(0, 99))
def test_metrics_are_those_of_classes_repeated_to_one_size(sizes: list[int], seed: int) -> None:
    labels, anomaly, scores = scored(sizes, seed)
    common = int(np.lcm.reduce(sizes))
    if common > 2000:
        return
    copies = np.repeat(np.arange(len(labels)), common // np.array(sizes)[labels])
    weighted = detection_metrics(anomaly, scores, 1.0, class_weights(labels))
    repeated = detection_metrics(anomaly[copies], scores[copies], 1.0)
    assert weighted == pytest.approx(repeated, abs=1e-9)


def test_one_image_of_a_rare_class_counts_as_much_as_all_of_a_common_one() -> None:
    labels = np.repeat([0, 1, 2], [40, 60, 1])
    scores = np.concatenate([np.zeros(40), np.ones(60), [-1.0]])  # the rare one is missed
    assert auroc(labels > 0, scores) == pytest.approx(60 / 61)
    assert auroc(labels > 0, scores, class_weights(labels)) == pytest.approx(0.5)
    assert detection_metrics(labels > 0, scores, 0.5, class_weights(labels))["recall"] == pytest.approx(0.5)


def test_a_histograms_bins_sum_weights() -> None:
    labels, anomaly, scores = scored([40, 60, 3])
    data = histogram_data(anomaly, scores, class_weights(labels))
    assert [data.normal.sum(), data.anomalous.sum()] == pytest.approx([103 / 3, 2 * 103 / 3])


@pytest.mark.parametrize(
    ("weights", "complaint"), [([1.0], "shape"), ([1.0, 0.0, 1.0], "above 0"), ([1.0, np.nan, 1.0], "above 0")]
)
def test_unusable_weights_are_refused(weights: list[float], complaint: str) -> None:
    for function in (auroc, roc_data, histogram_data, fit_calibration):
        with pytest.raises(ValueError, match=complaint):
            function([False, True, True], [0.0, 1.0, 2.0], weights)


def test_the_interval_is_of_the_mean_over_classes() -> None:
    labels = np.repeat([0, 1, 2], [100, 200, 40])
    random = np.random.default_rng(0)
    scores = random.normal(size=340) + np.array([0.0, 4.0, 0.0])[labels]
    test = (labels > 0, scores, np.arange(340))
    low, high = auroc_interval([test], labels=[labels])
    assert low < auroc(labels > 0, scores, class_weights(labels)) < high
    assert high < auroc_interval([test])[0]  # the common class, which is easy, no longer outweighs the other


def test_an_interval_with_a_class_of_one_image_is_finite() -> None:
    labels, anomaly, scores = scored([10, 12, 1, 2])
    low, high = auroc_interval([(anomaly, scores, np.arange(25))], labels=[labels])
    assert 0 <= low <= high <= 1


def test_one_class_weighted_has_the_interval_of_none() -> None:
    labels, anomaly, scores = scored([20, 50])
    test = (anomaly, scores, np.arange(70))
    assert auroc_interval([test], labels=[labels]) == auroc_interval([test])
    assert auroc_interval([test], labels=[None]) == auroc_interval([test])


def test_weighted_probabilities_are_those_of_classes_repeated_to_one_size() -> None:
    labels, anomaly, scores = scored([12, 12, 3])
    scores = scores + np.array([0.0, 0.0, 3.0])[labels]
    copies = np.repeat(np.arange(27), np.array([1, 1, 4])[labels])
    weighted = fit_calibration(anomaly, scores, class_weights(labels))
    # scikit-learn's penalty weighs against the sum over rows, of which the repeated have more
    model = LogisticRegression(C=27 / 36, class_weight="balanced")
    distances = np.arcsinh((scores - weighted.centre) / weighted.width)
    model.fit(distances[copies, None], anomaly[copies])
    assert weighted.slope == pytest.approx(float(model.coef_[0, 0]), rel=1e-3)
    assert weighted.slope != pytest.approx(fit_calibration(anomaly, scores).slope, rel=1e-3)
