"""The benchmark from the outside: `mlflow run`, what it leaves in MLflow, and what happens when it is cut short."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from dask_cluster import wait_for
from project_runs import (
    cell_numbers,
    comparison_numbers,
    environment,
    kill_group,
    mlflow_run,
    recorded,
    run_inside,
    script,
    script_here,
    start_script,
    uri,
    wait_for_line,
)

from fanogan_mtl.data.prepared import load_raw
from fanogan_mtl.data.specs import parse_source
from fanogan_mtl.sweep.result import CellResult

SMALL = {"dataset": "optdigits", "detectors": "fanogan,pca", "classes": "0,8", "epochs": "2,4", "seeds": "0,1"}


def arguments(parameters: dict[str, str]) -> list[str]:
    return [word for name, value in parameters.items() for word in (f"--{name}", value)]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A small benchmark through `mlflow run`, undisturbed."""
    folder = tmp_path_factory.mktemp("quiet")
    return folder, mlflow_run(folder, "benchmark", SMALL | {"log_models": "all", "workers": "2"})


Quiet = tuple[Path, subprocess.CompletedProcess[str]]


def test_mlflow_run_becomes_the_sweep_of_comparisons_of_cells(quiet: Quiet) -> None:
    folder, process = quiet
    assert process.returncode == 0, process.stderr
    runs = recorded(folder)
    (sweep,) = runs.sweeps
    assert sweep.data.tags["mlflow.project.entryPoint"] == "benchmark"
    assert sweep.data.params["epochs"] == "2,4"
    assert sorted(run.info.run_name for run in runs.comparisons) == ["optdigits · fanogan", "optdigits · pca"]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.comparisons} == {sweep.info.run_id}
    assert len(runs.cells) == 2 * 2 * 2
    parents = {run.info.run_id: run for run in runs.comparisons}
    for cell in runs.cells:
        parent = parents[cell.data.tags["mlflow.parentRunId"]]
        assert parent.data.params["detector"] == cell.data.params["detector"]
        assert cell.data.params.keys() >= {"dataset", "normal_class", "detector", "extractor", "protocol", "seed"}
    assert {run.info.status for level in vars(runs).values() for run in level} == {"FINISHED"}


def test_metrics_have_the_budget_as_step_and_the_mean_is_the_cells(quiet: Quiet) -> None:
    folder, _ = quiet
    cells = {
        (run.data.params["detector"], run.data.params["normal_class"], run.data.params["seed"]): rows
        for run in recorded(folder).cells
        for rows in [cell_numbers(folder)[run.data.tags["cell_key"]]]
    }
    client = mlflow.MlflowClient(uri(folder))
    for run in recorded(folder).comparisons:
        detector = run.data.params["detector"]
        logged = {row.step: row.value for row in client.get_metric_history(run.info.run_id, "auroc")}
        for position, budget in enumerate((2, 4)):
            of_cells = {key[1:]: rows["auroc"][position] for key, rows in cells.items() if key[0] == detector}
            assert {step for step, _ in of_cells.values()} == {budget}
            assert logged[budget] == pytest.approx(np.mean([value for _, value in of_cells.values()]), abs=1e-12)
            by_class = {name: np.mean([of_cells[name, seed][1] for seed in "01"]) for name in "08"}
            history = client.get_metric_history(run.info.run_id, "auroc_class_8")
            assert {row.step: row.value for row in history}[budget] == pytest.approx(by_class["8"], abs=1e-12)
        by_position = client.get_metric_history(run.info.run_id, "auroc_by_class")
        assert {row.step: row.value for row in by_position} == pytest.approx({0: by_class["0"], 8: by_class["8"]})
        by_seed = [np.mean([of_cells[name, seed][1] for name in "08"]) for seed in "01"]
        assert run.data.metrics["auroc_std_over_seeds"] == pytest.approx(np.std(by_seed, ddof=1))


def test_data_versions_and_commit_are_recorded(quiet: Quiet) -> None:
    folder, _ = quiet
    for run in [*recorded(folder).sweeps, *recorded(folder).comparisons]:
        (used,) = run.inputs.dataset_inputs
        assert used.dataset.name == "optdigits"
        assert len(used.dataset.digest) == 36
        assert run.data.tags["version.torch"]
        assert run.data.tags["mlflow.source.git.commit"]


def test_what_is_printed_last_is_the_table_and_where_to_look(quiet: Quiet) -> None:
    folder, process = quiet
    lines = process.stdout.splitlines()
    fanogan = next(run for run in recorded(folder).comparisons if run.data.params["detector"] == "fanogan")
    (row,) = [line for line in lines if line.startswith("fanogan ")]
    assert f"{100 * fanogan.data.metrics['auroc']:.1f}" in row
    assert f"mlflow ui --backend-store-uri {uri(folder)}" in process.stdout
    assert recorded(folder).sweeps[0].info.run_id in lines[-1]


def test_figures_are_self_contained_and_small(quiet: Quiet) -> None:
    folder, _ = quiet
    client = mlflow.MlflowClient(uri(folder))
    for run in recorded(folder).comparisons:
        page = Path(client.download_artifacts(run.info.run_id, "figures.html", str(folder)))
        text = page.read_text()
        assert page.stat().st_size < 3_000_000
        assert "src=" not in text.replace('src="data:', "")
    overview = Path(client.download_artifacts(recorded(folder).sweeps[0].info.run_id, "overview.html", str(folder)))
    assert overview.stat().st_size < 3_000_000
    for run in recorded(folder).cells:
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert names >= {"cell.npz", "roc.json", "scores.json"}


SCORE = """
import sys, mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
images = pd.DataFrame({"image": list(np.load("images.npy"))})
for address in sys.argv[2:]:
    mlflow.pyfunc.load_model(address).predict(images).to_pickle(f"{address.split('/')[-1]}.pkl")
"""


def test_each_model_gives_in_another_process_the_scores_that_were_recorded(quiet: Quiet) -> None:
    folder, _ = quiet
    client = mlflow.MlflowClient(uri(folder))
    raw = load_raw(parse_source("optdigits"), folder)
    np.save(folder / "images.npy", np.concatenate([raw.train.images, raw.test.images]))
    addresses = [comparison.data.tags["model_uri"] for comparison in recorded(folder).comparisons]
    command = [sys.executable, "-c", SCORE, uri(folder), *addresses]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True)
    cells = {(run.data.tags["comparison_key"], run.data.params["normal_class"], run.data.params["seed"]): run
             for run in recorded(folder).cells}  # fmt: skip
    for comparison in recorded(folder).comparisons:
        model_uri = comparison.data.tags["model_uri"]
        mlflow.set_tracking_uri(uri(folder))
        own_folder = str(folder / "models" / comparison.info.run_id)
        model = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=own_folder))
        assert not [path for path in model.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]
        heads = json.loads(next(model.rglob("model.json")).read_text())["heads"]
        assert [head["name"] for head in heads] == ["optdigits/0", "optdigits/8"]
        answers = pd.read_pickle(folder / f"{model_uri.split('/')[-1]}.pkl")
        for head in heads:
            run = cells[comparison.data.tags["comparison_key"], head["name"][-1], str(head["seed"])]
            result = CellResult.load(Path(client.download_artifacts(run.info.run_id, "cell.npz", str(folder))))
            scores = answers.loc[answers["head"] == head["name"], "score"].to_numpy()[result.rows]
            np.testing.assert_array_equal(scores, result.scores[sorted(result.metrics).index(head["epochs"])])


def test_the_same_command_again_trains_nothing_and_prints_the_same_table(quiet: Quiet) -> None:
    folder, first = quiet
    before, numbers = {run.info.run_id for run in recorded(folder).cells}, comparison_numbers(folder)
    again = run_inside(folder, "benchmark", *arguments(SMALL | {"log_models": "all"}))
    assert again.returncode == 0, again.stderr
    assert "8 cells, 8 of them done before" in again.stdout
    assert {run.info.run_id for run in recorded(folder).cells} == before
    assert comparison_numbers(folder) == numbers
    assert len(recorded(folder).sweeps) == 2
    for run in recorded(folder).comparisons:
        assert set(run.data.tags["sweeps"].split(",")) == {sweep.info.run_id for sweep in recorded(folder).sweeps}
    table = [line for line in first.stdout.splitlines() if line.startswith(("fanogan ", "pca "))]
    assert [line for line in again.stdout.splitlines() if line.startswith(("fanogan ", "pca "))] == table


def test_more_classes_later_join_the_comparison(tmp_path: Path) -> None:
    small = {"dataset": "optdigits", "detectors": "pca", "epochs": "1", "log_models": "none"}
    for classes in ("0", "1"):
        assert run_inside(tmp_path, "benchmark", *arguments(small | {"classes": classes})).returncode == 0
    runs = recorded(tmp_path)
    (comparison,) = runs.comparisons
    assert len(runs.cells) == 2
    assert len(runs.sweeps) == 2
    cells = [run.data.metrics["auroc"] for run in runs.cells]
    assert comparison.data.metrics["auroc"] == pytest.approx(np.mean(cells))
    assert comparison.data.metrics.keys() >= {"auroc_class_0", "auroc_class_1"}


def test_a_failing_cell_is_recorded_and_stops_no_other(tmp_path: Path) -> None:
    options = {"dataset": "optdigits", "classes": "0", "epochs": "1", "detectors": "pca,pyod:MCD"}
    broken = {"detector_params": '{"pyod:MCD": {"support_fraction": 0.000001}}'}
    process = run_inside(tmp_path, "benchmark", *arguments(options | broken))
    assert process.returncode == 1
    assert "1 cells failed" in process.stdout
    assert "Traceback" not in process.stdout + process.stderr
    cells = {run.data.params["detector"]: run for run in recorded(tmp_path).cells}
    assert cells["pca"].info.status == "FINISHED"
    assert cells["pyod:MCD"].info.status == "FAILED"
    assert "Traceback" in cells["pyod:MCD"].data.tags["mlflow.note.content"]
    again = run_inside(tmp_path, "benchmark", *arguments(options | broken))
    assert again.returncode == 1
    assert len(recorded(tmp_path).cells) == 2
    retried = run_inside(tmp_path, "benchmark", *arguments(options | broken), "--retry", "true")
    assert retried.returncode == 1
    ids = {run.info.run_id for run in recorded(tmp_path).cells}
    assert len(ids) == 2
    assert cells["pyod:MCD"].info.run_id not in ids


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults)]
)
def test_control_c_and_sigterm_say_how_to_go_on(how: signal.Signals, status: int, tmp_path: Path) -> None:
    options = {"dataset": "optdigits", "detectors": "fanogan", "epochs": "20", "seeds": "0,1,2,3,4,5,6,7,8,9"}
    process = start_script(tmp_path, "benchmark", *arguments(options))
    wait_for_line(process, "of them done before")
    wait_for(lambda: any(cell.info.status == "FINISHED" for cell in recorded(tmp_path).cells))
    output = kill_group(process, how)
    assert process.returncode == status, output
    assert "start the same command again to go on" in output
    assert "Traceback" not in output
    assert {run.info.status for run in recorded(tmp_path).sweeps} == {"KILLED"}
    assert "RUNNING" not in {run.info.status for run in recorded(tmp_path).comparisons}


def test_dry_run_tells_the_plan_and_writes_no_run(tmp_path: Path) -> None:
    process = run_inside(tmp_path, "benchmark", *arguments(SMALL), "--dry_run", "true")
    assert process.returncode == 0, process.stderr
    assert "optdigits · fanogan (default): 4 cells, 0 done" in process.stdout
    assert "8 cells: 0 done, 0 failed, 8 to train, about" in process.stdout
    assert recorded(tmp_path).sweeps == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--dataset", "mnits"], "unknown data set 'mnits'"),
        (["--detectors", "fanogen"], "unknown detector 'fanogen'"),
        (["--colour", "red"], "colour"),
        (["--epochs", "0"], "epochs '0'"),
        (["--classes", "11"], "no training images of class '11'"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    wrong: list[str],
    message: str,
) -> None:
    process = script_here(tmp_path, monkeypatch, capfd, "benchmark", *wrong)
    assert process.returncode == 2
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert not (tmp_path / "mlflow.db").exists()


def test_a_disk_that_is_full_while_a_page_is_written_is_one_line(tmp_path: Path) -> None:
    few = arguments({"dataset": "optdigits", "detectors": "pca", "classes": "0", "limit": "60"})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "figures.html")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fanogan_mtl.recording.sweep.write_comparison_page", fail)
        process = run_inside(tmp_path, "benchmark", *few)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert process.stderr.splitlines()[-1] == (
        "Error: the disk is full (No space left on device: figures.html); free space and start the same command again "
        "to go on"
    )
    again = run_inside(tmp_path, "benchmark", *few)
    assert again.returncode == 0, again.stderr
    assert "1 cells, 1 of them done before" in again.stdout


@pytest.mark.faults
def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    process = script(tmp_path, "benchmark", "--dataset", "optdigits", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("Error: the tracking server http://127.0.0.1:9 can't be used")
    assert "Traceback" not in process.stderr
