import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from fanogan_mtl.detectors.dagmm import DAGMM, TUNED, VARIANCE_FLOOR, fit_mixture, sample_energy

DIGITS = load_digits()
ROWS = DIGITS.data[:1200][DIGITS.target[:1200] == 5] / 16
TEST, ANOMALY = DIGITS.data[1200:] / 16, DIGITS.target[1200:] != 5
SMALL = {"epochs": 2, "batch_size": 32, "hidden_widths": (16, 8), "n_components": 3}

both_settings = pytest.mark.parametrize("setting", [{}, TUNED], ids=["study", "tuned"])


def untrained(**params):
    detector = DAGMM(**params)

    def only_the_mixture(rows, budgets):
        detector._keep_mixture(rows)
        return iter(budgets)

    detector._train = only_the_mixture
    return detector.fit(ROWS)


def loss_of(detector):
    rows = detector._scaling()(torch.tensor(ROWS, dtype=torch.float32))
    with torch.no_grad():
        return float(detector._loss(rows, torch.Generator().manual_seed(0)))


@both_settings
class TestLearning:
    def test_weights_move_and_loss_falls(self, setting):
        trained, before = DAGMM(**setting).set_params(epochs=40, batch_size=16).fit(ROWS), untrained(**setting)
        for name, value in trained.network_.named_parameters():
            assert not torch.equal(value, before.network_.state_dict()[name]), name
        assert loss_of(trained) < 0.5 * loss_of(before)

    def test_scores_of_other_rows_differ(self, setting):
        scores = DAGMM(**setting).set_params(epochs=3).fit(ROWS).decision_function(TEST)
        assert len(np.unique(scores)) >= 0.9 * len(scores)


def test_trained_beats_untrained_in_the_study_s_setting():
    trained, before = DAGMM(epochs=40, batch_size=16).fit(ROWS), untrained()
    aurocs = [roc_auc_score(ANOMALY, each.decision_function(TEST)) for each in (trained, before)]
    assert aurocs[0] > aurocs[1] + 0.1


class TestMixture:
    def test_energy_is_scikit_learn_s(self):
        random = np.random.default_rng(0)
        z = random.normal(size=(200, 4)) @ random.normal(size=(4, 4))
        sklearn_s = GaussianMixture(3, random_state=0).fit(z)
        mixture = tuple(torch.tensor(each) for each in (sklearn_s.weights_, sklearn_s.means_, sklearn_s.covariances_))
        energy = sample_energy(torch.tensor(z), mixture)
        assert energy.dtype == torch.float64
        np.testing.assert_allclose(energy, -sklearn_s.score_samples(z), rtol=0, atol=1e-6)

    def test_fit_is_one_step_of_scikit_learn_s_from_the_same_memberships(self):
        random = np.random.default_rng(1)
        z, memberships = random.normal(size=(100, 3)), random.dirichlet(np.ones(4), size=100)
        expected = GaussianMixture(4, reg_covar=VARIANCE_FLOOR)
        expected._initialize(z, memberships)
        weights, means, covariances = fit_mixture(torch.tensor(z), torch.tensor(memberships))
        np.testing.assert_allclose(weights, expected.weights_, atol=1e-9)
        np.testing.assert_allclose(means, expected.means_, atol=1e-9)
        np.testing.assert_allclose(covariances, expected.covariances_, atol=1e-9)

    def test_energy_of_equal_rows_and_empty_components_is_finite(self):
        memberships = torch.tensor([[1.0, 0.0]]).repeat(20, 1)
        z = torch.full((20, 3), 0.3)
        assert torch.isfinite(sample_energy(z, fit_mixture(z, memberships))).all()

    def test_is_that_of_all_training_rows_without_dropout(self):
        detector = DAGMM(**SMALL).fit(ROWS)
        with torch.no_grad():
            z, _ = detector.network_.compress(detector._scaling()(torch.tensor(ROWS, dtype=torch.float32)))
            expected = fit_mixture(z, detector.network_.estimate(z))
        for kept, value in zip(detector.network_.mixture(), expected, strict=True):
            torch.testing.assert_close(kept, value)
        assert float(detector.network_.mixture_weights.sum()) == pytest.approx(1)

    def test_score_is_the_energy(self):
        detector = DAGMM(**SMALL).fit(ROWS)
        z, _ = detector.network_.compress(detector._scaling()(torch.tensor(TEST, dtype=torch.float32)))
        energy = sample_energy(z.detach(), detector.network_.mixture())
        np.testing.assert_allclose(detector.decision_function(TEST), energy, rtol=1e-3, atol=1e-3)


class TestLoss:
    def test_each_weight_moves_it(self):
        base = loss_of(untrained(**SMALL))
        assert loss_of(untrained(**SMALL, energy_weight=0.2)) != base
        assert loss_of(untrained(**SMALL, covariance_weight=0.01)) > base

    def test_error_alone_is_left_without_the_weights(self):
        detector = untrained(**SMALL, energy_weight=0, covariance_weight=0, preprocessing="none")
        error = np.square(detector.reconstruct(ROWS) - ROWS).sum(axis=1).mean()
        assert loss_of(detector) == pytest.approx(error, rel=1e-5)


class TestCompression:
    def test_code_is_followed_by_relative_distance_and_cosine_similarity(self):
        detector = DAGMM(**SMALL, preprocessing="none").fit(ROWS)
        with torch.no_grad():
            z, made = detector.network_.compress(torch.tensor(TEST, dtype=torch.float32))
        made = made.numpy()
        lengths = np.linalg.norm(TEST, axis=1)
        np.testing.assert_allclose(z[:, 1], np.linalg.norm(TEST - made, axis=1) / lengths, rtol=1e-4)
        cosine = (TEST * made).sum(axis=1) / lengths / np.linalg.norm(made, axis=1)
        np.testing.assert_allclose(z[:, 2], cosine, rtol=1e-4)

    def test_reconstruction_is_in_the_units_of_the_rows(self):
        in_255, in_1 = (DAGMM(**SMALL).fit(scale * ROWS).reconstruct(scale * TEST) for scale in (255, 1))
        np.testing.assert_allclose(in_255, 255 * in_1, rtol=1e-3, atol=0.1)


@both_settings
@pytest.mark.parametrize(
    "rows",
    [np.zeros((40, 9)), np.full((33, 9), 0.7), ROWS[:3], ROWS[:2], ROWS[:33, 20:21], ROWS[:33]],
    ids=["black", "constant", "fewer than a batch", "two rows", "one feature", "remainder of one row"],
)
def test_small_and_constant_data_give_finite_scores(setting, rows):
    detector = DAGMM(**{**setting, "batch_size": 32}).set_params(epochs=2).fit(rows)
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.decision_function(rows[:1])).all()


@both_settings
def test_scores_stay_finite_over_200_epochs(setting):
    assert np.isfinite(DAGMM(**setting).set_params(epochs=200).fit(ROWS[:64]).decision_function(TEST)).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("dropout", 1.0), ("n_components", 0), ("energy_weight", -1), ("covariance_weight", float("nan"))],
)
def test_bad_parameter_is_named(parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of DAGMM"):
        DAGMM(**{parameter: value}).fit(ROWS)
