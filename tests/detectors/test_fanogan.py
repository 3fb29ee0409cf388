import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from fanogan_mtl.detectors.fanogan import TUNED, FAnoGAN, fill_encoder_gradients
from fanogan_mtl.detectors.networks.gradients import flatten_parameters
from fanogan_mtl.detectors.networks.wgan import Critic, fill_critic_gradients, frozen, linear_layers

SMALL = {"generator_widths": (16, 32), "critic_widths": (24, 12), "encoder_widths": (24, 12), "latent_dim": 8}
ROWS = np.random.default_rng(0).random((70, 10))
NEW_ROWS = np.random.default_rng(1).random((40, 10))


def small(**params):
    return FAnoGAN(**{"epochs": 3, "batch_size": 16, **SMALL, **params})


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


class TestCriticGradients:
    @staticmethod
    def by_autograd(critic, real, fake, mix, penalty):
        mixed = (mix * real + (1 - mix) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        loss = critic(fake).mean() - critic(real).mean() + penalty * (gradient.norm(dim=1) - 1).square().mean()
        return torch.autograd.grad(loss, list(critic.parameters()))

    @pytest.mark.parametrize("widths", [[784, 512, 256], [30, 20], [12, 9, 8, 7, 6]])
    @pytest.mark.parametrize("n_rows", [2, 64])
    @pytest.mark.parametrize("penalty", [10.0, 0.0])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
    def test_equal_those_of_autograd_s_double_backward(self, widths, n_rows, penalty, dtype, tolerance):
        stream = torch.Generator().manual_seed(0)
        critic = Critic(widths).to(dtype)
        for parameter in critic.parameters():
            parameter.data = torch.randn(parameter.shape, generator=stream, dtype=dtype) / parameter.shape[-1] ** 0.5
        real, fake = torch.randn(2, n_rows, widths[0], generator=stream, dtype=dtype)
        mix = torch.rand(n_rows, 1, generator=stream, dtype=dtype)
        expected = self.by_autograd(critic, real, fake, mix, penalty)
        flatten_parameters(critic)
        fill_critic_gradients(critic, real, fake, mix, penalty)
        for parameter, by_autograd in zip(critic.parameters(), expected, strict=True):
            scale = max(float(by_autograd.abs().max()), 1e-30)
            assert float((parameter.grad - by_autograd).abs().max()) <= tolerance * scale

    def test_stay_finite_where_the_critic_is_flat(self):
        critic = Critic([5, 4])
        torch.nn.init.zeros_(critic.last.weight)
        flatten_parameters(critic)
        fill_critic_gradients(critic, torch.ones(3, 5), torch.zeros(3, 5), torch.full((3, 1), 0.5), 10.0)
        assert all(parameter.grad.isfinite().all() for parameter in critic.parameters())


class TestEncoderGradients:
    @pytest.mark.parametrize("kappa", [1.0, 0.0, 0.02])
    def test_equal_autograd_s(self, kappa):
        detector = small(kappa=kappa).fit(ROWS)
        networks = detector.network_.eval()
        real = torch.tensor(ROWS[:40], dtype=torch.float32)
        seen = real + 0.1
        made, features = networks.reconstruct(seen), networks.critic.features(real).detach()
        loss = (made - real).square().mean() + kappa * (networks.critic.features(made) - features).square().mean()
        expected = torch.autograd.grad(loss, list(networks.encoder.parameters()))
        flatten_parameters(networks.encoder)
        with torch.no_grad():
            layers = linear_layers(frozen(networks.generator))
            fill_encoder_gradients(networks.encoder, layers, networks.critic, seen, real, features, kappa)
        for parameter, gradient in zip(networks.encoder.parameters(), expected, strict=True):
            scale = float(gradient.abs().max())
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5 * scale)


class TestTraining:
    def test_all_three_networks_move(self):
        detector = small(critic_steps=2)
        for _ in detector.fit_staged(ROWS, [1]):
            before = state(detector.network_)
        detector.set_params(epochs=3).fit(ROWS)
        unmoved = [key for key, value in state(detector.network_).items() if torch.equal(value, before[key])]
        assert unmoved == ["preprocessing.shift", "preprocessing.scale", "critic.last.bias"]  # it cancels out

    @pytest.mark.parametrize("change", [{"encoder_learning_rate": 0.01}, {"noise": 0.5}, {"kappa": 0.0}])
    def test_encoder_s_training_changes_neither_generator_nor_critic(self, change):
        ours, other = small().fit(ROWS).network_, small(**change).fit(ROWS).network_
        assert same(state(ours.generator), state(other.generator))
        assert same(state(ours.critic), state(other.critic))
        assert not same(state(ours.encoder), state(other.encoder))

    @pytest.mark.parametrize("widths", [(24, 12), (5,)])
    def test_every_stage_is_as_if_trained_alone(self, widths):
        make = partial(small, critic_widths=widths, encoder_widths=widths, critic_steps=2)
        detector = make()
        stages = [state(detector.network_) for _ in detector.fit_staged(ROWS, [1, 2, 5])]
        assert same(stages[1], state(make(epochs=2).fit(ROWS).network_))
        assert same(stages[2], state(make(epochs=5).fit(ROWS).network_))

    def test_generator_steps_once_in_critic_steps_batches(self):
        """70 rows are 5 batches of at most 16, so 15 batches in 3 epochs: the 16th would be the first step."""
        mean = torch.from_numpy(ROWS - ROWS.mean()).float().mean(dim=0) / ROWS.std()
        biases = {
            steps: small(critic_steps=steps, start_at_mean=True).fit(ROWS).network_.generator[-1].bias.detach()
            for steps in (15, 16)
        }
        np.testing.assert_allclose(biases[16], mean, atol=1e-5)
        assert (biases[15] - mean).abs().max() > 5e-5

    @pytest.mark.parametrize(
        "params",
        [{"learning_rate": 0.01}, {"gradient_penalty": 1.0}, {"weight_decay": 0.1}],
    )
    def test_settings_of_the_adversarial_training_reach_it(self, params):
        ours, other = (small(critic_steps=1, **extra).fit(ROWS).network_ for extra in ({}, params))
        assert not same(state(ours.critic), state(other.critic))
        assert not same(state(ours.generator), state(other.generator))

    @pytest.mark.parametrize(
        ("rows", "params"),
        [
            (np.full((20, 5), 0.3), {}),
            (np.pad(ROWS, ((0, 0), (3, 3))), {}),
            (ROWS[:33], {}),  # a last batch of one row
            (ROWS[:3], {}),
            (ROWS, {"epochs": 200, "critic_steps": 1, "learning_rate": 1e-3}),
        ],
        ids=["constant", "constant pixels", "one row left over", "fewer rows than a batch", "200 epochs"],
    )
    def test_nan_never_comes_out(self, rows, params):
        detector = small(**params).fit(rows)
        for scores in (detector.decision_function(rows), *detector.decision_terms(rows).values()):
            assert np.isfinite(scores).all()


@pytest.fixture(scope="module")
def fitted():
    return small(kappa=0.7, epochs=5).fit(ROWS)


class TestScore:
    def test_paper_s_formula(self, fitted):
        network = fitted.network_
        with torch.no_grad():
            rows = network.preprocessing(torch.from_numpy(NEW_ROWS).float())
            made = network.generator(network.encoder(rows))
            image = (rows - made).square().sum(dim=1) / 10
            feature = (network.critic.features(rows) - network.critic.features(made)).square().sum(dim=1) / 12
        np.testing.assert_allclose(fitted.decision_function(NEW_ROWS), image + 0.7 * feature, rtol=1e-5)
        terms = fitted.decision_terms(NEW_ROWS)
        np.testing.assert_array_equal(terms["paper"], fitted.decision_function(NEW_ROWS))
        np.testing.assert_allclose(terms["image"], image, rtol=1e-5)
        np.testing.assert_allclose(terms["feature"], feature, rtol=1e-5)

    def test_calibrated_terms_have_mean_zero_and_deviation_one_on_training_rows(self, fitted):
        terms, new = fitted.decision_terms(ROWS), fitted.decision_terms(NEW_ROWS)
        by_hand = sum(
            weight * (new[name] - terms[name].mean()) / terms[name].std()
            for name, weight in (("image", 1.0), ("feature", 0.7))
        )
        np.testing.assert_allclose(new["calibrated"], by_hand, rtol=1e-9)

    def test_mode_calibrated_ranks_by_the_calibrated_sum(self, fitted):
        other = small(kappa=0.7, epochs=5, score="calibrated").fit(ROWS)
        np.testing.assert_array_equal(other.decision_function(NEW_ROWS), fitted.decision_terms(NEW_ROWS)["calibrated"])

    @pytest.mark.parametrize("width", [1, 5, 11])
    def test_narrow_networks_score_a_row_the_same_in_any_batch(self, width):
        widths = dict.fromkeys(("generator_widths", "critic_widths", "encoder_widths"), (width, width))
        detector = small(**widths, latent_dim=width).fit(ROWS[:, :5])
        scores, order = detector.decision_function(NEW_ROWS[:, :5]), np.random.default_rng(2).permutation(40)
        np.testing.assert_array_equal(detector.decision_function(NEW_ROWS[order, :5]), scores[order])

    def test_reconstruction_is_in_the_units_of_the_rows(self):
        detector = small(epochs=40, encoder_learning_rate=1e-2, start_at_mean=True).fit(200 + 50 * ROWS)
        made = detector.reconstruct(200 + 50 * NEW_ROWS)
        assert made.shape == NEW_ROWS.shape
        assert made.mean() == pytest.approx(225, abs=5)


@pytest.mark.parametrize("params", [{"encoder_learning_rate": 1e-3}, TUNED], ids=["study", "tuned"])
def test_trained_beats_untrained_and_scores_are_diverse(params):
    digits = load_digits()  # real ones, 8 x 8 pixels each
    test = np.arange(len(digits.data)) >= 1200
    gains = []
    for digit in (1, 3):
        rows, anomaly = digits.data[~test & (digits.target == digit)], digits.target[test] != digit
        detectors = [FAnoGAN(**params, epochs=40), FAnoGAN(**params, epochs=1)]
        detectors[1].set_params(learning_rate=1e-12, encoder_learning_rate=1e-12)
        scores = [detector.fit(rows).decision_function(digits.data[test]) for detector in detectors]
        trained, untrained = (roc_auc_score(anomaly, each) for each in scores)
        assert trained > 0.9
        assert len(np.unique(scores[0])) > 0.9 * len(scores[0])
        gains.append(trained - untrained)
    assert min(gains) > 0.005
    assert np.mean(gains) > 0.05


@pytest.mark.skipif(not os.environ.get("FANOGAN_MTL_REAL_DATA"), reason="FANOGAN_MTL_REAL_DATA names no folder")
def test_tuned_setting_tells_real_digits_apart():
    with np.load(Path(os.environ["FANOGAN_MTL_REAL_DATA"]) / "usps.npz", allow_pickle=False) as usps:
        train, labels = usps["x_train"].reshape(len(usps["x_train"]), -1) / 255, usps["y_train"]
        test, test_labels = usps["x_test"].reshape(len(usps["x_test"]), -1) / 255, usps["y_test"]
    aurocs = []
    for digit in (3, 8):
        detector = FAnoGAN(**TUNED).fit(train[labels == digit])
        aurocs.append(roc_auc_score(test_labels != digit, detector.decision_function(test)))
    assert np.mean(aurocs) > 0.89
