"""Pretraining from the outside: what it leaves in MLflow, and what happens when it is killed."""

import json
import signal
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from project_runs import environment, furnish, kill_group, run_inside, script, script_here, start_script, uri
from safetensors.numpy import load_file

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.extractors.persistence import load_extractor

OPTIONS = ("--dataset", "optdigits,handwritten", "--extractors", "lenet5", "--limit", "150", "--extractor-epochs", "6")


def data_dir(folder: Path) -> Path:
    return folder / "cache" / "fanogan-mtl"


def weights(folder: Path) -> dict[str, np.ndarray]:
    (file,) = (data_dir(folder) / "extractors").glob("*/weights.safetensors")
    return load_file(file)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quiet")
    process = script(folder, "pretrain", *OPTIONS)
    assert process.returncode == 0, process.stderr
    assert "test handwritten" in process.stdout
    return folder


def test_the_logged_model_gives_the_extractors_features_in_another_process(quiet: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(uri(quiet))
    (run,) = client.search_runs(["0"], "tags.level = 'extractor'")
    (spec,) = parse_datasets("optdigits")
    images = np.array(load_dataset(spec, data_dir(quiet)).test.pixels[:70])
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, mlflow, numpy as np; model = mlflow.pyfunc.load_model(sys.argv[1]);"
        "assert str(model.metadata.signature.inputs.inputs[0].type) == 'uint8';"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2])))"
    )
    import subprocess

    words = ["python", "-c", code, f"runs:/{run.info.run_id}/lenet5"]
    words += [str(tmp_path / name) for name in ("images.npy", "features.npy")]
    subprocess.run(words, env=environment(quiet), cwd=quiet, check=True, timeout=800, capture_output=True)
    extractor = load_extractor(data_dir(quiet) / "extractors" / run.data.tags["extractor_key"])
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), extractor.transform(images))


def test_killed_in_the_middle_it_goes_on_from_the_last_epoch_to_the_same_weights(quiet: Path, tmp_path: Path) -> None:
    process = start_script(tmp_path, "pretrain", *OPTIONS)
    until = time.monotonic() + 600
    state: dict[str, list[object]] = {"history": []}
    while len(state["history"]) < 2 and time.monotonic() < until:
        time.sleep(0.02)
        for file in (data_dir(tmp_path) / "checkpoints").glob("*/history.json"):
            state = json.loads(file.read_text())
    kill_group(process, signal.SIGKILL)
    assert 2 <= len(state["history"]) < 6
    (history,) = (data_dir(tmp_path) / "checkpoints").glob("*/history.json")
    history.unlink()
    again = run_inside(tmp_path, "pretrain", *OPTIONS)
    assert again.returncode == 0, again.stderr
    for name, value in weights(quiet).items():
        np.testing.assert_allclose(weights(tmp_path)[name], value, rtol=0, atol=1e-6)
    assert not list((data_dir(tmp_path) / "checkpoints").iterdir())


def test_the_same_command_trains_nothing_again(quiet: Path) -> None:
    process = run_inside(quiet, "pretrain", *OPTIONS)
    assert process.returncode == 0, process.stderr
    assert "1 extractor, 1 of them trained before" in process.stdout
    assert len(mlflow.MlflowClient(uri(quiet)).search_runs(["0"], "tags.level = 'extractor'")) == 1


def test_a_recording_that_was_cut_short_is_made_again(quiet: Path) -> None:
    client = mlflow.MlflowClient(uri(quiet))
    (run,) = client.search_runs(["0"], "tags.level = 'extractor'")
    client.update_run(run.info.run_id, status="RUNNING")
    process = run_inside(quiet, "pretrain", *OPTIONS)
    assert process.returncode == 0, process.stderr
    assert "1 extractor, 1 of them trained before" in process.stdout
    (again,) = client.search_runs(["0"], "tags.level = 'extractor'")
    assert again.info.status == "FINISHED"
    assert again.info.run_id != run.info.run_id
    assert again.data.metrics == run.data.metrics


def test_what_is_held_out_is_not_learned(tmp_path: Path) -> None:
    options = [*OPTIONS[:-1], "1", "--hold-out-class", "3", "--hold-out-domain", "handwritten"]
    process = run_inside(tmp_path, "pretrain", *options)
    assert process.returncode == 0, process.stderr
    (run,) = mlflow.MlflowClient(uri(tmp_path)).search_runs(["0"], "tags.level = 'extractor'")
    assert run.data.params["dataset"] == "optdigits"
    folder = data_dir(tmp_path) / "extractors" / run.data.tags["extractor_key"]
    assert load_extractor(folder).classes_.tolist() == [name for name in "0123456789" if name != "3"]
    (spec,) = parse_datasets("optdigits")
    dataset = load_dataset(spec, data_dir(tmp_path))
    threes = dataset.train.hashes[dataset.train.labels == 3]
    assert not np.isin(threes, np.load(folder / "learned_from.npy")).any()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--hold-out-class", "x"), "hold_out_class 'x': one of 0, 1"),
        (("--hold-out-domain", "usps"), "hold_out_domain 'usps': one of optdigits, please"),
        (("--hold-out-domain", "optdigits"), "is the only domain"),
        (("--extractors", "models:/none/1"), "can't be fetched"),
        (("--limit", "0"), "limit '0'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    complaint: str,
) -> None:
    given = ["--dataset", "optdigits", "--extractors", "lenet5", *options]
    furnish(tmp_path)
    process = script_here(tmp_path, monkeypatch, capfd, "pretrain", *given)
    assert process.returncode == 2
    assert complaint in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert not (data_dir(tmp_path) / "extractors").exists()
