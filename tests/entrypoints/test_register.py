"""Runs become versions of a registered model, whose heads score what was recorded."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from project_runs import mlflow_run, recorded, run_inside, uri
from sklearn.metrics import roc_auc_score
from toy_folders import mixed_pictures, write

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.data.splits import one_vs_rest
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import RegisterOptions
from fanogan_mtl.recording.evidence import chosen_comparisons, read_evidence
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.workflows.register import register as register_run

SMALL = ["--dataset", "optdigits,handwritten", "--classes", "0,8", "--limit", "60", "--epochs", "1,3", "--seeds", "0,1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a benchmark and two hybrid sweeps have run, with no model kept."""
    folder = tmp_path_factory.mktemp("register")
    write(folder / "parts", mixed_pictures({"nut": 20, "bolt": 20, "cog": 20}))
    features = ["--detectors", "knn", "--extractors", "pca"]
    few = ["--extractor_params", '{"pca": {"n_components": 8}}']
    for entry, own in (
        ("benchmark", [*SMALL, "--detectors", "vae,knn"]),
        ("hybrid", [*SMALL, *features]),
        ("hybrid", ["--dataset", f"folder:{folder / 'parts'}", *features, *few, "--protocol", "unseen-class"]),
    ):
        process = run_inside(folder, entry, *own, "--log_models", "none")
        assert process.returncode == 0, process.stderr
    return folder


def client(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(uri(folder))


def register(folder: Path, run: Run | str, *arguments: str) -> str:
    run_id = run if isinstance(run, str) else run.info.run_id
    process = run_inside(folder, "register", "--run", run_id, *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


def sweep(folder: Path, entry: str) -> Run:
    (found,) = [run for run in recorded(folder).sweeps if run.info.run_name.startswith(f"{entry} optdigits")]
    return found


def comparison(folder: Path, name: str) -> Run:
    (found,) = [run for run in recorded(folder).comparisons if run.info.run_name == name]
    return found


def predict(folder: Path, model: str, table: pd.DataFrame, **parameters: object) -> pd.DataFrame:
    mlflow.set_tracking_uri(uri(folder))
    return mlflow.pyfunc.load_model(model).predict(table, params=parameters)


def test_a_sweeps_best_setting_becomes_one_model_with_a_head_for_each_data_set_and_class(folder: Path) -> None:
    run = sweep(folder, "benchmark")
    said = register(folder, run, "--name", "best")
    assert "best of 2 by mean validation AUROC" in said
    assert "registered best version 1, alias champion, with 4 heads: handwritten/0, handwritten/8, optdigits/0" in said
    version = client(folder).get_model_version_by_alias("best", "champion")
    heads = {f"{data}/{digit}" for data in ("handwritten", "optdigits") for digit in (0, 8)}
    for head in heads:
        assert re.search(rf"^\| {head}\s+\|", version.description, re.MULTILINE)
    model = client(folder).get_logged_model(version.source.rpartition("/")[2])
    assert model.name == model.params["detector"]
    assert set(model.params["heads"].split(", ")) == heads
    by_dataset = {(each.key, each.dataset_name): each.value for each in model.metrics}
    detector = model.params["detector"]
    for name in ("handwritten", "optdigits"):
        best = [
            max(value.value for value in client(folder).get_metric_history(cell.info.run_id, "validation_auroc"))
            for cell in recorded(folder).cells
            if re.fullmatch(rf"{name}/\d {re.escape(detector)} seed 0", cell.info.run_name)
        ]
        assert len(best) == 2
        assert by_dataset["model_validation_auroc", name] == pytest.approx(np.mean(best))
    again = register(folder, run, "--name", "best")
    assert "this is best version 1 already" in again
    assert len(client(folder).search_model_versions("name = 'best'")) == 1


@pytest.mark.parametrize("name", ["optdigits · vae", "handwritten · pca+knn"])
def test_a_model_made_again_scores_the_recorded_test(folder: Path, name: str) -> None:
    run = comparison(folder, name)
    registered = name.replace(" · ", "-").replace("+", "-")
    register(folder, run, "--name", registered, "--alias", "tested")
    dataset_name = name.partition(" · ")[0]
    (spec,) = parse_datasets(dataset_name)
    dataset = load_dataset(spec, folder / "cache" / "fanogan-mtl")
    pixels = {"train": dataset.train.pixels, "test": dataset.test.pixels}
    version = client(folder).get_model_version_by_alias(registered, "tested")
    for digit in ("0", "8"):
        (line,) = [line for line in version.description.splitlines() if line.startswith(f"| {dataset_name}/{digit}")]
        _, test, *_, seed = (cell.strip() for cell in line.split("|")[1:-1])
        part = one_vs_rest(dataset, digit, int(seed), 60).test
        images = np.concatenate([pixels["train"], pixels["test"]])[part.rows]
        images = pd.DataFrame({"image": list(images)})
        table = predict(folder, f"models:/{registered}@tested", images, heads=f"{dataset_name}/{digit}")
        assert f"{100 * roc_auc_score(part.anomaly, table['score']):.1f}" == test
        assert f"{100 * roc_auc_score(part.anomaly, table['probability']):.1f}" == test
        np.testing.assert_array_equal(table["is_anomaly"], table["score"] > table["threshold"])


def test_a_false_alarm_rate_makes_a_model_of_its_own(folder: Path) -> None:
    run = comparison(folder, "optdigits · vae")
    said = register(folder, run, "--name", "rates")
    lowest = "6 held-out normal images: the lowest false-alarm rate that can be promised is 14.3 %"
    assert f"Warning: rates version 1: {lowest}, which is_anomaly means in 2 of 2 heads" in said
    assert re.search(r"^14\.3 % false alarms promised: on the test", said, re.M)  # nobody asked, and 10 % can't be kept
    said = register(folder, run, "--name", "rates", "--false_alarm_rate", "0.4,0.2")
    assert "registered rates version 2" in said
    assert re.search(r"^40 % false alarms asked for: on the test [\d.]+ % of normal images are flagged", said, re.M)
    assert re.search(r"^20 % false alarms asked for: .* % of anomalies found \(mean of 2 heads\)$", said, re.M)
    assert "found at 20 %" in client(folder).get_model_version("rates", "2").description
    images = pd.DataFrame({"image": [np.zeros((8, 8), np.uint8)]})
    by_default, at_forty, at_twenty = (
        predict(folder, f"models:/rates/{version}", images, **asked)
        for version, asked in (("1", {}), ("2", {}), ("2", {"false_alarm_rate": 0.2}))
    )
    assert (by_default["threshold"] > at_forty["threshold"]).all()
    assert (at_twenty["threshold"] >= at_forty["threshold"]).all()
    assert "this is rates version 2 already" in register(
        folder, run, "--name", "rates", "--false_alarm_rate", "0.4,0.2"
    )


def test_few_held_out_images_are_helped_out_by_the_folds_of_training(folder: Path) -> None:
    run = comparison(folder, "optdigits · knn")
    said = register(folder, run, "--name", "folds", "--false_alarm_rate", "0.1,0.03")
    assert "Warning" not in said
    assert "3 % false alarms asked for: on the test" in said
    folded = (
        "few images are held out: thresholds by cross-validation in 2 of 2 heads (optdigits/0, optdigits/8), "
        "from 6 + 48 held out + trained on, see docs/thresholds.md"
    )
    assert folded in said
    description = client(folder).get_model_version("folds", "1").description
    assert f"{folded}." in description
    assert description.count("6 + 48") == 3
    served = predict(folder, "models:/folds/1", pd.DataFrame({"image": [np.full((8, 8), 255, np.uint8)]}))
    assert served["p_value"].tolist() == [1 / 55, 1 / 55]
    assert "this is folds version 1 already" in register(
        folder, run, "--name", "folds", "--false_alarm_rate", "0.1,0.03"
    )


def test_heads_on_features_share_one_extractor(folder: Path) -> None:
    register(folder, sweep(folder, "hybrid"), "--name", "shared")
    path = Path(mlflow.artifacts.download_artifacts("models:/shared@champion", tracking_uri=uri(folder)))
    assert len(list(path.glob("artifacts/*/extractors/*"))) == 1
    assert len(list(path.glob("artifacts/*/heads/*"))) == 4


def test_a_cell_becomes_one_head_by_mlflow_run(folder: Path) -> None:
    cell = next(run for run in recorded(folder).cells if run.info.run_name == "optdigits/8 knn seed 1")
    process = mlflow_run(folder, "register", {"run": cell.info.run_id, "name": "single"})
    assert process.returncode == 0, process.stderr
    blank = pd.DataFrame({"image": [np.zeros((8, 8), np.uint8)]})
    assert predict(folder, "models:/single/1", blank)["head"].tolist() == ["optdigits/8"]


def test_scores_other_than_recorded_stop_the_registration(folder: Path, tmp_path: Path) -> None:
    cell = next(run for run in recorded(folder).cells if run.info.run_name == "optdigits/0 knn seed 0")
    path = Path(client(folder).download_artifacts(cell.info.run_id, "cell.npz", str(tmp_path)))
    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(tmp_path / "cell.npz", **{**arrays, "scores": arrays["scores"] + 1e-3})
    client(folder).log_artifact(cell.info.run_id, str(tmp_path / "cell.npz"))
    process = run_inside(folder, "register", "--run", cell.info.run_id, "--name", "changed")
    np.savez_compressed(tmp_path / "cell.npz", **arrays)
    client(folder).log_artifact(cell.info.run_id, str(tmp_path / "cell.npz"))
    assert process.returncode == 2
    assert "trained again it has AUROC" in process.stderr
    assert client(folder).search_registered_models("name = 'changed'") == []


def test_mistakes_are_one_line_and_leave_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = recorded(folder)
    unseen = next(run for run in runs.comparisons if "unseen-class" in run.info.run_name)
    (extractor, *_) = client(folder).search_runs(["0"], "tags.level = 'extractor'")
    cell = runs.cells[0].info.run_id
    mlflow.set_tracking_uri(uri(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    before = len(client(folder).search_registered_models()), len(client(folder).search_runs(["0"]))
    for options, words in (
        ({}, "run: which one?"),
        ({"run": "nonsense"}, "run 'nonsense' can't be read"),
        ({"run": unseen.info.run_id}, "unseen-class"),
        ({"run": extractor.info.run_id}, "(extractor)"),
        ({"run": cell, "name": "a/b"}, "Names cannot contain"),
        ({"run": cell, "name": " "}, "name ' '"),
        ({"run": cell, "alias": "latest"}, "alias 'latest'"),
        ({"run": cell, "alias": "a b"}, "alias 'a b'"),
        ({"run": cell, "device": "tpu"}, "device 'tpu'"),
        ({"run": cell, "false_alarm_rate": "1%"}, "false_alarm_rate '1%': shares between 0 and 1, please"),
        ({"run": cell, "false_alarm_rate": "0.1,1"}, "false_alarm_rate '0.1,1': shares between 0 and 1, please"),
        ({"run": cell, "false_alarm_rate": "0.1,0.1"}, "false_alarm_rate '0.1,0.1': a share is there twice"),
        (
            {"run": comparison(folder, "optdigits · vae").info.run_id, "false_alarm_rate": "0.05"},
            "held-out normal scores: the lowest false-alarm rate that can be promised is 14.3 %, not 5 %",
        ),
        (
            {"run": comparison(folder, "optdigits · knn").info.run_id, "false_alarm_rate": "0.01"},
            "54 held-out normal scores: the lowest false-alarm rate that can be promised is 1.9 %, not 1 %",
        ),
    ):
        with pytest.raises(UserError, match=re.escape(words)) as caught:
            register_run(RegisterOptions(**options))
        assert "\n" not in str(caught.value)
    assert before == (len(client(folder).search_registered_models()), len(client(folder).search_runs(["0"])))


def test_a_cell_without_its_comparison_is_one_line_and_of_two_the_first_counts(folder: Path) -> None:
    parent = comparison(folder, "handwritten · knn")
    key = parent.data.tags["comparison_key"]
    cell = next(run for run in recorded(folder).cells if run.data.tags["comparison_key"] == key)
    client(folder).delete_run(parent.info.run_id)
    process = run_inside(folder, "register", "--run", cell.info.run_id, "--name", "orphan")
    client(folder).restore_run(parent.info.run_id)
    assert process.returncode == 2
    gone = f"the comparison of {cell.info.run_name} (run {cell.info.run_id}) is gone: run its benchmark again"
    assert process.stderr.strip().endswith(gone)
    begun_again = client(folder).create_run("0", tags={"level": "comparison", "comparison_key": key})
    said = register(folder, cell, "--name", "begun-twice")
    client(folder).delete_run(begun_again.info.run_id)
    assert "registered begun-twice version 1, alias champion, with 1 head" in said


def test_of_a_comparison_that_was_begun_twice_the_first_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_run = sweep(folder, "benchmark")
    mlflow.set_tracking_uri(uri(folder))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    data_dir = folder / "cache" / "fanogan-mtl"
    before = read_evidence(connect(), chosen_comparisons(connect(), sweep_run.info.run_id), data_dir)
    again = [
        client(folder).create_run("0", tags={**run.data.tags, "mlflow.runName": run.info.run_name}).info.run_id
        for run in recorded(folder).comparisons
        if sweep_run.info.run_id in run.data.tags["sweeps"]
    ]
    assert len(again) == 4
    found = read_evidence(connect(), chosen_comparisons(connect(), sweep_run.info.run_id), data_dir)
    said = register(folder, sweep_run, "--name", "once")
    for run_id in again:
        client(folder).delete_run(run_id)
    assert [each.recorded.run_id for each in found.evidence.results] == [
        each.recorded.run_id for each in before.evidence.results
    ]
    assert "registered once version 1, alias champion, with 4 heads" in said


def test_what_depends_on_company_is_not_registered(folder: Path) -> None:
    run = comparison(folder, "handwritten · knn")
    marks = run.data.tags["marks_explained"]
    client(folder).set_tag(run.info.run_id, "marks_explained", '{"depends on company": "alone it scores otherwise"}')
    process = run_inside(folder, "register", "--run", run.info.run_id, "--name", "in-company")
    client(folder).set_tag(run.info.run_id, "marks_explained", marks)
    assert process.returncode == 2
    assert "knn: alone it scores otherwise; it can be compared, but not put into a model" in process.stderr
    assert client(folder).search_registered_models("name = 'in-company'") == []


def test_a_run_of_an_earlier_version_is_named(folder: Path) -> None:
    run = comparison(folder, "optdigits · knn")
    spec = run.data.tags["comparison"]
    client(folder).delete_tag(run.info.run_id, "comparison")
    process = run_inside(folder, "register", "--run", run.info.run_id)
    client(folder).set_tag(run.info.run_id, "comparison", spec)
    assert process.returncode == 2
    assert "recorded by another version" in process.stderr
