"""A study as one process drives it, without training: what it asks, what it knows, what a crash leaves of it."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.errors import UserError
from fanogan_mtl.sweep.cell import Cell, Comparison
from fanogan_mtl.sweep.trial import ReachedBudget, Trial, TrialResult
from fanogan_mtl.sweep.workers import Failure, Outcome
from fanogan_mtl.tuning.space import Choices, Range
from fanogan_mtl.tuning.study import (
    best_budget,
    best_trial,
    default_trial,
    enqueue_default,
    failed,
    finished,
    opened_study,
    value_of,
    without_password,
)
from fanogan_mtl.tuning.trials import FAILURES, Trials, averaged

SPACE = {"latent_dim": Range(1, 1000, log=True), "batch_size": Choices((16, 32, 64))}
SETTING = {"latent_dim": 100, "batch_size": 32, "learning_rate": 0.1}
OBJECTIVE = {"detectors": "vae", "epochs": [1, 2]}
BUDGETS = (1, 2)


def cells_of(parameters: Mapping[str, Any]) -> tuple[Cell, ...]:
    comparison = Comparison(DatasetSpec("toy", ("toy",)), "0", "vae", json.dumps(parameters), BUDGETS)
    return tuple(Cell(comparison, name, 0) for name in "ab")


@contextmanager
def opened(folder: Path, **other: Any) -> Iterator[optuna.Study]:
    given = {"objective": OBJECTIVE, "storage": "auto", **other}
    with opened_study("toy", folder=folder, **given) as study:
        enqueue_default(study, SETTING, SPACE)
        yield study


def trials_of(study: optuna.Study, total: int) -> Trials:
    return Trials(study, SETTING, SPACE, cells_of, total, seed=0)


def result_of(trial: Trial, last: float, pruned: bool = False) -> Outcome[Trial, TrialResult]:
    reports = [ReachedBudget(trial.number, budget, (last / 2, last)) for budget in BUDGETS[: 1 if pruned else 2]]
    return Outcome(trial, TrialResult(tuple(reports), pruned, 0.5), None, ())


def failure_of(trial: Trial) -> Outcome[Trial, TrialResult]:
    return Outcome(trial, None, Failure("ValueError: diverged", "", ValueError()), ())


def run(study: optuna.Study, total: int) -> None:
    trials = trials_of(study, total)
    for trial in trials.begin():
        trials.end(result_of(trial, 0.5 + trial.number / 100))


def test_the_first_trial_is_the_default_and_the_last_knows_all_before_it(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run(study, 6)
        default = default_trial(study)
        assert default is not None
        assert (default.number, default.params) == (0, {"latent_dim": 100, "batch_size": 32})
        assert len(finished(study)) == 6
        best = best_trial(study)
        assert best is not None
        assert best.number == 5
        assert value_of(best) == best.value == pytest.approx(0.55 * 0.75)
        assert best_budget(best) == 1  # both are as good: the shorter
        assert best.user_attrs["by_class"] == {str(budget): {"a": 0.275, "b": 0.55} for budget in BUDGETS}


def test_a_default_outside_of_the_space_is_tried_as_it_is(tmp_path: Path) -> None:
    space = {"latent_dim": Range(1, 8), "batch_size": Choices((16, 32))}
    with opened_study("toy", "auto", tmp_path, OBJECTIVE) as study:
        enqueue_default(study, SETTING, space)
        trials = Trials(study, SETTING, space, cells_of, 12, seed=0)
        for trial in trials.begin():
            parameters = json.loads(trial.cells[0].comparison.parameters)
            if trial.number == 0:
                assert parameters == {"latent_dim": 100, "batch_size": 32}
            else:
                assert parameters["latent_dim"] <= 8
            trials.end(result_of(trial, 0.5))
        default = default_trial(study)
        assert default is not None
        assert default.params == {"batch_size": 32}


def tried(folder: Path, cuts: Sequence[int]) -> list[dict[str, Any]]:
    """What 14 trials try, one at a time, where the process dies in the next one after so many have ended."""
    for ended in (*cuts, 14):
        with opened(folder) as study:
            trials = trials_of(study, 14)
            for trial in trials.begin():
                if len(finished(study)) == ended:
                    break
                parameters = json.loads(trial.cells[0].comparison.parameters)
                trials.end(result_of(trial, parameters["latent_dim"] / 1000))
    with opened(folder) as study:
        return [trial.user_attrs["parameters"] for trial in sorted(finished(study), key=lambda trial: trial.number)]


@pytest.mark.parametrize("cuts", [[0], [3], [1, 1, 5, 12]])
def test_a_search_that_was_cut_short_tries_what_it_would_have_tried(tmp_path: Path, cuts: list[int]) -> None:
    assert tried(tmp_path / "cut", cuts) == tried(tmp_path / "quiet", [])


def test_two_trials_at_once_and_a_study_that_goes_on_never_try_the_same(tmp_path: Path) -> None:
    for total in (8, 16, 24):
        with opened(tmp_path) as study:
            trials = trials_of(study, total)
            begun = trials.begin()
            for first in begun:
                second = next(begun)
                assert len(study.get_trials(states=(TrialState.RUNNING,))) == 2
                trials.end(result_of(second, 0.5))
                trials.end(result_of(first, 0.6))
    with opened(tmp_path) as study:
        tried = [trial.params["latent_dim"] for trial in finished(study)]
    assert len(tried) == 24
    assert len(set(tried)) >= 18  # some whole numbers come twice


def test_the_sampler_learns_from_what_ended(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        trials = trials_of(study, 40)
        for trial in trials.begin():
            latent = json.loads(trial.cells[0].comparison.parameters)["latent_dim"]
            trials.end(result_of(trial, 1 / (1 + abs(latent - 7))))
        late = sorted(abs(trial.params["latent_dim"] - 7) for trial in finished(study)[24:])
    assert late[len(late) // 2] <= 10  # by chance, one in three is as near


def test_dead_trials_are_tried_again_once_and_none_is_left_running(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        trials = trials_of(study, 6)
        begun = trials.begin()
        trials.end(result_of(next(begun), 0.5))
        lost = [next(begun), next(begun)]
        wanted = [json.loads(trial.cells[0].comparison.parameters) for trial in lost]
    with opened(tmp_path) as study:  # this process dies, too, before it does anything
        assert not study.get_trials(states=(TrialState.RUNNING,))
    with opened(tmp_path) as study:
        trials = trials_of(study, 6)
        tried = []
        for trial in trials.begin():
            tried.append(json.loads(trial.cells[0].comparison.parameters))
            trials.end(result_of(trial, 0.5))
        assert tried[:2] == wanted
        assert len(finished(study)) == 6
        assert failed(study) == []
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.FAIL}


def test_the_default_survives_the_death_of_its_process(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        next(trials_of(study, 3).begin())
    with opened(tmp_path) as study:
        run(study, 3)
        default = default_trial(study)
        assert default is not None
        assert default.params == {"latent_dim": 100, "batch_size": 32}
        assert sum(trial.params == default.params for trial in finished(study)) == 1


def test_death_between_a_replacement_and_the_end_of_the_dead_replaces_once(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        dead = next(trials_of(study, 3).begin())
        study.enqueue_trial({"latent_dim": 100}, user_attrs={"instead_of": dead.number, "is_default": True})
    with opened(tmp_path) as study:
        assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_a_torn_last_line_and_a_dead_lock_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as study:
        run(study, 4)
    journal = tmp_path / "toy.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:-9])
    (tmp_path / "toy.journal.lock").symlink_to(journal)
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: pytest.fail("Optuna waits for a dead lock, 30 seconds"))
        with opened(tmp_path) as study:
            run(study, 6)
            assert len(finished(study)) == 6
    with opened(tmp_path) as study:
        assert len(finished(study)) == 6


def test_failed_trials_do_not_count_and_end_a_study_that_only_fails(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        trials = trials_of(study, 4)
        for trial in trials.begin():
            trials.end(failure_of(trial) if trial.number in (1, 2) else result_of(trial, 0.5))
        assert len(finished(study)) == 4
        assert [trial.number for trial in failed(study)] == [1, 2]
        trials = trials_of(study, 10)
        for number, trial in enumerate(trials.begin()):
            trials.end(failure_of(trial))
            assert number < FAILURES
        assert trials.in_vain == FAILURES
        assert trials.last_failure == "ValueError: diverged"
        assert len(finished(study)) == 4


def test_after_the_timeout_no_trial_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("fanogan_mtl.tuning.trials.time", SimpleNamespace(monotonic=lambda: clock[0]))
    with opened(tmp_path) as study:
        trials = Trials(study, SETTING, SPACE, cells_of, 5, seed=0, timeout=5)
        begun = trials.begin()
        first = next(begun)
        clock[0] += 6
        trials.end(result_of(first, 0.5))
        assert list(begun) == []
        assert len(finished(study)) == 1


def test_below_the_median_is_hopeless_but_for_the_default_and_the_answer_stands(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run(study, 6)
        trials = trials_of(study, 8)
        begun = trials.begin()
        bad, good = next(begun), next(begun)
        assert trials.is_hopeless((bad.number, 1, [0.0, 0.1]))
        assert trials.is_hopeless((bad.number, 1, [0.9, 0.9]))  # asked again by a task that runs twice
        assert not trials.is_hopeless((good.number, 1, [0.9, 0.9]))
        told = trials.end(result_of(bad, 0.1, pruned=True))
        assert told.state == TrialState.PRUNED
        trials.end(result_of(good, 0.9))
        assert len(finished(study)) == 8
    with opened(tmp_path / "other") as study:
        run(study, 1)
        study.enqueue_trial({"latent_dim": 3}, user_attrs={"is_default": True})
        for trial in study.get_trials()[:1] * 8:
            study.add_trial(trial)
        trials = trials_of(study, 20)
        assert not trials.is_hopeless((next(trials.begin()).number, 1, [0.0, 0.1]))


def test_another_objective_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with (
        pytest.raises(UserError, match=r"there with another objective \(epochs differ\)"),
        opened(tmp_path, objective=OBJECTIVE | {"epochs": [5]}),
    ):
        pass
    with opened(tmp_path) as study:
        assert study.study_name == "toy"


def hold(folder: Path, ready: Any) -> None:
    with opened(folder):
        ready.set()
        time.sleep(60)


def test_one_process_at_a_time_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(600)
    with pytest.raises(UserError, match="another process drives study 'toy'"), opened(tmp_path):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with opened(tmp_path) as study:
        run(study, 2)


@pytest.mark.parametrize(
    "storage", ["nonsense", "sqlite:////nowhere/at/all.db", "postgresql+psycopg://me:secret@127.0.0.1:9/x"]
)
def test_a_storage_that_cannot_be_used_is_one_line_without_the_password(tmp_path: Path, storage: str) -> None:
    with pytest.raises(UserError, match=r"storage .* can't be used") as raised, opened(tmp_path, storage=storage):
        pass
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_passwords_are_hidden() -> None:
    assert without_password("postgresql+psycopg2://me:s:e/c@host:5/x") == "postgresql+psycopg2://me:***@host:5/x"
    assert without_password("postgresql://me@host/x") == "postgresql://me@host/x"
    assert without_password("auto") == "auto"


def test_a_class_of_each_data_set_is_one_of_its_own() -> None:
    one, other = cells_of({})[0], Cell(Comparison(DatasetSpec("b", ("b",)), "0", "vae", "{}", BUDGETS), "a", 0)
    assert averaged([one, other], [0.5, 1.0]).by_class == {"toy/a": 0.5, "b/a": 1.0}
    assert averaged(cells_of({}), [0.5, 1.0]).by_class == {"a": 0.5, "b": 1.0}
