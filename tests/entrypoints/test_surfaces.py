"""A folder of surfaces with masks, from training to a model that shows where."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from project_runs import recorded, run_inside, uri
from toy_folders import write

from fanogan_mtl.anomaly_maps import anomaly_maps
from fanogan_mtl.serving.explain import boxes_of, heat_maps
from fanogan_mtl.serving.heads import read_model
from fanogan_mtl.serving.scoring import score_images

SIZE, SPOT, GRID = 64, 12, 8
MAPS = {"efficientnet_lite0": {"layer": "blocks.4", "grid": GRID, "input_size": SIZE}}
PLACES = {"spot": ((8, 8), (40, 8), (24, 44), (44, 44)), "hole": ((8, 40), (30, 30), (44, 20), (12, 24))}


def surface(seed: int, place: tuple[int, int] | None = None, value: int = 230) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(90, 130, (SIZE, SIZE)).astype(np.uint8)
    if place:
        pixels[place[0] : place[0] + SPOT, place[1] : place[1] + SPOT] = value
    return Image.fromarray(pixels)


def mask(place: tuple[int, int]) -> Image.Image:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[place[0] : place[0] + SPOT, place[1] : place[1] + SPOT] = 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surfaces")
    files = {f"train/good/{number}.png": surface(number) for number in range(24)}
    files |= {f"test/good/{number}.png": surface(100 + number) for number in range(12)}
    for at, (kind, value) in enumerate({"spot": 230, "hole": 10}.items()):
        for number, where in enumerate(PLACES[kind] * 2):
            files[f"test/{kind}/{number}.png"] = surface(1000 * (at + 1) + number, where, value)
            files[f"ground_truth/{kind}/{number}_mask.png"] = mask(where)
    write(folder / "metal", files)
    return folder


def page(place: Path, run: mlflow.entities.Run, target: Path) -> str:
    return Path(
        mlflow.MlflowClient(uri(place)).download_artifacts(run.info.run_id, "figures.html", str(target))
    ).read_text()


def test_residuals_of_pixels_are_held_against_the_masks(place: Path, tmp_path: Path) -> None:
    process = run_inside(
        place, "benchmark", "--dataset", f"folder:{place / 'metal'}?image_size=32", "--detectors", "pca,knn",
        "--epochs", "1", "--log-models", "none",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "data set 'metal': 16 masks say where anomalies are (hole, spot)" in process.stderr
    runs = {run.info.run_name: run for run in recorded(place).comparisons}
    metrics = runs["metal · pca"].data.metrics
    assert min(metrics[name] for name in ("pixel_auroc", "pixel_auroc_spot", "pixel_auroc_hole", "pixel_aupro")) > 0.9
    shown = page(place, runs["metal · pca"], tmp_path)
    assert "Where anomalies are, good is normal" in shown
    assert "Best and worst maps, good is normal" in shown
    assert not [name for name in runs["metal · knn"].data.metrics if name.startswith("pixel")]  # it has no maps
    assert "Where anomalies are" not in page(place, runs["metal · knn"], tmp_path / "knn")


def test_patches_find_them_and_the_model_shows_the_same_maps(place: Path, tmp_path: Path) -> None:
    process = run_inside(
        place, "hybrid", "--dataset", f"folder:{place / 'metal'}", "--detectors", "padim,patchcore", "--epochs", "1",
        "--extractors", "efficientnet_lite0", "--extractor-params", json.dumps(MAPS), "--log-models", "all",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    runs = [run for run in recorded(place).comparisons if "lite0" in run.info.run_name]
    assert {run.data.params["grid"] for run in runs} == {str(GRID)}
    client = mlflow.MlflowClient(uri(place))
    for run in runs:
        assert run.data.metrics["auroc"] == 1
        assert run.data.metrics["pixel_auroc"] > 0.95
        assert run.data.metrics["false_alarm_rate_training"] < 0.5
    models = [client.get_logged_model(each.model_id) for run in runs for each in run.outputs.model_outputs]
    assert len(models) == 2
    for number, logged in enumerate(models):
        local = mlflow.artifacts.download_artifacts(
            logged.model_uri, dst_path=str(tmp_path / str(number)), tracking_uri=uri(place)
        )
        model = read_model(next(Path(local).rglob("model.json")).parent)
        where = (44, 44)
        (shown,) = heat_maps(model, model.heads, np.array(surface(5, where)))
        inside = np.array(mask(where)) > 0
        assert shown.strength[inside].mean() > 3 * shown.strength[~inside].mean()
        (head,) = model.heads
        threshold = head.map_threshold()
        assert len(head.spec.calibration.map_maxima) == len(head.spec.calibration.unseen) == 26
        (box,) = boxes_of(shown, threshold, SIZE, SIZE)
        assert abs(box.left + box.right - 2 * where[1] - SPOT) <= SPOT
        assert abs(box.top + box.bottom - 2 * where[0] - SPOT) <= SPOT
        normal = [np.array(surface(seed)) for seed in range(300, 320)]
        flagged = score_images(model, model.heads, normal)[:, 0] > head.threshold
        marked = [bool(boxes_of(heat_maps(model, [head], each)[0], threshold, SIZE, SIZE)) for each in normal]
        assert abs(sum(marked) - sum(flagged)) <= 4  # both promise the same rate
        rows = model.extractors[model.heads[0].spec.extractor].transform(
            np.repeat(np.array(surface(5, where))[None, ..., None], 3, axis=3)
        )
        maps = anomaly_maps(model.heads[0].detector, rows, GRID)
        np.testing.assert_array_equal(
            maps, anomaly_maps(model.heads[0].detector, np.concatenate([rows] * 9), GRID)[3:4]
        )
        assert maps.shape == (1, GRID, GRID)
