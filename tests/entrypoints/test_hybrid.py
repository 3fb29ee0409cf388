"""Detectors on extractors' features from the outside: what is trained, what is found again, what MLflow has."""

import json
import subprocess
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from project_runs import environment, furnish, mlflow_run, recorded, run_inside, script_here, uri

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.joint import hashes_tested
from fanogan_mtl.data.prepared import load_raw
from fanogan_mtl.data.specs import parse_datasets, parse_source
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.sweep.pretraining import learned_from
from fanogan_mtl.sweep.result import CellResult

SMALL = {
    "dataset": "handwritten,optdigits", "extractors": "lenet5,pca", "extractor_epochs": "2", "detectors": "fanogan,knn",
    "classes": "0,8", "epochs": "2", "limit": "60", "log_models": "all",
}  # fmt: skip

Ran = tuple[Path, subprocess.CompletedProcess[str]]


def arguments(parameters: dict[str, str]) -> list[str]:
    return [word for name, value in parameters.items() for word in (f"--{name}", value)]


def data_dir(folder: Path) -> Path:
    return folder / "cache" / "fanogan-mtl"


def runs_of(folder: Path, level: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(uri(folder))
    return list(client.search_runs(["0"], f"tags.level = '{level}'", max_results=1000))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("hybrid")
    return folder, mlflow_run(folder, "hybrid", SMALL)


def test_extractors_are_trained_once_and_every_cell_names_its_own(ran: Ran) -> None:
    folder, process = ran
    assert process.returncode == 0, process.stderr
    extractors = {run.data.tags["extractor_key"]: run for run in runs_of(folder, "extractor")}
    assert sorted(run.data.params["extractor"] for run in extractors.values()) == ["lenet5", "pca"]
    runs = recorded(folder)
    assert len(runs.cells) == 2 * 2 * 2 * 2
    for cell in runs.cells:
        extractor = extractors[cell.data.tags["extractor_key"]]
        assert cell.data.params["extractor"] == extractor.data.params["extractor"]
        assert cell.data.params["protocol"] == {"lenet5": "paper", "pca": "label-free"}[cell.data.params["extractor"]]
    for comparison in runs.comparisons:
        assert "had seen" in comparison.data.tags["mlflow.note.content"]
        assert comparison.data.params["extractor_n_components"] in {"None", "150"}
        assert comparison.data.metrics["auroc"] > 0.5
    assert "lenet5+fanogan" in process.stdout


def test_an_extractors_run_has_curves_for_each_domain_and_the_test_once(ran: Ran) -> None:
    folder, _ = ran
    wanted = {"extractor": "lenet5", "seed": "0"}
    (run,) = [run for run in runs_of(folder, "extractor") if wanted.items() <= run.data.params.items()]
    client = mlflow.MlflowClient(uri(folder))
    for name in (
        "accuracy_train",
        "accuracy_validation",
        "accuracy_validation_optdigits",
        "accuracy_train_handwritten",
    ):
        assert [row.step for row in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    for name in ("accuracy_test_handwritten", "accuracy_test_optdigits"):
        (row,) = client.get_metric_history(run.info.run_id, name)
        assert row.step == run.data.metrics["best_epoch"]
    assert "extractor.html" in {file.path for file in client.list_artifacts(run.info.run_id)}


def test_no_tested_image_was_learned_from(ran: Ran) -> None:
    folder, _ = ran
    for key in {cell.data.tags["extractor_key"] for cell in recorded(folder).cells}:
        learned = np.load(data_dir(folder) / "extractors" / key / "learned_from.npy")
        assert len(learned) > 500
        for spec in parse_datasets("handwritten,optdigits"):
            tested = hashes_tested(load_dataset(spec, data_dir(folder)), 0, 60)
            assert not np.isin(tested, learned).any()


def test_the_same_command_trains_and_computes_nothing_again(ran: Ran) -> None:
    folder, _ = ran
    before = {path: path.stat().st_mtime_ns for path in data_dir(folder).rglob("*.npy")}
    again = run_inside(folder, "hybrid", *arguments(SMALL))
    assert again.returncode == 0, again.stderr
    assert "2 extractors, 2 of them trained before" in again.stdout
    assert "16 cells, 16 of them done before" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in data_dir(folder).rglob("*.npy")} == before
    assert len(recorded(folder).cells) == 16


def test_another_detector_finds_extractors_and_features(ran: Ran) -> None:
    folder, _ = ran
    other = run_inside(folder, "hybrid", *arguments(SMALL | {"detectors": "pca", "log_models": "none"}))
    assert other.returncode == 0, other.stderr
    assert "2 extractors, 2 of them trained before" in other.stdout
    assert "4 feature files, 4 of them there" in other.stdout


def test_an_extractor_that_the_data_folder_lost_comes_back_from_mlflow(ran: Ran, tmp_path: Path) -> None:
    folder, _ = ran
    options = SMALL | {"detectors": "knn", "extractors": "lenet5", "seeds": "0", "data_dir": str(tmp_path)}
    elsewhere = run_inside(folder, "hybrid", *arguments(options | {"log_models": "none"}))
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "1 extractor, 1 of them trained before" in elsewhere.stdout


def test_a_model_has_the_heads_of_an_earlier_sweep_whose_files_are_gone(ran: Ran, tmp_path: Path) -> None:
    folder, _ = ran
    options = SMALL | {"detectors": "knn", "extractors": "lenet5", "seeds": "1", "data_dir": str(tmp_path)}
    process = run_inside(folder, "hybrid", *arguments(options))
    assert process.returncode == 0, process.stderr
    models = [run.data.tags["model_uri"] for run in recorded(folder).comparisons if "lenet5+knn" in run.info.run_name]
    assert len(models) == 2
    for uri_ in models:
        path = Path(mlflow.MlflowClient(uri(folder)).get_logged_model(uri_.rpartition("/")[2]).artifact_location)
        (description,) = path.rglob("model.json")
        heads = json.loads(description.read_text())["heads"]
        assert [head["name"].rpartition("/")[2] for head in heads] == ["0", "8"]
        for head in heads:
            assert (description.parent / "extractors" / head["extractor"] / "weights.safetensors").exists()


def test_a_logged_extractor_is_used_by_its_address_and_never_on_what_it_has_seen(ran: Ran) -> None:
    folder, _ = ran
    wanted = {"extractor": "lenet5", "seed": "0"}
    (run,) = [run for run in runs_of(folder, "extractor") if wanted.items() <= run.data.params.items()]
    options = SMALL | {"extractors": f"runs:/{run.info.run_id}/lenet5", "detectors": "knn", "log_models": "none"}
    del options["extractor_epochs"]
    used = run_inside(folder, "hybrid", *arguments(options))
    assert used.returncode == 0, used.stderr
    assert "lenet5+knn (logged)" in used.stdout
    (logged, *_) = [run for run in recorded(folder).comparisons if run.data.params["protocol"] == "logged"]
    assert logged.data.params["extractor_data"] == run.data.params["dataset"]
    both = run_inside(folder, "hybrid", *arguments(options | {"extractors": f"{options['extractors']},lenet5"}))
    assert both.returncode == 2
    assert "tables could not tell two lenet5 apart" in both.stderr
    seen = run_inside(folder, "hybrid", *arguments(options | {"seeds": "1"}))
    assert seen.returncode == 2
    assert "has learned from" in seen.stderr
    assert seen.stderr.count("\n") == 1


def test_a_logged_model_scores_the_bits_of_the_sweep(ran: Ran, tmp_path: Path) -> None:
    folder, _ = ran
    (comparison,) = [run for run in recorded(folder).comparisons if run.info.run_name == "optdigits · lenet5+fanogan"]
    served, scores = served_and_recorded_scores(folder, comparison, "8", tmp_path)
    np.testing.assert_array_equal(served, scores)


def served_and_recorded_scores(
    folder: Path, comparison: mlflow.entities.Run, normal_class: str, temporary: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of optdigits' test images by a comparison's model in another process, and by its cell."""
    (cell,) = [
        run
        for run in recorded(folder).cells
        if run.data.tags["comparison_key"] == comparison.data.tags["comparison_key"]
        and run.data.params["normal_class"] == normal_class
    ]
    client = mlflow.MlflowClient(uri(folder))
    with np.load(client.download_artifacts(cell.info.run_id, "cell.npz", str(temporary)), allow_pickle=False) as file:
        rows, scores = file["rows"], file["scores"][-1]
    (spec,) = parse_datasets("optdigits")
    dataset = load_dataset(spec, data_dir(folder))
    np.save(temporary / "images.npy", np.concatenate([dataset.train.pixels, dataset.test.pixels])[rows])
    code = (
        "import sys, mlflow, numpy as np, pandas as pd; model = mlflow.pyfunc.load_model(sys.argv[1]);"
        "images = pd.DataFrame({'image': list(np.load(sys.argv[2]))});"
        f"np.save(sys.argv[3], model.predict(images, params={{'heads': 'optdigits/{normal_class}'}})['score'])"
    )
    uri_ = comparison.data.tags["model_uri"]
    words = ["python", "-c", code, uri_, str(temporary / "images.npy"), str(temporary / "scores.npy")]
    subprocess.run(words, env=environment(folder), cwd=folder, check=True, timeout=800, capture_output=True)
    return np.load(temporary / "scores.npy"), scores


def test_normal_only_learns_from_the_normal_class_alone_and_is_served_with_an_extractor_a_head(tmp_path: Path) -> None:
    options = SMALL | {"extractors": "contrastive", "extractor_epochs": "1", "detectors": "knn", "classes": "0,8"}
    options |= {"protocol": "normal-only", "dataset": "optdigits"}
    process = run_inside(tmp_path, "hybrid", *arguments(options))
    assert process.returncode == 0, process.stderr
    dataset = load_dataset(parse_datasets("optdigits")[0], data_dir(tmp_path))
    cells = recorded(tmp_path).cells
    assert len({cell.data.tags["extractor_key"] for cell in cells}) == len(cells) == 2
    for cell in cells:
        key, normal = cell.data.tags["extractor_key"], cell.data.params["normal_class"]
        learned = np.isin(dataset.train.hashes, learned_from(data_dir(tmp_path), key))
        assert learned.sum() > 40
        assert {dataset.classes[label] for label in dataset.train.labels[learned]} == {normal}
    (comparison,) = recorded(tmp_path).comparisons
    assert "the normal class alone" in comparison.data.tags["mlflow.note.content"]
    served, scores = served_and_recorded_scores(tmp_path, comparison, "8", tmp_path)
    np.testing.assert_array_equal(served, scores)


def test_unseen_protocols_hold_classes_and_domains_out(tmp_path: Path) -> None:
    options = SMALL | {
        "extractors": "lenet5", "extractor_epochs": "1", "detectors": "knn", "log_models": "none",
        "protocol": "unseen-class,unseen-domain", "limit": "30",
    }  # fmt: skip
    process = run_inside(tmp_path, "hybrid", *arguments(options))
    assert process.returncode == 0, process.stderr
    held_out = {}
    for run in runs_of(tmp_path, "extractor"):
        key = run.data.tags["extractor_key"]
        held_out[key] = (run.data.params["held_out_class"], run.data.params["dataset"])
        extractor = load_extractor(data_dir(tmp_path) / "extractors" / key)
        assert run.data.params["held_out_class"] not in extractor.classes_.tolist()
    assert len(held_out) == 10 + 2
    cells = recorded(tmp_path).cells
    pairs = [cell for cell in cells if cell.data.params["protocol"] == "unseen-class"]
    assert len(pairs) == 2 * 2 * 9
    for cell in pairs:
        anomalous = cell.data.params["anomalous_class"]
        assert cell.data.params["normal_class"] != anomalous
        assert held_out[cell.data.tags["extractor_key"]] == (anomalous, "handwritten+optdigits")
    for cell in cells:
        if cell.data.params["protocol"] == "unseen-domain":
            other = {"handwritten": "optdigits", "optdigits": "handwritten"}[cell.data.params["dataset"]]
            assert held_out[cell.data.tags["extractor_key"]] == ("none", other)
    (sweep,) = recorded(tmp_path).sweeps
    client = mlflow.MlflowClient(uri(tmp_path))
    page = Path(client.download_artifacts(sweep.info.run_id, "overview.html", str(tmp_path))).read_text()
    assert "protocols side by side" in page


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet34.pth"
    torch.save(torchvision.models.resnet34().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"extractors": "resnet19"}, "unknown extractor 'resnet19'; one of: autoencoder, contrastive, efficient"),
        ({"extractors": "lenet5,lenet5"}, "one is there twice"),
        ({"extractors": "runs:/0123/lenet5"}, "can't be fetched"),
        ({"extractor_params": '{"lenet5": {"depth": 3}}'}, "unknown parameter 'depth' of extractor lenet5"),
        ({"extractor_params": '{"resnet50": {}}'}, "extractor_params names 'resnet50', which is not among"),
        ({"extractor_params": "{"}, "extractor_params is not JSON"),
        ({"extractor_params": '{"lenet5": {"n_components": 0}}'}, "'n_components' parameter of LeNet5"),
        ({"extractor_params": '{"lenet5": 3}'}, "extractor_params of 'lenet5': an object of parameters"),
        ({"extractor_params": '{"lenet5": {"random_state": 3}}'}, "random_state is set by the option seeds"),
        ({"extractors": "pca", "extractor_epochs": "3"}, "extractor_epochs: none of the extractors pca takes it"),
        ({"weights": "resnet18.pth"}, "weights: none of the extractors lenet5 takes it"),
        ({"protocol": "paper,paper"}, "protocol 'paper,paper': one is there twice"),
        ({"extractor_epochs": "0"}, "extractor_epochs '0'"),
        ({"protocol": "fair"}, "protocol 'fair': one of paper, label-free, unseen-class, unseen-domain"),
        ({"protocol": "unseen-domain", "dataset": "optdigits"}, "'optdigits' is the only domain"),
        ({"protocol": "unseen-domain", "dataset": "optdigits+handwritten"}, "no domain of a pool is unseen"),
        ({"extractors": "resnet18_frozen", "weights": "nowhere.pth"}, "there is no such file"),
        ({"dataset": "adbench:nowhere.npz"}, "can't open nowhere.npz"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: dict[str, str],
    complaint: str,
) -> None:
    given = {"dataset": "optdigits", "extractors": "lenet5", "detectors": "knn", "limit": "30", **options}
    furnish(tmp_path)
    process = script_here(tmp_path, monkeypatch, capfd, "hybrid", *arguments(given))
    assert process.returncode == 2
    assert complaint in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert not (data_dir(tmp_path) / "extractors").exists()
    assert not runs_of(tmp_path, "sweep")


def test_vectors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path)
    labels = np.repeat([0, 1], [40, 10])
    np.savez(tmp_path / "vectors.npz", X=np.random.default_rng(0).normal(size=(50, 4)), y=labels)
    for entry in ("hybrid", "pretrain"):
        options = ["--dataset", f"adbench:{tmp_path / 'vectors.npz'}", "--extractors", "lenet5"]
        process = script_here(tmp_path, monkeypatch, capfd, entry, *options)
        assert process.returncode == 2
        assert "data set 'vectors' holds vectors, extractors take images" in process.stderr


def test_weights_of_another_network_name_the_first_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], other_weights: Path
) -> None:
    furnish(tmp_path)
    options = {"dataset": "optdigits", "extractors": "resnet18_imagenet", "weights": str(other_weights)}
    process = script_here(tmp_path, monkeypatch, capfd, "hybrid", *arguments(options))
    assert process.returncode == 2
    assert "don't fit resnet18: it has no 'layer1.2.conv1.weight'" in process.stderr


def test_models_on_frozen_features_of_original_images_score_what_was_recorded(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    options = {
        "dataset": "optdigits,optdigits+handwritten", "extractors": "resnet18_frozen", "detectors": "knn",
        "weights": str(tmp_path / "resnet18.pth"), "extractor_params": '{"resnet18_frozen": {"input_size": 32}}',
        "limit": "30", "classes": "0,1",
    }  # fmt: skip
    process = run_inside(tmp_path, "hybrid", *arguments(options))
    assert process.returncode == 0, process.stderr
    client = mlflow.MlflowClient(uri(tmp_path))
    raw = [load_raw(parse_source(name), data_dir(tmp_path)) for name in ("optdigits", "handwritten")]
    parts = [each.train.images for each in raw] + [each.test.images for each in raw]
    mlflow.set_tracking_uri(uri(tmp_path))
    for run in recorded(tmp_path).comparisons:
        dataset = run.data.params["dataset"]
        images = [image for part in (parts if "+" in dataset else parts[::2]) for image in part]
        (cell,) = [
            each
            for each in recorded(tmp_path).cells
            if each.data.params["dataset"] == dataset and each.data.params["normal_class"] == "1"
        ]
        result = CellResult.load(Path(client.download_artifacts(cell.info.run_id, "cell.npz", str(tmp_path))))
        model = mlflow.pyfunc.load_model(run.data.tags["model_uri"])
        tested = pd.DataFrame({"image": [images[row] for row in result.rows]})
        table = model.predict(tested, params={"heads": f"{dataset}/1"})
        np.testing.assert_array_equal(table["score"], result.scores[-1])


def test_a_dry_run_says_what_is_missing_and_trains_nothing(tmp_path: Path) -> None:
    process = run_inside(tmp_path, "hybrid", *arguments(SMALL | {"dry_run": "true"}))
    assert process.returncode == 0, process.stderr
    assert "2 extractors, 2 of them not in the data folder" in process.stdout
    assert "16 cells: 0 done, 0 failed, 16 to train" in process.stdout
    assert not (data_dir(tmp_path) / "extractors").exists()
