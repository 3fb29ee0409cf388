"""What every registered detector holds to; a new one is tested from the day it is registered."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator

from fanogan_mtl.detectors import REGISTRY, make_detector
from fanogan_mtl.detectors.deep import DeepDetector
from fanogan_mtl.detectors.persistence import load_detector, save_detector
from fanogan_mtl.detectors.registry import default_parameters, detector_class, named_settings, takes
from fanogan_mtl.detectors.threads import one_thread

DEEP = sorted(name for name in REGISTRY if issubclass(detector_class(name), DeepDetector))
QUICK = {name: {"epochs": 2, "batch_size": 16} for name in DEEP}
QUICK["iforest"] = {"n_estimators": 10}
QUICK["padim"] = {"n_channels": 8}
QUICK["fanogan"] |= {"generator_widths": [16, 32], "critic_widths": [32, 16], "encoder_widths": [32, 16]}
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.random((60, 12)) @ RANDOM.random((12, 12)) / 12
NEW_ROWS = np.concatenate([ROWS[:5], RANDOM.random((40, 12))])

every = pytest.mark.parametrize("name", sorted(REGISTRY))
every_deep = pytest.mark.parametrize("name", DEEP)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def quick(name, **params):
    return make_detector(name, **{**QUICK.get(name, {}), **params})


@pytest.fixture(scope="module")
def fitted():
    """Fitted detectors by name, made once; tests only read them."""
    with one_thread():
        return {name: quick(name).fit(ROWS) for name in REGISTRY}


@every
class TestPyODContract:
    def test_attributes_and_outputs(self, name, fitted):
        detector = fitted[name]
        assert detector.decision_scores_.shape == detector.labels_.shape == (60,)
        assert detector.threshold_ == np.percentile(detector.decision_scores_, 90)
        assert detector.labels_.sum() == np.count_nonzero(detector.decision_scores_ > detector.threshold_) <= 6
        scores = detector.decision_function(NEW_ROWS)
        assert scores.shape == (45,)
        assert scores.dtype == np.float64
        np.testing.assert_array_equal(detector.predict(NEW_ROWS), scores > detector.threshold_)
        for method in ("linear", "unify"):
            probabilities = detector.predict_proba(NEW_ROWS, method=method)
            assert probabilities.shape == (45, 2)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)
            order = np.argsort(scores)
            assert (np.diff(probabilities[order, 1]) >= 0).all()
        confidence = detector.predict_confidence(NEW_ROWS)
        assert confidence.shape == (45,)
        assert ((confidence >= 0) & (confidence <= 1)).all()

    def test_the_more_abnormal_the_higher(self, name):
        random, scale = np.random.default_rng(4), np.linspace(0.2, 1, 12)
        rows = random.standard_normal((180, 12)) * scale
        rows[140:] += 3
        scores = quick(name).fit(rows[:100]).decision_function(rows[100:])
        assert roc_auc_score(np.arange(80) >= 40, scores) > 0.9

    def test_contamination_sets_the_threshold(self, name):
        detector = quick(name, contamination=0.3).fit(ROWS)
        assert detector.threshold_ == np.percentile(detector.decision_scores_, 70)

    def test_fit_returns_itself_and_ignores_y(self, name, fitted):
        detector = quick(name)
        assert detector.fit(ROWS, np.arange(60)) is detector
        np.testing.assert_array_equal(detector.decision_scores_, fitted[name].decision_scores_)

    def test_parameters_are_stored_cloned_and_set(self, name):
        detector = quick(name, contamination=0.2)
        copy = clone(detector)
        assert copy.get_params() == detector.get_params()
        assert set(detector.get_params()) == set(default_parameters(name))
        copy.set_params(contamination=0.3)
        assert (copy.contamination, detector.contamination) == (0.3, 0.2)
        with pytest.raises(ValueError, match="no_such"):
            copy.set_params(no_such=1)

    @pytest.mark.parametrize("contamination", [0, -0.1, 0.51, float("nan"), "a"])
    def test_contamination_out_of_range_is_refused(self, name, contamination):
        with pytest.raises(ValueError, match="contamination"):
            quick(name).set_params(contamination=contamination).fit(ROWS)


@every
class TestBits:
    def test_same_seed_gives_same_bits_and_takes_nothing_from_global_state(self, name, fitted):
        np.random.seed(1)
        torch.manual_seed(1)
        again = quick(name).fit(ROWS)
        np.testing.assert_array_equal(again.decision_scores_, fitted[name].decision_scores_)
        np.testing.assert_array_equal(again.decision_function(NEW_ROWS), fitted[name].decision_function(NEW_ROWS))

    def test_global_random_state_is_untouched(self, name):
        np.random.seed(2)
        torch.manual_seed(2)  # not the state that an earlier fit may have left
        numpy_state, torch_state = np.random.get_state(legacy=False), torch.get_rng_state()
        quick(name).fit(ROWS).decision_function(NEW_ROWS)
        np.testing.assert_equal(np.random.get_state(legacy=False), numpy_state)
        assert torch.equal(torch.get_rng_state(), torch_state)

    def test_random_state_matters_where_there_is_one(self, name, fitted):
        if not takes(name, "random_state"):
            pytest.skip(f"{name} has no randomness")
        other = quick(name, random_state=1).fit(ROWS)
        assert (other.decision_function(NEW_ROWS) != fitted[name].decision_function(NEW_ROWS)).any()

    @pytest.mark.parametrize("features", [12, 13, 784])
    def test_score_has_the_same_bits_alone_permuted_and_in_other_batches(self, name, features):
        random = np.random.default_rng(3)
        rows, new_rows = random.random((60, features)), random.random((45, features))
        score, order = quick(name).fit(rows).decision_function, random.permutation(45)
        scores = score(new_rows)
        alone = np.concatenate([score(row[None]) for row in new_rows])
        np.testing.assert_array_equal(alone, scores)
        np.testing.assert_array_equal(score(new_rows[order]), scores[order])
        np.testing.assert_array_equal(score(new_rows[7:]), scores[7:])

    def test_training_rows_score_as_in_training(self, name, fitted):
        """Not so for those that leave a row itself out of its own neighbourhood or distribution."""
        if name in {"knn", "lof", "ecod", "padim", "patchcore"}:
            pytest.skip(f"{name} scores a training row against the others")
        np.testing.assert_allclose(fitted[name].decision_function(ROWS), fitted[name].decision_scores_, rtol=1e-9)

    def test_saved_and_loaded_scores_the_same_bits(self, name, fitted, tmp_path):
        save_detector(fitted[name], tmp_path / "detector")
        loaded = load_detector(tmp_path / "detector")
        for method in ("decision_function", "predict", "predict_proba", "predict_confidence"):
            ours, its = getattr(fitted[name], method)(NEW_ROWS), getattr(loaded, method)(NEW_ROWS)
            np.testing.assert_array_equal(ours, its)
        assert loaded.get_params() == fitted[name].get_params()


@every
class TestRows:
    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (np.where(np.arange(12) == 3, np.nan, ROWS), "NaN"),
            (np.where(np.arange(12) == 3, np.inf, ROWS), "inf"),
            (ROWS[:1], "1 sample"),
            (ROWS[:0], "0 sample"),
            (ROWS[:, :0], "0 feature"),
            (ROWS[0], "1D array"),
            (ROWS + 1j, "omplex"),
            ([["a", "b"], ["c", "d"]], "a|numeric"),
        ],
        ids=["NaN", "infinity", "one row", "no rows", "no features", "vector", "complex", "text"],
    )
    def test_bad_training_rows_are_refused(self, name, rows, said):
        with pytest.raises(ValueError, match=said):
            quick(name).fit(rows)

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (np.where(np.arange(12) == 3, np.nan, ROWS), "NaN"),
            (np.where(np.arange(12) == 3, -np.inf, ROWS), "inf"),
            (ROWS[:, 1:], "11 features"),
            (ROWS[:0], "0 sample"),
            (ROWS[0], "1D array"),
        ],
        ids=["NaN", "infinity", "width", "no rows", "vector"],
    )
    def test_bad_rows_to_score_are_refused(self, name, fitted, rows, said):
        with pytest.raises(ValueError, match=said):
            fitted[name].decision_function(rows)

    def test_scoring_before_fitting_is_refused(self, name):
        with pytest.raises(NotFittedError):
            quick(name).decision_function(ROWS)

    def test_float32_float64_integers_and_lists_are_taken(self, name):
        values = np.round(ROWS * 255)
        detector = quick(name).fit(values)
        for rows in (values.astype(np.float32), values.astype(np.uint8), np.asfortranarray(values), values.tolist()):
            np.testing.assert_array_equal(quick(name).fit(rows).decision_scores_, detector.decision_scores_)
            np.testing.assert_array_equal(detector.decision_function(rows), detector.decision_function(values))

    @pytest.mark.parametrize(
        "rows",
        [
            ROWS[:2],
            ROWS[:17],
            ROWS[:, :1],
            np.full((20, 5), 0.5),
            np.zeros((20, 5)),
            np.pad(ROWS, ((0, 0), (2, 2))),
            np.repeat(ROWS[:1], 20, axis=0),
        ],
        ids=["2 rows", "one row left over", "1 feature", "constant", "zero", "constant pixels", "duplicates"],
    )
    def test_odd_rows_give_finite_scores_or_one_clear_error(self, name, rows):
        try:
            detector = quick(name).fit(rows)
        except ValueError as error:
            said = str(error)
            assert name not in DEEP
            assert "\n" not in said
            assert detector_class(name).__name__ in said
            return
        scores = detector.decision_function(np.concatenate([rows, rows + 0.25]))
        assert np.isfinite(scores).all()
        assert np.isfinite(detector.predict_proba(rows)).all()

    def test_rows_are_left_as_they_were(self, name):
        rows = ROWS.astype(np.float32)
        before = rows.copy()
        rows.flags.writeable = False
        quick(name).fit(rows).decision_function(rows)
        np.testing.assert_array_equal(rows, before)


@every_deep
class TestDeep:
    def test_stage_is_bit_for_bit_a_training_of_its_own(self, name):
        detector, stages = quick(name), {}
        for budget in detector.fit_staged(ROWS, [4, 1]):
            stages[budget] = detector.decision_function(NEW_ROWS)
        assert list(stages) == [1, 4]
        for budget, scores in stages.items():
            alone = quick(name, epochs=budget).fit(ROWS)
            np.testing.assert_array_equal(alone.decision_function(NEW_ROWS), scores)
        assert (stages[1] != stages[4]).all()

    def test_bad_parameter_is_named(self, name):
        wrong = {
            "epochs": [0, -1, 2.5, "a"],
            "batch_size": [0, 2.5],
            "learning_rate": [0, -1, float("nan"), float("inf")],
            "latent_dim": [-1, 0, 1.5],
            "weight_decay": [-1, float("nan")],
            "preprocessing": ["none at all"],
            "device": ["tpu"],
            "random_state": [-1, None, 0.5],
        }
        for parameter, values in wrong.items():
            for value in values if takes(name, parameter) else ():
                with pytest.raises(ValueError, match=f"'{parameter}' parameter of"):
                    quick(name).set_params(**{parameter: value}).fit(ROWS)

    def test_scores_are_diverse_and_finite_after_200_epochs(self, name):
        scores = quick(name, epochs=200).fit(ROWS[:33]).decision_function(NEW_ROWS)
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) >= 0.9 * len(scores)

    def test_huge_rows_are_scored_or_refused_but_never_nan(self, name, fitted):
        for size in (1e10, 1e20, 1e30, 3e38):
            try:
                scores = fitted[name].decision_function(np.full((2, 12), size))
            except ValueError as error:
                said = str(error)
                assert "too large" in said
            else:
                assert np.isfinite(scores).all()

    def test_weights_move_and_trained_beats_untrained(self, name, monkeypatch):
        digits = load_digits()
        test, normal = np.arange(len(digits.data)) >= 1200, digits.target == 8
        rows, anomaly = digits.data[normal & ~test] / 16, ~normal[test]
        settings = {**named_settings(name).get("tuned", {}), "epochs": 30}
        trained, untrained = make_detector(name, **settings), make_detector(name, **settings)
        trained.fit(rows)
        monkeypatch.setattr(untrained, "_train", lambda rows, budgets: iter(budgets))
        untrained.fit(rows)
        before = untrained.network_.state_dict()
        still = [key for key, value in trained.network_.state_dict().items() if torch.equal(value, before[key])]
        assert not [key for key in still if key.endswith("weight")]
        aurocs = [
            roc_auc_score(anomaly, each.decision_function(digits.data[test] / 16)) for each in (trained, untrained)
        ]
        assert aurocs[0] > max(0.85, aurocs[1])

    def test_reconstruction_has_the_shape_of_the_rows(self, name, fitted):
        if hasattr(fitted[name], "reconstruct"):
            made = fitted[name].reconstruct(NEW_ROWS)
            assert made.shape == NEW_ROWS.shape
            assert made.dtype == np.float64
            assert np.isfinite(made).all()


@every
def test_same_bits_in_another_process(name, fitted, bits_in_another_process):
    assert bits_in_another_process[name] == fitted[name].decision_function(NEW_ROWS).tobytes().hex()


@pytest.fixture(scope="module")
def bits_in_another_process():
    code = f"""
import numpy as np
from fanogan_mtl.detectors import REGISTRY, make_detector
from fanogan_mtl.detectors.threads import one_thread
rows, new_rows = np.array({ROWS.tolist()}), np.array({NEW_ROWS.tolist()})
with one_thread():
    for name in REGISTRY:
        detector = make_detector(name, **{QUICK}.get(name, {{}}))
        print(name, detector.fit(rows).decision_function(new_rows).tobytes().hex())
"""
    run = subprocess.run([sys.executable, "-"], input=code, env=os.environ, capture_output=True, text=True, check=True)
    return dict(line.split() for line in run.stdout.splitlines())


PYOD_LABELS = "PyOD's labels are 0 and 1, scikit-learn's 1 and -1"
NOT_HELD = {
    "check_outliers_train": PYOD_LABELS,
    "check_outliers_fit_predict": PYOD_LABELS,
}
"""Checks of scikit-learn that no detector holds to -> why."""
NOT_HELD_BY = {
    "fanogan": dict.fromkeys(
        ["check_fit_score_takes_y", "check_n_features_in_after_fitting", "check_pipeline_consistency"],
        "its parameter `score` has the name of a method that outlier detectors don't have",
    ),
    "knn": dict.fromkeys(
        ["check_no_attributes_set_in_init", "check_fit_check_is_fitted"], "PyOD's constructor sets `neigh_`"
    ),
    "ocsvm": {"check_non_transformer_estimators_n_iter": "it sets PyOD's `max_iter` without counting iterations"},
}
IN_CONSTRUCTOR = {"check_do_not_raise_errors_in_init_or_set_params": "PyOD's constructor refuses bad contamination"}


@every
@pytest.mark.filterwarnings("ignore")
def test_holds_to_scikit_learn_s_checks(name):
    expected = NOT_HELD | NOT_HELD_BY.get(name, {}) | ({} if name in DEEP else IN_CONSTRUCTOR)
    results = check_estimator(quick(name), expected_failed_checks=expected, on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    held = set(expected) - {result["check_name"] for result in results if result["status"] == "xfail"}
    assert not failed
    assert not held, "named as exceptions, but held"
