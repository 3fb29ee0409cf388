"""What the pages on serving say, done."""

import json
import re
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from pages import run_page
from PIL import Image
from project_runs import ROOT, recorded, run_inside, uri

from fanogan_mtl.data.sources.samples import optdigits

DOCS = ROOT / "docs"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, in which a page may make files."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".*cache*", "__pycache__", "mlruns", "mlflow.db")
    return Path(shutil.copytree(ROOT, tmp_path / "project", ignore=ignored))


def answers(text: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads(text)["predictions"])


@pytest.mark.walks
@pytest.mark.timeout(3600)
def test_own_images_go_from_a_folder_to_a_service(project: Path, tmp_path: Path) -> None:
    printed = run_page(DOCS / "own-images.md", project, tmp_path)
    pictures = [Image.open(file) for file in (project / "digits").rglob("*.jpg")]
    assert (len(pictures), {picture.mode for picture in pictures}) == (300, {"RGB"})
    assert len({picture.size for picture in pictures}) > 100
    asked = answers(printed[-2])
    assert asked["head"].tolist() == ["digits/0", "digits/1", "digits/2"]
    table = pd.read_csv(project / "digits-scores.csv")
    assert len(table) == 900
    assert table["error"].isna().all()
    one = table[table["head"] == "digits/0"]
    others = ~one["path"].str.startswith("0/")
    assert one["score"][others].median() > one["score"][~others].median()
    of_asked = table[table["path"] == min(path for path in table["path"] if path.startswith("1/"))]
    assert of_asked["score"].to_numpy() == pytest.approx(asked["score"].to_numpy(), rel=1e-6)
    assert "data:image/" in (project / "digits-scores.html").read_text()


@pytest.mark.walks
@pytest.mark.timeout(3600)
def test_surfaces_go_from_a_folder_with_masks_to_scores(project: Path, tmp_path: Path) -> None:
    printed = run_page(DOCS / "surfaces.md", project, tmp_path, "hybrid")
    assert "efficientnet_lite0_maps+padim" in printed[1]
    runs = {run.info.run_name: run.data.metrics for run in recorded(tmp_path).comparisons}
    for detector in ("padim", "patchcore", "mahalanobis"):
        metrics = runs[f"metal · efficientnet_lite0_maps+{detector}"]
        assert min(metrics["pixel_auroc"], metrics["pixel_auroc_scratch"], metrics["pixel_auroc_hole"]) > 0.9
    table = pd.read_csv(project / "metal-scores.csv")
    assert len(table) == 32
    defects = ~table["path"].str.startswith("good/")
    assert table["score"][defects].min() > table["score"][~defects].max()
    assert "its heat map" in (project / "metal-scores.html").read_text()
    assert len(list((project / "metal-maps").rglob("*.tiff"))) == 32
    left, top, right, bottom = Image.open(project / "metal/ground_truth/scratch/0_mask.png").getbbox()
    *box, _ = map(float, printed[-2].splitlines()[0].split())
    assert (box[0] + box[2]) / 2 == pytest.approx((left + right) / 2, abs=8)
    assert (box[1] + box[3]) / 2 == pytest.approx((top + bottom) / 2, abs=8)
    assert Image.open(project / "where.jpg").size == (480, 480)


@pytest.mark.walks
@pytest.mark.timeout(3600)
def test_the_serving_page(project: Path, tmp_path: Path) -> None:
    small = ["--dataset", "optdigits", "--classes", "0,8", "--limit", "60", "--epochs", "2", "--detectors", "vae"]
    assert run_inside(tmp_path, "benchmark", *small).returncode == 0
    printed = run_page(DOCS / "serving.md", project, tmp_path)
    curl, python, in_process = printed[-3:]
    (first, second) = answers(curl).to_dict("records")
    example = json.loads((DOCS / "serving.md").read_text().split("```json\n")[1].split("```")[0])
    assert first.keys() == example["predictions"][0].keys()
    head, score, probability, _ = python.splitlines()[0].split()
    assert (head, float(score), float(probability)) == (first["head"], first["score"], first["probability"])
    assert python.splitlines()[1] == "4 rows"
    assert second["head"] in in_process


def test_the_page_on_monitoring(project: Path, tmp_path: Path) -> None:
    small = ["--dataset", "optdigits", "--classes", "0", "--epochs", "1", "--detectors", "pca"]
    assert run_inside(tmp_path, "benchmark", *small).returncode == 0
    client = mlflow.MlflowClient(uri(tmp_path))
    version = mlflow.register_model(recorded(tmp_path).comparisons[0].data.tags["model_uri"], "anomaly-detector")
    client.set_registered_model_alias("anomaly-detector", "champion", version.version)
    (project / "today").mkdir()
    for number in range(40):
        Image.new("L", (8, 8), number).save(project / "today" / f"{number:04}.png")
    (printed,) = run_page(DOCS / "monitor.md", project, tmp_path)
    page = (DOCS / "monitor.md").read_text()
    (like,) = re.findall(r"^```text\n(.*)\n", page, re.MULTILINE)
    (unlike,) = re.findall(r"`\.\.\. (no longer .*?)pairs;", page, re.DOTALL)
    said, rate, *_ = printed.splitlines()
    assert rate in page
    for words in re.split(r"[\d,.]+", f"{' '.join(unlike.split())} pairs; {like.partition('(')[2]}"):
        assert words in said
    assert (project / "monitor.html").exists()


@pytest.mark.walks
def test_the_page_on_thresholds(project: Path, tmp_path: Path) -> None:
    small = ["--dataset", "optdigits", "--classes", "0,8", "--detectors", "pca", "--log_models", "none"]
    assert run_inside(tmp_path, "benchmark", *small).returncode == 0
    (project / "photos").mkdir()
    for number, pixels in enumerate(optdigits().test.images[:20]):
        Image.fromarray(pixels).save(project / f"photos/{number}.png")
    page = DOCS / "thresholds.md"
    registered, at_a_third, found, broken = run_page(page, project, tmp_path)
    assert "20 % false alarms asked for: on the test" in registered
    assert "Anomalies, by a false-alarm rate of 30 %:" in at_a_third
    assert "Anomalies, by a false-discovery rate of 20 %:" in found
    shown = page.read_text().split("```text\n")[-1].split("```")[0]
    for line, printed in zip(shown.splitlines(), broken.splitlines(), strict=True):
        assert line[:46] == printed[:46]
        numbers = [[float(number) for number in re.findall(r"\d+\.\d", each[46:])] for each in (line, printed)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1)
