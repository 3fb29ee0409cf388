"""Preprocessing from the outside."""

from pathlib import Path

import mlflow
from project_runs import mlflow_run, run_inside, uri


def test_prepared_sets_are_logged_with_sheets_and_counts(tmp_path: Path) -> None:
    process = mlflow_run(tmp_path, "preprocess", {"dataset": "optdigits,streetdigits,optdigits+streetdigits"})
    assert process.returncode == 0, process.stderr
    client = mlflow.MlflowClient(uri(tmp_path))
    (run,) = client.search_runs(["0"])
    assert run.data.tags["level"] == "preprocess"
    used = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    assert used.keys() == {"optdigits", "streetdigits", "optdigits+streetdigits"}
    assert run.data.metrics["train_images_streetdigits"] == 4000
    page = Path(client.download_artifacts(run.info.run_id, "data.html", str(tmp_path))).read_text()
    assert page.count("images of each class</h2>") == 3
    assert page.count("raw and prepared</h2>") == 2
    for name, digest in used.items():
        (line,) = [line for line in process.stdout.splitlines() if line.startswith(f"{name} ")]
        assert digest[:16] in line


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    process = run_inside(tmp_path, "preprocess", "--dataset", f"npz:{tmp_path}/nothing.npz")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("Error: ")
    assert "nothing.npz" in process.stderr
    assert "Traceback" not in process.stderr
