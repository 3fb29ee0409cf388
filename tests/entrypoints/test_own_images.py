"""A folder of anyone's own images, from preprocessing to models, as a person runs it."""

from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from project_runs import recorded, run_inside, script_here, uri
from torchvision.models import resnet18
from toy_folders import mixed_pictures, write

COUNTS = {f"{part}/{name}": count for part, count in (("train", 15), ("test", 5)) for name in ("nut", "bolt", "cog")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty colour JPEGs of mixed sizes in three classes."""
    folder = tmp_path_factory.mktemp("own")
    write(folder / "parts", mixed_pictures(COUNTS))
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), folder / "resnet18.pth")
    return folder


@pytest.fixture(scope="module")
def spec(place: Path) -> str:
    return f"folder:{place / 'parts'}?image_size=20&colour=rgb"


def page(place: Path, run_id: str, name: str, target: Path) -> str:
    return Path(mlflow.MlflowClient(uri(place)).download_artifacts(run_id, name, str(target))).read_text()


def test_preprocess_shows_them(place: Path, spec: str, tmp_path: Path) -> None:
    process = run_inside(place, "preprocess", "--dataset", spec)
    assert process.returncode == 0, process.stderr
    (run,) = mlflow.MlflowClient(uri(place)).search_runs(["0"], "tags.level = 'preprocess'")
    assert (run.data.metrics["train_images_parts"], run.data.metrics["test_images_parts"]) == (45, 15)
    assert page(place, run.info.run_id, "data.html", tmp_path).count("raw and prepared</h2>") == 1


def test_benchmark_trains_on_their_colours(place: Path, spec: str, tmp_path: Path) -> None:
    process = run_inside(
        place, "benchmark", "--dataset", spec, "--detectors", "pca,vae", "--epochs", "3", "--classes", "nut,cog",
        "--log-models", "none",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    comparisons = {run.info.run_name: run for run in recorded(place).comparisons}
    assert comparisons.keys() == {"parts · pca", "parts · vae"}
    assert comparisons["parts · pca"].data.metrics["auroc_class_nut"] == 1  # each class has a colour of its own
    client = mlflow.MlflowClient(uri(place))
    (cell,) = [
        run for run in recorded(place).cells
        if (run.data.params["detector"], run.data.params["normal_class"]) == ("vae", "cog")
    ]  # fmt: skip
    with np.load(client.download_artifacts(cell.info.run_id, "cell.npz", str(tmp_path)), allow_pickle=False) as file:
        assert file["example_images"].shape[1:] == (20, 20, 3)
    assert "Reconstructions" in page(place, comparisons["parts · vae"].info.run_id, "figures.html", tmp_path)


def test_hybrid_gives_each_extractor_its_own_size(place: Path, spec: str) -> None:
    process = run_inside(
        place, "hybrid", "--dataset", spec, "--extractors", "pca,resnet18_frozen", "--detectors", "knn",
        "--classes", "nut", "--log-models", "none", "--weights", str(place / "resnet18.pth"),
        "--extractor-params", '{"resnet18_frozen": {"input_size": 32}, "pca": {"n_components": 8}}',
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    metrics = {run.info.run_name: run.data.metrics for run in recorded(place).comparisons}
    assert metrics["parts · resnet18_frozen+knn"]["auroc"] > 0.7
    assert 0 <= metrics["parts · pca+knn"]["auroc"] <= 1
    (cell, other) = [run for run in recorded(place).cells if run.data.params["detector"] == "knn"]
    assert cell.data.tags["extractor_key"] != other.data.tags["extractor_key"]


def test_a_class_of_a_defect_is_found_without_a_normal_image_in_training(place: Path) -> None:
    images = mixed_pictures({"train/good": 12, "test/good": 6, "test/nut": 6})
    process = run_inside(
        place, "benchmark", "--dataset", f"folder:{write(place / 'bottle', images)}?colour=rgb&image_size=16",
        "--detectors", "pca", "--log-models", "none",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    (run,) = [run for run in recorded(place).comparisons if run.info.run_name == "bottle · pca"]
    assert run.data.metrics["auroc"] == 1
    assert "auroc_class_good" in run.data.metrics


FEW = (
    "few images are held out: thresholds by cross-validation in 1 of 1 heads (rare/good), from 5 + 38 held out + "
    "trained on, see docs/thresholds.md"
)


def test_a_rare_class_is_tested_beside_the_others_and_the_numbers_are_told(place: Path) -> None:
    images = mixed_pictures({"good": 60, "nut": 20, "cog": 2})
    process = run_inside(
        place, "benchmark", "--dataset", f"folder:{write(place / 'rare', images)}?colour=rgb&image_size=16",
        "--detectors", "pca", "--classes", "good",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    told = "rare: each AUROC rests on 17 normal and 5 anomalous images, 1 of the smallest class"
    assert told in process.stdout.splitlines()
    (comparison,) = [run for run in recorded(place).comparisons if run.info.run_name == "rare · pca"]
    metrics = comparison.data.metrics
    assert [metrics[f"n_{name}"] for name in ("normal_min", "normal_max", "class_min")] == [17, 17, 1]
    assert metrics["false_alarm_rate_training"] > 0.5  # 38 images say little about PCA's own threshold
    assert metrics["false_alarm_rate_promised"] == pytest.approx(1 / 6)
    assert "Warning" not in process.stdout
    client = mlflow.MlflowClient(uri(place))
    model = client.get_logged_model(comparison.data.tags["model_uri"].rpartition("/")[2])
    assert f"{FEW}." in model.tags["mlflow.note.content"]


def test_thresholds_by_cross_validation_are_told_where_the_model_is_registered(place: Path) -> None:
    (comparison,) = [run for run in recorded(place).comparisons if run.info.run_name == "rare · pca"]
    process = run_inside(place, "register", "--run", comparison.info.run_id, "--name", "rare")
    assert process.returncode == 0, process.stderr
    assert FEW in process.stdout.splitlines()
    assert "the lowest false-alarm rate that can be promised" not in process.stdout
    version = mlflow.MlflowClient(uri(place)).get_model_version("rare", "1")
    assert f"{FEW}." in version.description


@pytest.mark.parametrize(
    ("dataset", "complaint"),
    [
        ("folder:{}/nowhere", "nowhere is not there; check the path after folder:"),
        ("folder:{}/parts?image_size=20,optdigits", "mixes 'parts' 20x20 grey, 'optdigits' 28x28 grey"),
    ],
)
def test_a_mistake_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], dataset: str, complaint: str
) -> None:
    given = ["--dataset", dataset.format(place), "--extractors", "pca", "--detectors", "knn"]
    process = script_here(place, monkeypatch, capfd, "hybrid", *given)
    assert process.returncode == 2
    assert complaint in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
