import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from fanogan_mtl.detectors import vae
from fanogan_mtl.detectors.networks.gradients import flatten_parameters
from fanogan_mtl.detectors.vae import TUNED, VAE, divergence

DIGITS = load_digits()
ROWS = DIGITS.data[:1200][DIGITS.target[:1200] == 5] / 16
TEST, ANOMALY = DIGITS.data[1200:] / 16, DIGITS.target[1200:] != 5
SMALL = {"epochs": 2, "batch_size": 32, "hidden_widths": (16, 8), "latent_dim": 4}

both_settings = pytest.mark.parametrize("setting", [{}, TUNED], ids=["study", "tuned"])


def untrained(**params):
    detector = VAE(**params)
    detector._train = lambda rows, budgets: iter(budgets)
    return detector.fit(ROWS)


def loss_of(detector, noise=0):
    """The loss as the module's docstring has it, on the draws that a training step would make."""
    network, stream = detector.network_, torch.Generator().manual_seed(noise)
    rows = detector._scaling()(torch.tensor(ROWS, dtype=torch.float32))
    masks = [network.encoder.masks(len(rows), stream)]
    drawn = torch.randn(len(rows), detector.latent_dim, generator=stream)
    masks.append(network.decoder.masks(len(rows), stream))

    def dense(part, values, factors):
        for number, layer in enumerate(part.linear):
            values = layer(values).relu()
            values = values * factors[number] if factors else values
        return values

    mean, log_variance = network.latent(dense(network.encoder, rows, masks[0])).chunk(2, dim=1)
    log_variance = log_variance.clamp(*vae.LOG_VARIANCE_RANGE)
    made = network.output(dense(network.decoder, mean + (log_variance / 2).exp() * drawn, masks[1]))
    error = ((made.sigmoid() if network.sigmoid else made) - rows).square()
    error = error.mean() if detector.reconstruction_loss == "mean" else error.sum(dim=1).mean()
    return error + detector.beta * (divergence(mean, log_variance) - detector.capacity).abs()


@both_settings
class TestLearning:
    def test_weights_move_loss_falls_and_trained_beats_untrained(self, setting):
        trained, before = VAE(**setting).set_params(epochs=40).fit(ROWS), untrained(**setting)
        for name, value in trained.network_.named_parameters():
            assert not torch.equal(value, before.network_.state_dict()[name]), name
        assert loss_of(trained) < 0.9 * loss_of(before)
        aurocs = [roc_auc_score(ANOMALY, each.decision_function(TEST)) for each in (trained, before)]
        assert aurocs[0] > aurocs[1] + 0.02

    def test_scores_of_other_rows_differ(self, setting):
        scores = VAE(**setting).set_params(epochs=3).fit(ROWS).decision_function(TEST)
        assert len(np.unique(scores)) >= 0.9 * len(scores)


class TestLoss:
    def test_divergence_is_that_of_torch_s_distributions(self):
        mean, log_variance = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
        normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
        expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0, 1)).sum(dim=1).mean()
        torch.testing.assert_close(divergence(mean, log_variance), expected)

    @pytest.mark.parametrize("capacity", [0.0, 0.2, 1e3], ids=["plain", "below", "above"])
    @pytest.mark.parametrize(
        "params",
        [{}, {"dropout": 0.0}, {"reconstruction_loss": "sum"}, {"output_activation": "linear"}, {"hidden_widths": [9]}],
        ids=str,
    )
    def test_gradients_equal_autograd_s(self, params, capacity, monkeypatch):
        monkeypatch.setattr(vae, "LOG_VARIANCE_RANGE", (-0.3, 0.3))  # some leave it, and have no gradient there
        detector = untrained(**{**SMALL, "preprocessing": "standard", "capacity": capacity, **params})
        with torch.no_grad():
            detector.network_.latent.bias[-2:] = torch.tensor([-1.0, 1.0])
        parameters = list(detector.network_.parameters())
        expected = torch.autograd.grad(loss_of(detector), parameters)
        flatten_parameters(detector.network_)
        rows = detector._scaling()(torch.tensor(ROWS, dtype=torch.float32))
        detector._fill_gradients(rows, torch.Generator().manual_seed(0))
        for parameter, gradient in zip(parameters, expected, strict=True):
            scale = float(gradient.abs().max())
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5 * scale)

    def test_summed_errors_weigh_as_many_times_more_as_there_are_features(self):
        losses = [loss_of(untrained(**SMALL, beta=0.0, reconstruction_loss=kind)) for kind in ("mean", "sum")]
        mean, summed = (loss.item() for loss in losses)
        assert summed == pytest.approx(64 * mean, rel=1e-5)

    def test_what_is_drawn_changes_the_loss_but_not_the_score(self):
        detector = VAE(**SMALL).fit(ROWS)
        assert loss_of(detector, noise=0) != loss_of(detector, noise=1)
        np.testing.assert_array_equal(detector.decision_function(TEST), detector.decision_function(TEST))

    def test_dropout_takes_part_in_training(self):
        assert (VAE(**SMALL, dropout=0.5).fit(ROWS).decision_scores_ != VAE(**SMALL).fit(ROWS).decision_scores_).any()


class TestReconstruction:
    def test_score_is_its_squared_error(self):
        detector = VAE(**SMALL, preprocessing="none").fit(ROWS)
        error = np.square(detector.reconstruct(TEST) - TEST).sum(axis=1)
        np.testing.assert_allclose(detector.decision_function(TEST), error, rtol=1e-4)

    def test_is_in_the_units_of_the_rows(self):
        detector = VAE(**TUNED).set_params(epochs=100, batch_size=16).fit(255 * ROWS)
        missed = np.abs(detector.reconstruct(255 * ROWS) - 255 * ROWS).mean()
        assert missed < 0.7 * np.abs(255 * ROWS - (255 * ROWS).mean(axis=0)).mean()


@both_settings
@pytest.mark.parametrize(
    "rows",
    [np.zeros((40, 9)), np.full((33, 9), 0.7), ROWS[:3], ROWS[:2], ROWS[:33, 20:21], ROWS[:33]],
    ids=["black", "constant", "fewer than a batch", "two rows", "one feature", "remainder of one row"],
)
def test_small_and_constant_data_give_finite_scores(setting, rows):
    detector = VAE(**{**setting, "batch_size": 32}).set_params(epochs=2).fit(rows)
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.decision_function(rows[:1])).all()


def test_scores_stay_finite_over_200_epochs():
    assert np.isfinite(VAE(epochs=200).fit(ROWS[:64]).decision_function(TEST)).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("dropout", 1.0), ("beta", -1), ("capacity", float("nan")), ("hidden_widths", []), ("reconstruction_loss", "max")],
)
def test_bad_parameter_is_named(parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of VAE"):
        VAE(**{parameter: value}).fit(ROWS)
