"""Every detector of PyOD that can be named: what it holds to, unless it is marked."""

import contextlib
import io
import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from bench.detectors_survey import quick_detector
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.persistence import UnsavableDetector, refuse_unservable, save_detector
from fanogan_mtl.detectors.pyod_classes import pyod_modules
from fanogan_mtl.detectors.registry import REGISTRY, caveats, takes
from fanogan_mtl.detectors.third_party.caveats import EXAMINED
from fanogan_mtl.detectors.third_party.company import TOLERANCE, company_dependence
from fanogan_mtl.detectors.third_party.mended import MENDED
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.evaluation.metrics import auroc

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(64, 4))
NEW_ROWS = np.concatenate([RANDOM.normal(size=(20, 4)), RANDOM.normal(size=(20, 4)) + 8])
ANOMALY = np.arange(40) >= 20
NEED_COMBO = {"FeatureBagging", "SUOD"}
ONE_FEATURE_ONLY = {"MAD"}
NAMES = sorted(set(pyod_modules()) - NEED_COMBO - ONE_FEATURE_ONLY)
DRAWN_FROM_GLOBAL_NUMBERS = ["AE1SVM", "ALAD", "AnoGAN", "DIF", "MO_GAAL", "SO_GAAL"]

every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def _one_quiet_thread():
    with one_thread(), contextlib.redirect_stdout(io.StringIO()):
        yield


@pytest.fixture(scope="module")
def fitted():
    made = {}

    def fit(name):
        if name not in made:
            made[name] = quick_detector(name, 4).fit(ROWS)
        return made[name]

    return fit


def test_every_class_that_can_be_named_is_examined():
    assert set(pyod_modules()) == EXAMINED | {"FeatureBagging"}  # which is marked
    assert "unexamined" in caveats("pyod:FeatureBagging")
    assert set(MENDED) < EXAMINED


@every
class TestEveryClass:
    def test_scores_a_row_alone_as_in_company_or_is_marked(self, name, fitted):
        dependence = company_dependence(fitted(name), NEW_ROWS)
        assert (dependence > TOLERANCE) == ("transductive" in caveats(f"pyod:{name}"))

    def test_ranks_far_rows_above_near_ones_or_is_marked(self, name, fitted):
        if not caveats(f"pyod:{name}"):  # transductive ones take the far rows, which are many, for normal
            assert auroc(ANOMALY, fitted(name).decision_function(NEW_ROWS)) >= 0.8

    def test_same_bits_again_and_global_state_is_left_alone(self, name, fitted):
        before = fitted(name).decision_function(NEW_ROWS)
        np.random.seed(3)
        torch.manual_seed(3)
        random.seed(3)
        states = [np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()]
        again = quick_detector(name, 4).fit(ROWS).decision_function(NEW_ROWS)
        np.testing.assert_array_equal(again, before)
        np.testing.assert_array_equal(np.random.get_state()[1], states[0])
        assert torch.equal(torch.get_rng_state(), states[1])
        assert random.getstate() == states[2]

    def test_constant_features_and_few_rows_give_finite_scores_or_one_line_that_names_it(self, name):
        wide = np.pad(ROWS, ((0, 0), (0, 8)))
        new = np.pad(NEW_ROWS, ((0, 0), (0, 8)), constant_values=0.5)
        for rows in (wide, wide[:6]) if name != "ROD" else (ROWS[:, :3],):  # it looks at all triples of features
            try:
                scores = quick_detector(name, rows.shape[1]).fit(rows).decision_function(new[:, : rows.shape[1]])
            except ValueError as error:
                said = str(error)
                assert "\n" not in said
                assert name in said
            else:
                assert np.isfinite(scores).all()


def test_those_that_drew_from_global_numbers_give_the_same_bits_in_another_process(fitted):
    code = f"""
import contextlib, io, json, sys
import numpy as np
from bench.detectors_survey import quick_detector
from fanogan_mtl.detectors.threads import one_thread
rows, new_rows = np.array({ROWS.tolist()}), np.array({NEW_ROWS.tolist()})
found = {{}}
with one_thread(), contextlib.redirect_stdout(io.StringIO()):
    for name in {DRAWN_FROM_GLOBAL_NUMBERS}:
        found[name] = quick_detector(name, 4).fit(rows).decision_function(new_rows).tobytes().hex()
print(json.dumps(found))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = {name: fitted(name).decision_function(NEW_ROWS).tobytes().hex() for name in DRAWN_FROM_GLOBAL_NUMBERS}
    assert json.loads(run.stdout) == here


@pytest.mark.parametrize("name", DRAWN_FROM_GLOBAL_NUMBERS)
def test_the_seed_matters_where_numbers_are_drawn(name, fitted):
    assert takes(f"pyod:{name}", "random_state")
    other = quick_detector(name, 4, random_state=1)
    assert other.get_params()["random_state"] == 1
    assert (other.fit(ROWS).decision_function(NEW_ROWS) != fitted(name).decision_function(NEW_ROWS)).any()


class TestMended:
    def test_pca_leaves_out_components_that_are_rounding(self):
        spread = np.ptp(make_detector("pyod:PCA").fit(ROWS[:3]).decision_function(NEW_ROWS))
        assert spread < 1e6
        twice = np.hstack([ROWS, ROWS]).astype(np.float32)
        scores = make_detector("pyod:PCA").fit(twice).decision_function(np.hstack([NEW_ROWS, NEW_ROWS]))
        assert np.ptp(scores) < 1e6
        with pytest.raises(ValueError, match="PCA: all rows are equal"):
            make_detector("pyod:PCA").fit(np.ones((20, 3)))

    def test_pca_with_all_components_scores_as_pyods(self):
        from pyod.models.pca import PCA

        ours, theirs = make_detector("pyod:PCA").fit(ROWS), PCA().fit(ROWS)
        np.testing.assert_allclose(ours.decision_function(NEW_ROWS), theirs.decision_function(NEW_ROWS))
        np.testing.assert_allclose(ours.decision_scores_, theirs.decision_scores_)

    @pytest.mark.parametrize("shift", [2, 3, 8])
    def test_qmcd_falls_with_closeness_near_and_far(self, shift):
        new = np.concatenate([NEW_ROWS[:20], NEW_ROWS[:20] + shift])
        scores = make_detector("pyod:QMCD").fit(ROWS).decision_function(new)
        assert auroc(ANOMALY, scores) > 0.8

    @pytest.mark.parametrize("name", ["MO_GAAL", "SO_GAAL"])
    def test_gaal_gives_what_is_not_real_the_higher_scores(self, name):
        rows = np.clip(0.5 + ROWS / 20, 0, 1)
        new = np.concatenate([rows[:20], RANDOM.choice([0.0, 1.0], (20, 4))])
        detector = make_detector(f"pyod:{name}").fit(rows)
        real = detector.discriminator(torch.tensor(new, dtype=torch.float32)).detach().numpy().ravel()
        np.testing.assert_allclose(detector.decision_function(new), 1 - real, atol=1e-6)

    @pytest.mark.parametrize("n_rows", [3, 30])
    def test_loda_takes_what_lies_beyond_all_bins_for_empty(self, n_rows):
        assert auroc(ANOMALY, make_detector("pyod:LODA").fit(ROWS[:n_rows]).decision_function(NEW_ROWS)) > 0.9

    def test_loda_looks_a_row_up_in_its_own_bin(self):
        values = np.repeat(np.arange(10.0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])[:, None]
        detector = make_detector("pyod:LODA", n_random_cuts=1).fit(values)
        scores = detector.decision_function(np.arange(10.0)[:, None])
        np.testing.assert_allclose(np.exp(-scores), np.arange(1, 11) / 55)

    @pytest.mark.parametrize("n_bins", [10, "auto"])
    def test_loda_scores_a_row_alone_as_in_company_on_a_constant_background(self, n_bins):
        images = np.ones((60, 28, 28))
        images[:, 11:17, 11:17] = RANDOM.integers(0, 256, (60, 6, 6)) / 255
        rows = images.reshape(60, -1)
        detector = make_detector("pyod:LODA", n_bins=n_bins).fit(rows[:40])
        assert company_dependence(detector, rows[40:]) == 0
        assert company_dependence(detector, rows[:40], detector.decision_scores_) == 0
        assert auroc(np.arange(40) >= 20, detector.decision_function(np.concatenate([rows[40:], rows[40:] - 1]))) == 1

    @pytest.mark.parametrize("name", ["AE1SVM", "AutoEncoder", "VAE"])
    def test_pixel_that_is_constant_in_training_does_not_outweigh_all(self, name):
        rows, new = np.pad(ROWS, ((0, 0), (0, 1))), np.pad(NEW_ROWS, ((0, 0), (0, 1)), constant_values=0.5)
        assert quick_detector(name, 5).fit(rows).decision_function(new).max() < 1e3

    @pytest.mark.parametrize("name", ["AutoEncoder", "VAE"])
    def test_fewer_rows_than_a_batch_are_one_line(self, name):
        with pytest.raises(ValueError, match=rf"^{name} needs at least batch_size=32 rows, X has 20$"):
            quick_detector(name, 4).fit(ROWS[:20])

    def test_ae1svm_takes_any_number_of_rows(self):
        assert len(quick_detector("AE1SVM", 4).fit(ROWS[:33]).decision_scores_) == 33


class TestCaveats:
    def test_sound_detectors_have_none(self):
        for name in [*REGISTRY, "pyod:KNN", "pyod:ECOD", "pyod:COPOD", "pyod:PCA"]:
            assert caveats(name) == {}
            refuse_unservable(name)

    def test_each_is_one_sentence_that_names_the_detector(self):
        for name in EXAMINED:
            for sentence in caveats(f"pyod:{name}").values():
                assert sentence.startswith(f"pyod:{name} ")
                assert sentence.endswith(".")
                assert "\n" not in sentence

    def test_class_of_another_version_is_marked(self):
        assert list(caveats("pyod:NewOne")) == ["unexamined"]

    def test_transductive_one_is_not_put_into_a_model(self, tmp_path):
        with pytest.raises(
            UnsavableDetector, match=r"^pyod:COF scores a row by the rows that it is scored with: .*model$"
        ):
            save_detector(make_detector("pyod:COF").fit(ROWS), tmp_path / "saved")
        assert not list(tmp_path.iterdir())

    def test_one_that_measured_as_much_is_not_put_into_a_model(self):
        sentence = "a row's score changes with the rows that it is scored with"
        refuse_unservable("pyod:LODA", {"few tested": "only 3 of a kind were tested"})
        with pytest.raises(UnsavableDetector, match=rf"^pyod:LODA: {sentence}; it can be compared, but not put into"):
            refuse_unservable("pyod:LODA", {"depends on company": sentence})

    def test_asking_for_them_imports_nothing_heavy(self):
        code = (
            "import sys; from fanogan_mtl.detectors.registry import caveats; caveats('pyod:COF'); caveats('vae');"
            "sys.exit(bool({'torch', 'pyod', 'sklearn'} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestCompanyDependence:
    def test_measures_the_change_relative_to_the_largest_score(self):
        class Centred:
            def decision_function(self, X):
                return X[:, 0] - X[:, 0].mean()

        class Own:
            def decision_function(self, X):
                return X[:, 0]

        rows = np.arange(20.0)[:, None]
        assert company_dependence(Own(), rows) == 0
        assert company_dependence(Own(), rows[:1]) == 0
        assert company_dependence(Centred(), rows) == 1
        assert company_dependence(Centred(), rows[:1]) == 0
        assert company_dependence(Own(), rows, scores=rows[:, 0] + 19) == 0.5

    def test_row_that_can_not_be_scored_alone_is_infinity(self):
        class Needy:
            def decision_function(self, X):
                if len(X) < 2:
                    raise ValueError("at least two")
                return X[:, 0]

        assert company_dependence(Needy(), ROWS) == np.inf
