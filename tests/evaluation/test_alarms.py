import pytest

from fanogan_mtl.evaluation.alarms import FalseAlarms


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
    assert FalseAlarms(n_alarms, n_normal, 0.1, 999).too_many is too_many


def test_what_is_promised_counts() -> None:
    assert FalseAlarms(40, 100, 0.1, 99).too_many
    assert not FalseAlarms(40, 100, 0.4, 99).too_many


def test_a_threshold_out_of_few_rows_may_be_far_off_by_accident() -> None:
    assert FalseAlarms(300, 1000, 0.1, 199).too_many
    assert not FalseAlarms(300, 1000, 0.1, 19).too_many
