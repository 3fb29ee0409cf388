import numpy as np
import pytest

from fanogan_mtl.evaluation.alarms import NormalScores, kept_promise
from fanogan_mtl.evaluation.conformal import conformal_threshold


def scored(n_alarms: int, n_normal: int, rate: float, n_held_out: int) -> NormalScores:
    """Of so many tested rows so many lie above the threshold."""
    held_out = np.arange(float(n_held_out))
    above = np.arange(n_normal) < n_alarms
    return NormalScores(held_out, conformal_threshold(held_out, rate) + np.where(above, 0.5, 0))


@pytest.mark.parametrize(
    ("n_alarms", "n_normal", "too_many"),
    [
        (4, 4, True),
        (84, 200, True),
        (74, 100, True),
        (2, 2, False),  # one in a hundred such tests by accident
        (18, 100, False),
        (150, 1000, False),  # not twice what is promised
        (0, 100, False),
    ],
)
def test_too_many_is_twice_what_is_promised_and_no_accident(n_alarms: int, n_normal: int, too_many: bool) -> None:
    assert scored(n_alarms, n_normal, 0.1, 999).too_many(0.1) is too_many


def test_what_is_promised_counts() -> None:
    assert scored(40, 100, 0.1, 99).too_many(0.1)
    assert not scored(40, 100, 0.4, 99).too_many(0.4)


def test_a_threshold_out_of_few_rows_may_be_far_off_by_accident() -> None:
    assert scored(300, 1000, 0.1, 199).too_many(0.1)
    assert not scored(300, 1000, 0.1, 19).too_many(0.1)


def normal_scores(n: int, m: int, shift: float = 0.0, seed: int = 0) -> NormalScores:
    random = np.random.default_rng(seed)
    return NormalScores(random.normal(size=n), random.normal(size=m) + shift)


def test_what_came_is_held_against_what_was_asked_for() -> None:
    heads = [normal_scores(99, 400, seed=seed) for seed in range(200)] + [normal_scores(8, 400)]
    kept = kept_promise(heads, 0.1)
    assert kept is not None
    assert kept.n_heads == 200
    assert kept.mean == pytest.approx(0.1, abs=0.01)
    assert len(kept.outside) <= 20
    rates = [float((head.tested > np.sort(head.held_out)[89]).mean()) for head in heads[:-1]]
    assert kept.mean == pytest.approx(np.mean(rates))


def test_a_head_whose_normal_rows_have_moved_is_outside() -> None:
    kept = kept_promise([normal_scores(99, 400), normal_scores(99, 400, shift=1.5)], 0.1)
    assert kept is not None
    assert kept.outside == (1,)
    assert kept_promise([normal_scores(8, 400)], 0.1) is None
