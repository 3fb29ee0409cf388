import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from fanogan_mtl.evaluation.metrics import auroc, detection_metrics

KEYS = {"auroc", "auprc", "false_alarm_rate", "precision", "recall", "f1", "balanced_accuracy", "threshold"}
KEYS |= {"fpr_at_95_tpr", "recall_at_1_fpr", "recall_at_5_fpr", "threshold_training", "false_alarm_rate_training"}
OF_HELD_OUT = {"false_alarm_rate_promised"}
ASKED_5, ASKED_1 = ({f"false_alarm_rate_asked_{rate}", f"recall_asked_{rate}"} for rate in (5, 1))


@st.composite
def scored_tests(draw):
    """Both classes present; few distinct scores, so that ties and constant scores are common."""
    anomaly = draw(st.lists(st.booleans(), min_size=2, max_size=60).filter(lambda rows: len(set(rows)) == 2))
    score = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-1e6, 1e6)
    scores = draw(st.lists(score, min_size=len(anomaly), max_size=len(anomaly)))
    return np.array(anomaly), np.array(scores), draw(st.sampled_from(scores) | st.floats(-2, 2))


@given(scored_tests())
def test_equal_scikit_learns_within_1e_12(case):
    anomaly, scores, threshold = case
    metrics = detection_metrics(anomaly, scores, threshold)
    found = scores > threshold
    expected = {
        "auroc": sklearn.metrics.roc_auc_score(anomaly, scores),
        "auprc": sklearn.metrics.average_precision_score(anomaly, scores),
        "precision": sklearn.metrics.precision_score(anomaly, found, zero_division=0),
        "recall": sklearn.metrics.recall_score(anomaly, found),
        "f1": sklearn.metrics.f1_score(anomaly, found, zero_division=0),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(anomaly, found),
        "threshold": threshold,
    }
    assert set(metrics) == KEYS
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, abs=1e-12, rel=0)


@given(scored_tests())
def test_auroc_is_the_share_of_pairs_ranked_right(case):
    anomaly, scores, _ = case
    difference = scores[anomaly][:, None] - scores[~anomaly][None, :]
    share = np.mean((difference > 0) + (difference == 0) / 2)
    assert auroc(anomaly, scores) == pytest.approx(share, abs=1e-12, rel=0)


@given(scored_tests())
def test_operating_points_are_the_best_over_all_thresholds(case):
    anomaly, scores, _ = case
    cuts = [*np.unique(scores), np.inf]
    rates = [((scores[~anomaly] >= cut).mean(), (scores[anomaly] >= cut).mean()) for cut in cuts]
    metrics = detection_metrics(anomaly, scores, 0.0)
    assert metrics["fpr_at_95_tpr"] == min(fpr for fpr, tpr in rates if tpr >= 0.95)
    assert metrics["recall_at_1_fpr"] == max(tpr for fpr, tpr in rates if fpr <= 0.01)
    assert metrics["recall_at_5_fpr"] == max(tpr for fpr, tpr in rates if fpr <= 0.05)


def test_operating_points_at_exactly_the_rate_count():
    normal, anomalous = np.arange(100.0), np.full(20, 98.5)
    anomalous[0] = -1
    metrics = detection_metrics(np.arange(120) >= 100, np.concatenate([normal, anomalous]), 95.0)
    assert metrics["recall_at_1_fpr"] == 0.95
    assert metrics["fpr_at_95_tpr"] == 0.01
    assert metrics["precision"] == pytest.approx(19 / 23)


def test_operating_points_on_a_straight_stretch_of_the_curve_count():
    scores = np.tile(np.arange(100.0), 2)  # at each score one normal and one anomalous row
    metrics = detection_metrics(np.arange(200) >= 100, scores, 0.0)
    assert (metrics["recall_at_1_fpr"], metrics["recall_at_5_fpr"], metrics["fpr_at_95_tpr"]) == (0.01, 0.05, 0.95)


def test_with_held_out_normal_scores_thresholds_are_conformal():
    scores = np.array([17.0, 18.0, 18.5, 19.5, 18.0, 19.5, 30.0, 31.0])
    anomaly = np.arange(8) >= 4
    metrics = detection_metrics(anomaly, scores, 30.5, normal_scores=np.arange(1.0, 20.0))  # the 18th and 19th of 19
    assert (metrics["threshold"], metrics["threshold_training"]) == (18, 30.5)
    assert (metrics["false_alarm_rate"], metrics["recall"], metrics["precision"]) == (0.5, 0.75, 0.6)
    assert (metrics["false_alarm_rate_asked_5"], metrics["recall_asked_5"]) == (0.25, 0.75)
    assert metrics["false_alarm_rate_promised"] == 0.1
    assert metrics["false_alarm_rate_training"] == 0


@pytest.mark.parametrize(("n", "absent"), [(8, ASKED_5 | ASKED_1), (19, ASKED_1), (98, ASKED_1), (99, set())])
def test_what_held_out_scores_cannot_promise_is_absent(n, absent):
    metrics = detection_metrics([False, True], [0.0, 1.0], 0.5, normal_scores=np.zeros(n))
    assert set(metrics) == (KEYS | OF_HELD_OUT | ASKED_5 | ASKED_1) - absent
    assert metrics["false_alarm_rate_promised"] == max(0.1, 1 / (n + 1))


def test_row_at_the_threshold_is_not_found():
    metrics = detection_metrics([False, True, True], [0.0, 1.0, 2.0], 1.0)
    assert metrics["recall"] == 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("anomaly", [[True, False, False, False], [True, True, True, False]])
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 9.0])
def test_one_positive_or_one_negative_with_constant_scores_is_quiet(anomaly, threshold):
    metrics = detection_metrics(anomaly, np.full(4, 0.5), threshold)
    assert metrics["auroc"] == 0.5
    assert metrics["auprc"] == np.mean(anomaly)
    assert metrics["recall_at_5_fpr"] == 0
    assert metrics["fpr_at_95_tpr"] == 1


@pytest.mark.parametrize(
    ("anomaly", "scores", "threshold", "message"),
    [
        ([False, False], [0, 1], 0, "0 anomalous of 2"),
        ([True, True], [0, 1], 0, "2 anomalous of 2"),
        ([], [], 0, "boolean"),
        ([True, False], [0, np.nan], 0, "1 of 2 scores are NaN or infinity"),
        ([True, False], [0, np.inf], 0, "1 of 2 scores are NaN or infinity"),
        ([True, False], [0, 1], np.nan, "threshold must be finite, got nan"),
        ([True, False], [0, 1, 2], 0, r"\(2,\) and \(3,\)"),
        ([[True, False]], [[0, 1]], 0, "one shape"),
        ([0, 1], [0, 1], 0, "boolean, got int64"),
    ],
)
def test_bad_input_is_refused_with_what_and_where(anomaly, scores, threshold, message):
    with pytest.raises(ValueError, match=message):
        detection_metrics(anomaly, scores, threshold)
