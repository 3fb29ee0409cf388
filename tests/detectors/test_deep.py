import numpy as np
import pytest
import torch
from torch import nn

from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing, generator, shuffled_batches
from fanogan_mtl.seeds import derived_seed

ROWS = torch.from_numpy(np.random.default_rng(0).random((50, 6), dtype=np.float32))


class Moving(DeepDetector):
    """Each epoch adds the learning rate to the one weight that the row sum is multiplied by."""

    def __init__(
        self,
        epochs=3,
        batch_size=8,
        learning_rate=0.5,
        weight_decay=0.0,
        preprocessing="none",
        device="cpu",
        random_state=0,
        contamination=0.1,
    ):
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.preprocessing = preprocessing
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    def _build(self, n_features):
        network = nn.Linear(n_features, 1)
        network.preprocessing = Preprocessing(self.preprocessing)
        return network

    def _train(self, rows, budgets):
        self.trained_on_ = rows
        self.start_ = self.network_.weight.detach().clone()
        for budget in budgets:
            self.network_.weight.data = self.start_ + self.learning_rate * budget
            yield budget

    def _score(self, rows):
        return (rows @ self.network_.weight.T).squeeze(1)


class TestPreprocessing:
    def learned(self, kind, rows=ROWS):
        scaling = Preprocessing(kind)
        scaling.learn(rows)
        return scaling

    def test_standard_has_one_mean_and_one_deviation_over_all_values(self):
        scaling = self.learned("standard")
        np.testing.assert_allclose(scaling(ROWS), (ROWS - ROWS.mean()) / ROWS.std(correction=0), atol=1e-6)

    def test_minmax_spans_zero_to_one(self):
        scaled = self.learned("minmax", ROWS * 7 - 3)(ROWS * 7 - 3)
        assert (scaled.min(), scaled.max()) == (0, 1)

    def test_gcn_forgets_each_row_s_brightness_and_contrast(self):
        scaling = self.learned("gcn")
        np.testing.assert_allclose(scaling(ROWS * 3 + 2), scaling(ROWS), atol=1e-5)
        assert (scaling(ROWS).min(), scaling(ROWS).max()) == (0, 1)

    def test_none_leaves_rows_alone(self):
        assert torch.equal(self.learned("none")(ROWS), ROWS)

    @pytest.mark.parametrize("kind", ["standard", "minmax", "none"])
    def test_inverse_gives_the_rows_back(self, kind):
        scaling = self.learned(kind, ROWS * 7 - 3)
        np.testing.assert_allclose(scaling.inverse(scaling(ROWS * 5)), ROWS * 5, atol=1e-5)

    @pytest.mark.parametrize("kind", ["standard", "minmax", "gcn"])
    @pytest.mark.parametrize("value", [0.0, 0.3, 1e30])
    def test_constant_rows_stay_finite(self, kind, value):
        scaling = self.learned(kind, torch.full((7, 3), value))
        assert scaling(torch.full((7, 3), value)).abs().max() <= 1
        assert scaling(ROWS).abs().max() <= max(value, 10)

    def test_squares_of_large_values_do_not_overflow(self):
        scaled = self.learned("standard", ROWS * 1e30)(ROWS * 1e30)
        assert scaled.std(correction=0) == pytest.approx(1, abs=1e-4)

    def test_what_is_learned_travels_in_the_state(self):
        copy = Preprocessing("standard")
        copy.load_state_dict(self.learned("standard").state_dict())
        assert torch.equal(copy(ROWS), self.learned("standard")(ROWS))


class TestBatches:
    @pytest.mark.parametrize(
        ("n_rows", "sizes"), [(10, [4, 4, 2]), (9, [4, 5]), (4, [4]), (3, [3]), (1, [1]), (5, [5])]
    )
    def test_every_row_comes_once_and_no_batch_of_one_is_left_over(self, n_rows, sizes):
        batches = shuffled_batches(n_rows, 4, generator(0, "order"))
        assert [len(batch) for batch in batches] == sizes
        assert sorted(torch.cat(batches).tolist()) == list(range(n_rows))

    def test_order_changes_from_epoch_to_epoch(self):
        order = generator(0, "order")
        assert not torch.equal(*(torch.cat(shuffled_batches(50, 8, order)) for _ in range(2)))


def test_streams_differ_by_seed_and_by_purpose_and_repeat():
    seeds = {derived_seed(seed, purpose) for seed in (0, 1, 2) for purpose in ("order", "noise")}
    assert len(seeds) == 6
    assert torch.equal(*(torch.randn(3, generator=generator(4, "noise")) for _ in range(2)))


class TestBase:
    def test_network_sees_preprocessed_rows_and_learns_them_from_training_rows_only(self):
        detector = Moving(preprocessing="standard").fit(ROWS * 9)
        assert torch.equal(detector.trained_on_, detector.network_.preprocessing(ROWS * 9))
        before = {key: value.clone() for key, value in detector.network_.state_dict().items()}
        detector.decision_function(ROWS * -5)
        assert all(torch.equal(value, before[key]) for key, value in detector.network_.state_dict().items())

    def test_stages_come_ascending_and_each_is_a_whole_detector(self):
        detector = Moving()
        seen = {}
        for budget in detector.fit_staged(ROWS, [4, 1, 4]):
            seen[budget] = detector.decision_function(ROWS)
            assert detector.epochs_ == budget
            assert not detector.network_.training
            assert (seen[budget] == detector.decision_scores_).all()
            assert detector.labels_.sum() == 5
        assert list(seen) == [1, 4]
        for budget, scores in seen.items():
            assert (Moving(epochs=budget).fit(ROWS).decision_function(ROWS) == scores).all()

    def test_a_list_will_do_for_probabilities(self):
        detector = Moving().fit(ROWS)
        assert (detector.predict_proba(ROWS.tolist()) == detector.predict_proba(ROWS.numpy())).all()

    def test_diverged_training_is_an_error(self):
        with pytest.raises(ValueError, match="Moving diverged within 3 epochs: lower learning_rate"):
            Moving(learning_rate=1e38).fit(ROWS)

    def test_row_too_far_away_to_be_scored_is_named(self):
        rows = ROWS.numpy().copy()
        rows[7, 2] = 3e38
        with pytest.raises(ValueError, match=r"row 7 .*too large"):
            Moving().fit(ROWS).decision_function(rows)

    @pytest.mark.parametrize(
        ("value", "said"), [(np.nan, "NaN"), (np.inf, "infinity"), (1e300, "a value too large for float32")]
    )
    def test_bad_value_is_named_by_its_place(self, value, said):
        rows = ROWS.double().numpy().copy()
        rows[3, 1] = value
        with pytest.raises(ValueError, match=f"X has .*{said}.* in row 3, column 1"):
            Moving().fit(rows)

    @pytest.mark.parametrize("budgets", [[0], [-1, 2], [2.5], []])
    def test_budget_that_is_no_number_of_epochs_is_refused(self, budgets):
        with pytest.raises(ValueError, match="budgets"):
            list(Moving().fit_staged(ROWS, budgets))
