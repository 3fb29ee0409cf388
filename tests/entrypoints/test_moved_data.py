"""Data that have moved, and a winner whose name MLflow doesn't take for a model."""

import json
from pathlib import Path

import mlflow
import numpy as np
from project_runs import recorded, run_inside, uri


def place_of(run: mlflow.entities.Run) -> str:
    (used,) = run.inputs.dataset_inputs
    return str(json.loads(used.dataset.source)["uri"])


def test_after_a_move_new_runs_show_the_new_place_and_old_comparisons_are_served_from_it(tmp_path: Path) -> None:
    random, labels = np.random.default_rng(0), np.arange(120) % 3
    images = random.normal(60 + 40 * labels[:, None, None], 20, (120, 8, 8)).clip(0, 255).astype(np.uint8)
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    np.savez(before, x_train=images[:90], y_train=labels[:90], x_test=images[90:], y_test=labels[90:])

    def benchmark(path: Path, classes: str) -> None:
        words = ("--dataset", f"toys=npz:{path}", "--detectors", "pyod:HBOS", "--classes", classes, "--epochs", "1")
        process = run_inside(tmp_path, "benchmark", *words)
        assert process.returncode == 0, process.stderr
        assert "is left out" not in process.stdout

    benchmark(before, "0")
    before.rename(after)
    benchmark(after, "0,1")
    runs = recorded(tmp_path)
    first, second = sorted(runs.sweeps, key=lambda run: run.info.start_time)
    assert [place_of(first), place_of(second)] == [f"npz:{before}", f"npz:{after}"]
    (comparison,) = runs.comparisons
    client = mlflow.MlflowClient(uri(tmp_path))
    models = client.search_logged_models(["0"])
    assert {model.name for model in models} == {"pyod-HBOS"}
    client.delete_tag(comparison.info.run_id, "model_key")
    registered = run_inside(tmp_path, "register", "--run", comparison.info.run_id, "--name", "it's mine")
    assert registered.returncode == 0, registered.stderr
    assert "-m 'models:/it'\"'\"'s mine/1'" in registered.stdout
    assert "this is it's mine version 1 already" in (
        run_inside(tmp_path, "register", "--run", comparison.info.run_id, "--name", "it's mine").stdout
    )
