import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from fanogan_mtl.detectors.deep_svdd import TUNED, DeepSVDD

DIGITS = load_digits()
ROWS = DIGITS.data[:1200][DIGITS.target[:1200] == 5] / 16
TEST, ANOMALY = DIGITS.data[1200:] / 16, DIGITS.target[1200:] != 5

both_settings = pytest.mark.parametrize("setting", [{}, TUNED], ids=["study", "tuned"])


def untrained(rows=ROWS, **params):
    detector = DeepSVDD(**params)
    detector._train = lambda rows, budgets: (detector.network_.place_center(rows), iter(budgets))[1]
    return detector.fit(rows)


def loss_of(detector):
    rows = detector._scaling()(torch.tensor(ROWS, dtype=torch.float32))
    with torch.no_grad():
        return float(detector._loss(rows, torch.Generator().manual_seed(0)))


@both_settings
class TestLearning:
    def test_weights_move_and_loss_falls(self, setting):
        setting = {**setting, "batch_size": 16, "learning_rate": 1e-3}
        trained, before = DeepSVDD(**setting).set_params(epochs=40).fit(ROWS), untrained(**setting)
        for name, value in trained.network_.named_parameters():
            assert not torch.equal(value, before.network_.state_dict()[name]), name
        assert loss_of(trained) < 0.99 * loss_of(before)  # the error that no centre removes stays

    def test_scores_of_other_rows_differ(self, setting):
        scores = DeepSVDD(**setting).set_params(epochs=3).fit(ROWS).decision_function(TEST)
        assert len(np.unique(scores)) >= 0.9 * len(scores)


def test_trained_beats_untrained_in_the_tuned_setting():
    trained, before = DeepSVDD(**TUNED).set_params(epochs=40, batch_size=16).fit(ROWS), untrained(**TUNED)
    aurocs = [roc_auc_score(ANOMALY, each.decision_function(TEST)) for each in (trained, before)]
    assert aurocs[0] > aurocs[1] + 0.02


class TestCenter:
    @both_settings
    def test_has_no_coordinate_near_zero_and_stays(self, setting):
        center = untrained(**setting).network_.center
        assert center.abs().min() >= 0.1 - 1e-7
        assert torch.equal(DeepSVDD(**setting).set_params(epochs=3).fit(ROWS).network_.center, center)

    def test_is_off_zero_where_the_outputs_are_zero(self):
        center = untrained(np.zeros((40, 9)), autoencoder=False).network_.center
        assert (center == torch.tensor(0.1)).all()

    def test_is_the_mean_output_elsewhere(self):
        detector = untrained(autoencoder=True)
        with torch.no_grad():
            mean = detector.network_(detector._scaling()(torch.tensor(ROWS, dtype=torch.float32))).mean(dim=0)
        far = mean.abs() > 0.11
        assert far.any()
        torch.testing.assert_close(detector.network_.center[far], mean[far])


class TestLayout:
    def test_default_is_pyod_s_without_biases(self):
        network = DeepSVDD(device="cpu")._build(784)
        assert [tuple(value.shape) for value in network.parameters()] == [(64, 784), (32, 64), (64, 32), (784, 64)]

    def test_distance_is_the_code_s_without_an_autoencoder(self):
        assert DeepSVDD(autoencoder=False)._build(9).center.shape == (32,)
        assert DeepSVDD(autoencoder=True)._build(9).center.shape == (9,)

    def test_batch_norm_has_no_weights(self):
        assert len(list(DeepSVDD(batch_norm=True)._build(9).parameters())) == 4

    def test_dropout_takes_part_in_training(self):
        one, other = (DeepSVDD(epochs=2, dropout=rate).fit(ROWS).decision_scores_ for rate in (0.0, 0.5))
        assert (one != other).any()


@both_settings
@pytest.mark.parametrize(
    "rows",
    [np.zeros((40, 9)), np.full((33, 9), 0.7), ROWS[:3], ROWS[:2], ROWS[:33, 20:21], ROWS[:33]],
    ids=["black", "constant", "fewer than a batch", "two rows", "one feature", "remainder of one row"],
)
def test_small_and_constant_data_give_finite_scores(setting, rows):
    detector = DeepSVDD(**{**setting, "batch_size": 32}).set_params(epochs=2).fit(rows)
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.decision_function(rows[:1])).all()


@both_settings
def test_scores_stay_finite_over_200_epochs(setting):
    assert np.isfinite(DeepSVDD(**setting).set_params(epochs=200).fit(ROWS[:64]).decision_function(TEST)).all()


def test_batches_of_one_row_are_refused_with_batch_norm():
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        DeepSVDD(batch_norm=True, batch_size=1).fit(ROWS)


@pytest.mark.parametrize(
    ("parameter", "value"), [("dropout", 1.0), ("hidden_widths", [0]), ("autoencoder", "yes"), ("latent_dim", 0)]
)
def test_bad_parameter_is_named(parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of DeepSVDD"):
        DeepSVDD(**{parameter: value}).fit(ROWS)
