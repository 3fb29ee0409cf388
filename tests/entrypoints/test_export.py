"""A model out of MLflow becomes one ONNX file that decides as it does."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
from PIL import Image
from project_runs import recorded, run_inside, uri

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.serving.scoring import score_images


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    arguments = ["--dataset", "optdigits", "--classes", "0,8", "--epochs", "1", "--limit", "60", "--log_models", "all"]
    process = run_inside(folder, "benchmark", *arguments, "--detectors", "pca,iforest")
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="module")
def models(store: Path) -> dict[str, str]:
    """Addresses by detector."""
    return {run.data.params["detector"]: run.data.tags["model_uri"] for run in recorded(store).comparisons}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number, shape in enumerate([(8, 8), (30, 20, 3), (28, 28)] * 4):
        Image.fromarray(random.integers(256, size=shape, dtype=np.uint8)).save(folder / f"{number:02}.png")
    Image.fromarray(random.integers(2**16, size=(9, 9), dtype=np.uint16)).save(folder / "deep.png")
    (folder / "text.png").write_text("no image")
    return folder


def test_the_file_decides_as_the_model(store: Path, models: dict[str, str], photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "digits.onnx"
    process = run_inside(
        store, "export", "--model", models["pca"], "--output", str(output), "--input", str(photos)
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    *_, told, last = process.stdout.splitlines()
    assert "2 heads, checked on 14 images (1 left out: of 16 bits, or without a score)" in told
    assert told.endswith("no decision differs")
    assert last.startswith(f"The file is {output} (")
    assert [path.name for path in output.parent.iterdir()] == ["digits.onnx"]
    (run,) = mlflow.MlflowClient(uri(store)).search_runs(["0"], "tags.level = 'export'")
    assert (run.data.metrics["images"], run.data.metrics["decisions_that_differ"]) == (14, 0)
    assert run.data.metrics["largest_relative_difference"] < 1e-6
    assert run.info.status == "FINISHED"

    mlflow.set_tracking_uri(uri(store))
    model = load_served(models["pca"])
    image = read_image_file(photos / "01.png")
    with one_thread():
        expected = score_images(model, model.heads, [image])
    scores = onnxruntime.InferenceSession(output).run(["score"], {"images": image[None]})[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_a_mistake_is_one_line(store: Path, models: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pca = models["pca"]
    for arguments, said in (
        ([], "model: which one? Give its address, as models:/NAME/VERSION"),
        (["--model", models["iforest"]], "head optdigits/0: its detector iforest can't be exported"),
        (["--model", "models:/nobody/1"], "models:/nobody/1"),
        (["--model", pca, "--heads", "optdigits/7"], "no head 'optdigits/7'"),
        (["--model", pca, "--output", str(tmp_path / "model.pt")], ".onnx"),
        (["--model", pca, "--output", str(tmp_path / "file" / "model.onnx")], "file"),
        (["--model", pca, "--input", str(tmp_path / "nowhere")], "nowhere"),
    ):
        output = [] if "--output" in arguments else ["--output", str(tmp_path / "model.onnx")]
        process = run_inside(store, "export", *arguments, *output)
        assert process.returncode != 0, arguments
        assert said in process.stderr.splitlines()[-1], (arguments, process.stderr)
        assert "Traceback" not in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
