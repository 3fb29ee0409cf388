"""Tasks that ask the process which started them."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from fanogan_mtl.sweep.asking import ask_submitter
from fanogan_mtl.sweep.workers import Workers


def add_answer(number: int, channel: str) -> int:
    return number + int(ask_submitter(channel, f"square of {number}", number))


def die_between_question_and_end(number: int, channel: str, folder: Path) -> int:
    answer = int(ask_submitter(channel, f"square of {number}", number))
    if not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


def square(number: int) -> int:
    if number == 3:
        raise ValueError("three is unlucky")
    return number * number


@pytest.fixture(scope="module")
def workers():
    with Workers(2) as workers:
        yield workers


def test_each_task_gets_its_own_answer_and_a_failed_one_fails_it(workers: Workers) -> None:
    with workers.answering(square) as channel:
        add = partial(add_answer, channel=channel)
        outcomes = {outcome.item: outcome for outcome in workers.run(add, range(6))}
    assert {item: outcome.result for item, outcome in outcomes.items()} == {0: 0, 1: 2, 2: 6, 3: None, 4: 20, 5: 30}
    assert outcomes[3].failure is not None
    assert outcomes[3].failure.message == "RuntimeError: ValueError: three is unlucky"


def test_two_that_ask_under_one_key_at_one_time_get_their_own_answers(workers: Workers) -> None:
    with workers.answering(square) as squares, workers.answering(lambda number: -number) as negatives:
        found = {}
        for channel in (squares, negatives):
            found[channel] = [outcome.result for outcome in workers.run(partial(add_answer, channel=channel), [5])]
    assert found == {squares: [30], negatives: [0]}


def test_without_ahead_an_item_is_asked_for_when_what_came_before_is_dealt_with(workers: Workers) -> None:
    dealt_with: list[int] = []
    known = {}

    def items():
        for number in range(10, 16):
            known[number] = len(dealt_with)
            yield number

    for outcome in workers.run(square, items(), ahead=False):
        dealt_with.append(outcome.item)
    assert sorted(dealt_with) == list(range(10, 16))
    assert known == {10: 0, 11: 0, 12: 1, 13: 2, 14: 3, 15: 4}


def test_a_task_whose_worker_died_asks_again(workers: Workers, tmp_path: Path) -> None:
    asked = []

    def answer(number: int) -> int:
        asked.append(number)
        return square(number)

    with workers.answering(answer) as channel:
        (outcome,) = workers.run(partial(die_between_question_and_end, channel=channel, folder=tmp_path), [7])
    assert outcome.result == 49
    assert asked == [7, 7]
