import numpy as np
import pytest
import sklearn.metrics

from fanogan_mtl.evaluation.curves import histogram_data, roc_data

RANDOM = np.random.default_rng(0)
ANOMALY = RANDOM.random(500) < 0.9
CASES = {
    "distinct": RANDOM.normal(size=500) + ANOMALY,
    "ties": np.round(RANDOM.normal(size=500) + ANOMALY),
    "constant": np.zeros(500),
}


@pytest.fixture(params=list(CASES))
def scores(request):
    return CASES[request.param]


def test_roc_runs_from_corner_to_corner_and_encloses_its_area(scores):
    data = roc_data(ANOMALY, scores)
    assert (data.fpr[0], data.tpr[0], data.fpr[-1], data.tpr[-1]) == (0, 0, 1, 1)
    assert sklearn.metrics.auc(data.fpr, data.tpr) == pytest.approx(data.auroc, abs=1e-12)
    assert data.auroc == pytest.approx(sklearn.metrics.roc_auc_score(ANOMALY, scores), abs=1e-12)


def test_histogram_counts_every_row_once(scores):
    data = histogram_data(ANOMALY, scores, bins=13)
    assert len(data.edges) == 14
    assert data.normal.sum() == np.sum(~ANOMALY)
    assert data.anomalous.sum() == np.sum(ANOMALY)


def test_one_far_row_does_not_widen_the_histograms_bins():
    scores = CASES["distinct"].copy()
    near = histogram_data(ANOMALY, scores)
    scores[np.argmax(scores)] = 1e12
    far = histogram_data(ANOMALY, scores)
    np.testing.assert_allclose(far.edges, near.edges)
    np.testing.assert_array_equal(far.anomalous, near.anomalous)


def test_far_anomalies_leave_room_for_the_normal_rows():
    random = np.random.default_rng(0)
    anomaly = np.arange(1000) % 2 == 1
    scores = np.where(anomaly, random.uniform(1e6, 1e8, 1000), random.uniform(0, 1, 1000))
    data = histogram_data(anomaly, scores)
    assert np.count_nonzero(data.normal) >= 4
    assert data.anomalous[-1] == 500


@pytest.mark.parametrize("function", [roc_data, histogram_data])
def test_one_class_is_refused(function):
    with pytest.raises(ValueError, match="needs normal and anomalous rows"):
        function(np.ones(5, dtype=bool), np.arange(5))
