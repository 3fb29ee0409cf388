import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from fanogan_mtl.evaluation import bootstrap
from fanogan_mtl.evaluation.bootstrap import auroc_interval
from fanogan_mtl.evaluation.metrics import auroc


def scored_test(seed: int, n: int = 120, shift: float = 1.0, first_row: int = 0):
    random = np.random.default_rng(seed)
    anomaly = np.arange(n) % 2 == 1
    return anomaly, random.normal(size=n) + shift * anomaly, np.arange(n) + first_row


def one_against_the_rest(seed: int, n_classes: int = 5, each: int = 20):
    """Tests of every class, as of one data set: an image is normal in one, and anomalous in some of the others."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), each)
    tests = []
    for normal in range(n_classes):
        rows = np.flatnonzero((labels == normal) | (random.random(len(labels)) < 0.6))
        anomaly = labels[rows] != normal
        tests.append((anomaly, random.normal(size=len(rows)) + anomaly, rows))
    return tests


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@st.composite
def weighted_tests(draw):
    anomaly = draw(st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda rows: len(set(rows)) == 2))
    score = st.sampled_from([0.0, 0.25, 0.5]) | st.floats(-1e6, 1e6)
    scores = draw(st.lists(score, min_size=len(anomaly), max_size=len(anomaly)))
    seed = draw(st.integers(0, 2**32 - 1))
    weights = np.random.default_rng(seed).integers(0, 4, size=(len(anomaly), 3)).astype(float)
    weights[[anomaly.index(False), anomaly.index(True)]] += 1
    return np.array(anomaly), np.array(scores), weights


@settings(max_examples=50)
@given(weighted_tests())
def test_weighted_auroc_equals_scikit_learns_within_1e_12(case):
    anomaly, scores, weights = case
    expected = [roc_auc_score(anomaly, scores, sample_weight=column) for column in weights.T]
    test = bootstrap._Test.of(anomaly, scores, np.arange(len(scores)))
    assert test.aurocs(weights) == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.parametrize("decimals", [0, 12])
@pytest.mark.parametrize(("n_classes", "each"), [(5, 20), (2, 2500)])
def test_single_precision_has_the_bits_of_double(monkeypatch, decimals, n_classes, each):
    tests = [(of, np.round(scores, decimals), rows) for of, scores, rows in one_against_the_rest(1, n_classes, each)]
    labels = [rows // each for _, _, rows in tests]
    single = [auroc_interval(tests, resamples=50, labels=of) for of in (None, labels)]
    monkeypatch.setattr(bootstrap, "_EXACT", 0)
    assert [auroc_interval(tests, resamples=50, labels=of) for of in (None, labels)] == single


@pytest.mark.parametrize("cores", [2, 3, 64])
def test_the_number_of_cores_changes_no_bit(monkeypatch, cores):
    tests = one_against_the_rest(2, n_classes=7)
    monkeypatch.setattr(bootstrap, "cpu_count", lambda: 1)
    alone = auroc_interval(tests)
    monkeypatch.setattr(bootstrap, "cpu_count", lambda: cores)
    assert auroc_interval(tests) == alone


def test_weights_of_a_resample_are_draws_with_replacement_within_strata():
    strata = [np.array([0, 3]), np.array([1, 2, 4, 5, 6])]
    (weights,) = bootstrap._weights(strata, 7, 4000, np.random.default_rng(0))
    assert weights.shape == (7, 4000)
    assert {tuple(weights[images].sum(axis=0)) for images in strata} == {(2.0,) * 4000, (5.0,) * 4000}
    assert weights.mean(axis=1) == pytest.approx(np.ones(7), abs=0.06)
    assert weights[1].var() == pytest.approx(5 * 0.2 * 0.8, abs=0.06)  # binomial


def test_interval_is_of_the_mean_over_tests_and_holds_it():
    tests = one_against_the_rest(0)
    low, high = auroc_interval(tests)
    assert low < np.mean([auroc(anomaly, scores) for anomaly, scores, _ in tests]) < high


def test_perfect_detector_and_constant_scores_have_intervals_of_no_width():
    anomaly, _, rows = scored_test(0)
    assert auroc_interval([(anomaly, anomaly, rows)], 50) == (1.0, 1.0)
    assert auroc_interval([(anomaly, np.zeros(len(rows)), rows)], 50) == (0.5, 0.5)


def test_nineteen_of_twenty_intervals_hold_the_true_auroc():
    truth = norm.cdf(1 / np.sqrt(2))
    intervals = [auroc_interval([scored_test(seed)], 200) for seed in range(200)]
    assert 0.9 <= np.mean([low <= truth <= high for low, high in intervals]) <= 0.985


def test_a_higher_level_is_wider_and_more_images_are_narrower():
    half, most, nearly_all = (width(auroc_interval([scored_test(1)], level=level)) for level in (0.5, 0.95, 0.99))
    assert half < most < nearly_all
    assert width(auroc_interval([scored_test(1, 4 * 120)])) == pytest.approx(most / 2, rel=0.3)


def test_both_tails_are_equal():
    anomaly, scores, rows = scored_test(6, shift=2.0)
    low, high = auroc_interval([(anomaly, scores, rows)])
    assert auroc_interval([(anomaly, -scores, rows)]) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_an_image_has_one_weight_in_all_tests():
    anomaly, scores, rows = scored_test(2)
    mirrored = (anomaly[::-1], -scores[::-1], rows[::-1])  # its AUROC is 1 less the other's, under the same weights
    assert auroc_interval([(anomaly, scores, rows), mirrored]) == pytest.approx((0.5, 0.5), abs=1e-12)
    elsewhere = (mirrored[0], mirrored[1], mirrored[2] + 1000)
    assert width(auroc_interval([(anomaly, scores, rows), elsewhere])) > 0.05


def test_a_test_twice_is_as_uncertain_as_once_and_of_other_images_less_so():
    one = scored_test(3)
    assert auroc_interval([one, one]) == auroc_interval([one])
    other = (one[0], one[1], one[2] + 1000)
    assert width(auroc_interval([one, other])) == pytest.approx(width(auroc_interval([one])) / np.sqrt(2), rel=0.15)


@pytest.mark.filterwarnings("error")
def test_no_resample_leaves_a_test_without_normal_rows_or_anomalies():
    tests = []
    for number in range(10):  # each has one normal row of its own, and one anomaly of those the others do not have
        tests.append((np.array([False, True]), np.array([0.0, 1.0]), np.array([number, 100 + number])))
    assert auroc_interval(tests, 200) == (1.0, 1.0)


def test_images_that_are_normal_in_the_same_tests_are_a_stratum():
    tests = one_against_the_rest(1, n_classes=4, each=50)
    prepared = [bootstrap._Test.of(anomaly, scores, rows) for anomaly, scores, rows in tests]
    strata = bootstrap._strata(prepared, 200)
    assert [sorted(images) for images in strata[::-1]] == [list(range(50 * n, 50 * n + 50)) for n in range(4)]


def test_seed_decides_and_global_random_state_is_neither_used_nor_changed():
    test = [scored_test(4)]
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = auroc_interval(test, seed=7)
    assert np.array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    assert auroc_interval(test, seed=7) == first != auroc_interval(test, seed=8)


def test_chunks_make_as_many_resamples(monkeypatch):
    whole = auroc_interval([scored_test(5)])
    monkeypatch.setattr(bootstrap, "_CELLS", 120 * 7)
    sizes = [weights.shape[1] for weights in bootstrap._weights([np.arange(120)], 120, 20, np.random.default_rng(0))]
    assert sizes == [7, 7, 6]
    assert auroc_interval([scored_test(5)]) == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tests": []}, "at least one test"),
        ({"resamples": 0}, "1 resample"),
        ({"level": 1.0}, "level"),
        ({"tests": [(np.array([False, False]), np.zeros(2), np.arange(2))]}, "normal and anomalous"),
        ({"tests": [(np.array([0, 1]), np.zeros(2), np.arange(2))]}, "boolean"),
        ({"tests": [(np.array([False, True]), np.array([0, np.nan]), np.arange(2))]}, "NaN"),
        ({"tests": [(np.array([False, True]), np.zeros(2), np.arange(3))]}, "2 integers"),
        ({"tests": [(np.array([False, True]), np.zeros(2), np.array([0.0, 1.0]))]}, "2 integers"),
        ({"tests": [(np.array([False, True]), np.zeros(2), np.array([4, 4]))]}, "twice"),
    ],
)
def test_unusable_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        auroc_interval(**({"tests": [scored_test(0)]} | changes))
