import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from fanogan_mtl.detectors import make_detector

SHALLOW = ["pca", "knn", "iforest", "ocsvm", "lof", "ecod", "pyod:COPOD"]
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.random((300, 40)) @ RANDOM.random((40, 40))
OTHER_ROWS = np.concatenate([ROWS[:20], RANDOM.random((40, 40)) * 10])


@pytest.fixture(params=SHALLOW)
def name(request):
    return request.param


def test_rows_unlike_the_training_rows_score_higher(name):
    scores = make_detector(name).fit(ROWS).decision_function(OTHER_ROWS)
    assert roc_auc_score(np.arange(60) >= 20, scores) > 0.9


def test_score_is_the_same_bits_alone_and_in_any_batch(name):
    detector = make_detector(name).fit(ROWS)
    scores = detector.decision_function(OTHER_ROWS)
    order = RANDOM.permutation(60)
    np.testing.assert_array_equal(np.concatenate([detector.decision_function(row[None]) for row in OTHER_ROWS]), scores)
    np.testing.assert_array_equal(detector.decision_function(OTHER_ROWS[order]), scores[order])


def test_a_second_fit_forgets_the_first(name):
    detector = make_detector(name).fit(ROWS)
    detector.decision_function(OTHER_ROWS)
    again = detector.fit(OTHER_ROWS).decision_function(ROWS)
    np.testing.assert_array_equal(again, make_detector(name).fit(OTHER_ROWS).decision_function(ROWS))


def test_score_is_the_same_bits_for_float32_and_float64_of_the_same_values(name):
    single = ROWS.astype(np.float32)
    scores = make_detector(name).fit(single).decision_function(single)
    np.testing.assert_array_equal(scores, make_detector(name).fit(single.astype(np.float64)).decision_function(single))


def test_same_parameters_give_the_same_bits_in_another_process():
    code = f"""
import sys, numpy as np
from fanogan_mtl.detectors import make_detector
rows = np.random.default_rng(5).random((60, 30))
for name in {SHALLOW}:
    print(make_detector(name).fit(rows).decision_function(rows).tobytes().hex())
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    rows = np.random.default_rng(5).random((60, 30))
    with threadpool_limits(1):
        here = [make_detector(name).fit(rows).decision_function(rows).tobytes().hex() for name in SHALLOW]
    assert run.stdout.split() == here


def test_fit_leaves_numpys_global_random_state_alone(name):
    before = np.random.get_state()[1].copy()
    make_detector(name).fit(ROWS)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_pyods_contract_holds(name):
    detector = make_detector(name, contamination=0.2).fit(ROWS, y=np.zeros(300))
    assert detector.decision_scores_.shape == detector.labels_.shape == (300,)
    assert detector.threshold_ == pytest.approx(np.quantile(detector.decision_scores_, 0.8))
    assert set(detector.predict(OTHER_ROWS)) == {0, 1}
    assert detector.predict_proba(OTHER_ROWS.tolist()).shape == (60, 2)
    assert ((detector.predict_confidence(OTHER_ROWS) >= 0) & (detector.predict_confidence(OTHER_ROWS) <= 1)).all()
    assert detector.n_features_in_ == 40
    assert not hasattr(clone(detector), "decision_scores_")


def test_fitting_again_forgets_the_first_rows(name):
    detector = make_detector(name).fit(ROWS + 3).fit(ROWS)
    np.testing.assert_array_equal(
        detector.decision_function(OTHER_ROWS), make_detector(name).fit(ROWS).decision_function(OTHER_ROWS)
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((5, 40), np.nan), "NaN in row 0, column 0"),
        (np.where(np.arange(200).reshape(5, 40) == 121, np.inf, 0), "infinity in row 3, column 1"),
        (np.empty((0, 40)), "0 sample"),
        (np.empty((5, 0)), "0 feature"),
        (np.zeros(40), "1D array"),
    ],
    ids=["NaN", "infinity", "no row", "no feature", "one dimension"],
)
def test_bad_rows_are_refused_with_what_and_where(name, rows, message):
    with pytest.raises(ValueError, match=message):
        make_detector(name).fit(rows)
    with pytest.raises(ValueError, match=message):
        make_detector(name).fit(ROWS).decision_function(rows)


def test_rows_of_another_width_are_refused(name):
    with pytest.raises(ValueError, match=r"39 features.*expecting 40"):
        make_detector(name).fit(ROWS).decision_function(ROWS[:, 1:])


def test_one_row_is_refused_and_two_give_scores_or_say_what_is_needed(name):
    with pytest.raises(ValueError, match=r"1 sample\(s\)"):
        make_detector(name).fit(ROWS[:1])
    if name == "knn":
        with pytest.raises(ValueError, match=r"^KNN needs more rows than n_neighbors=5, X has 2$"):
            make_detector(name).fit(ROWS[:2])
    else:
        assert np.isfinite(make_detector(name).fit(ROWS[:2]).decision_function(OTHER_ROWS)).all()


@pytest.mark.parametrize("rows", [ROWS[:, :1], np.full((9, 4), 0.1)], ids=["one feature", "constant"])
def test_poor_rows_give_finite_scores(name, rows):
    assert np.isfinite(make_detector(name).fit(rows).decision_function(rows[:3])).all()


@pytest.mark.parametrize(("name", "theirs"), [("ecod", ECOD), ("pyod:COPOD", COPOD)])
@pytest.mark.parametrize(
    "rows",
    [
        RANDOM.random((31, 4)),
        RANDOM.integers(0, 3, (30, 4)) / 2,  # ties, and skewness that is zero but for rounding
        np.column_stack([np.full(20, 0.1), np.zeros(20), np.tile([0, 1], 10), RANDOM.random(20)]),
        np.array([[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 3.5]]),
    ],
    ids=["distinct", "ties", "constant", "two"],
)
def test_tail_probabilities_equal_pyods_run_row_by_row(name, theirs, rows):
    ours, theirs = make_detector(name).fit(rows), theirs().fit(rows)
    new = np.concatenate([rows[:5], RANDOM.normal(size=(10, 4)), np.full((1, 4), 0.5), np.full((1, 4), 0.1)])
    expected = np.concatenate([theirs.decision_function(row[None]) for row in new])
    np.testing.assert_allclose(ours.decision_function(new), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.decision_scores_, theirs.decision_scores_, rtol=0, atol=1e-9)


def test_pca_scores_by_scikit_learns_reconstruction():
    detector, reference = make_detector("pca", n_components=6).fit(ROWS), PCA(6, svd_solver="full").fit(ROWS)
    reconstructed = reference.inverse_transform(reference.transform(OTHER_ROWS))
    np.testing.assert_allclose(detector.reconstruct(OTHER_ROWS), reconstructed)
    np.testing.assert_allclose(detector.decision_function(OTHER_ROWS), ((OTHER_ROWS - reconstructed) ** 2).mean(axis=1))


def test_feature_shares_add_up_to_the_score() -> None:
    pca, nearest = make_detector("pca", n_components=6).fit(ROWS), make_detector("knn", n_neighbors=1).fit(ROWS)
    np.testing.assert_allclose(pca.feature_shares(OTHER_ROWS).sum(axis=1), pca.decision_function(OTHER_ROWS))
    np.testing.assert_allclose(
        nearest.feature_shares(OTHER_ROWS).sum(axis=1), nearest.decision_function(OTHER_ROWS) ** 2, atol=1e-8
    )


def test_knn_shares_are_those_of_the_mean_over_neighbours() -> None:
    detector = make_detector("knn", n_neighbors=3).fit(ROWS)
    nearest = NearestNeighbors(n_neighbors=3).fit(ROWS).kneighbors(OTHER_ROWS, return_distance=False)
    expected = np.square(ROWS[nearest] - OTHER_ROWS[:, None]).mean(axis=1)
    np.testing.assert_allclose(detector.feature_shares(OTHER_ROWS), expected)


def test_ocsvm_ranks_the_same_in_another_unit():
    scores = [make_detector("ocsvm").fit(ROWS * unit).decision_function(OTHER_ROWS * unit) for unit in (1, 255)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)


def test_iforest_changes_with_its_seed():
    scores = [make_detector("iforest", random_state=seed).fit(ROWS).decision_scores_ for seed in (0, 1)]
    assert not np.array_equal(*scores)


@pytest.mark.parametrize(("file", "floor"), [("mnist.npz", 0.945), ("usps.npz", 0.95)])
def test_pca_reaches_its_figure_on_real_digits(file, floor):
    folder = os.environ.get("FANOGAN_MTL_REAL_DATA")
    if folder is None or not (Path(folder) / file).exists():
        pytest.skip(f"FANOGAN_MTL_REAL_DATA names no folder with {file}")
    with np.load(Path(folder) / file) as arrays:
        train, test = (arrays[key].reshape(len(arrays[key]), -1) / 255 for key in ("x_train", "x_test"))
        train_labels, test_labels = arrays["y_train"], arrays["y_test"]
    areas = []
    for digit in range(10):
        detector = make_detector("pca").fit(train[train_labels == digit][:2000])
        areas.append(roc_auc_score(test_labels != digit, detector.decision_function(test)))
    assert np.mean(areas) > floor
