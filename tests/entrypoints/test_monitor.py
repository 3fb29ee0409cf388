"""New images like the held-out ones raise no alarm, changed ones do, from a folder and from a table alike."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from project_runs import recorded, run_inside, uri

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.data.splits import one_vs_rest
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import MonitorOptions, ScoreOptions
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.serving.heads import Model
from fanogan_mtl.workflows import monitor as story
from fanogan_mtl.workflows.monitor import monitor
from fanogan_mtl.workflows.score import score

HEADS = ["optdigits/0", "optdigits/8"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a small model of two heads."""
    folder = tmp_path_factory.mktemp("store")
    arguments = ["--dataset", "optdigits", "--detectors", "pca", "--classes", "0,8", "--epochs", "1"]
    process = run_inside(folder, "benchmark", *arguments)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="module")
def model(store: Path) -> str:
    return recorded(store).comparisons[0].data.tags["model_uri"]


@pytest.fixture
def in_store(store: Path) -> None:
    mlflow.set_tracking_uri(uri(store))


@pytest.fixture(scope="module")
def folders(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zeros that nothing has learned from: as they are, and as if the camera had moved after the twelfth."""
    made = tmp_path_factory.mktemp("images")
    (spec,) = parse_datasets("optdigits")
    test = one_vs_rest(load_dataset(spec, store / "cache" / "fanogan-mtl"), "0", 0).test
    zeros = test.pixels[~test.anomaly]
    moved = np.where(np.arange(len(zeros))[:, None, None] < 12, zeros, np.roll(zeros, 4, axis=2))
    for name, pixels in (("same", zeros), ("moved", moved)):
        (made / name).mkdir()
        for number, each in enumerate(pixels):
            Image.fromarray(each.astype(np.uint8)).save(made / name / f"{number:02}.png")
    return made


def runs(store: Path) -> list[mlflow.entities.Run]:
    """Those of monitor, the newest first."""
    return mlflow.MlflowClient(uri(store)).search_runs(["0"], "tags.level = 'monitor'")


def options(model: str, input_: Path | str, output: Path, **others: str) -> MonitorOptions:
    return MonitorOptions(**{"model": model, "input": str(input_), "output": str(output), "heads": HEADS[0], **others})


def test_new_images_like_the_held_out_ones(store: Path, model: str, folders: Path, tmp_path: Path) -> None:
    page = tmp_path / "made" / "page.html"
    given = ["--model", model, "--input", str(folders / "same"), "--heads", HEADS[0], "--output", str(page)]
    process = run_inside(store, "monitor", *given)
    assert process.returncode == 0, process.stderr
    said, rate, _, where = process.stdout.splitlines()
    n_images = len(list((folders / "same").iterdir()))
    assert said.startswith(f"optdigits/0: {n_images} images look like the 14 held-out ones (KS p = 0.")
    assert "an alarm is at 0.005 or below; greatest martingale value " in said
    assert said.endswith("an alarm is at 200 or above)")
    assert rate == "Where nothing has changed, at most 1 % of such checks give an alarm at any head."
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert run.data.params["input"] == str(folders / "same")
    assert where == f"Figures are in {page} and in run {run.info.run_id} in {uri(store)}"
    metrics = run.data.metrics
    assert (metrics["images"], metrics["errors"], metrics["alarms"]) == (n_images, 0, 0)
    assert metrics.keys() == {
        "images", "errors", "alarms", "optdigits/0/ks_p_value", "optdigits/0/log_martingale_max",
    }  # fmt: skip
    assert metrics["optdigits/0/ks_p_value"] > 0.005
    kept = mlflow.MlflowClient(uri(store)).download_artifacts(run.info.run_id, "page.html", str(tmp_path))
    assert Path(kept).read_bytes() == page.read_bytes()
    assert "http" not in page.read_text().partition("<main>")[2].partition("<script")[0]


@pytest.mark.usefixtures("in_store")
def test_images_that_have_changed_and_some_that_can_not_be_read(
    store: Path, model: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"n\xe9w")  # no UTF-8
    shutil.copytree(folders / "moved", folder)
    (folder / "99.png").write_text("no image")
    shutil.copytree(folders / "moved", folder / "mask")
    assert monitor(options(model, folder, tmp_path / "page.html")) == 0
    errors, said, *_ = capsys.readouterr().out.splitlines()
    n_images = len(list((folders / "moved").iterdir()))
    assert errors.startswith(f"{n_images + 1} files could not be scored, the first is 99.png: no image that is known")
    assert f"{n_images} images no longer look like the 14 held-out ones: " in said
    metrics = runs(store)[0].data.metrics
    assert (metrics["images"], metrics["errors"], metrics["alarms"]) == (n_images, n_images + 1, 1)
    assert said.split(": ", 1)[1] in (tmp_path / "page.html").read_text()


@pytest.fixture(scope="module")
def table(store: Path, model: str, folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of the moved zeros."""
    mlflow.set_tracking_uri(uri(store))
    output = tmp_path_factory.mktemp("table") / "scores.csv"
    listed = output.with_name("list.txt")
    names = [str(path) for path in sorted((folders / "moved").iterdir())]
    listed.write_text("\n".join([*names[:3], "NA", *names[3:]]))
    assert score(ScoreOptions(model, str(listed), str(output))) == 0
    return output


@pytest.mark.usefixtures("in_store")
def test_a_table_says_what_its_images_say_and_heads_share_the_error_rate(
    store: Path, model: str, folders: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = tmp_path / "scores.parquet"
    assert score(ScoreOptions(model, str(table.with_name("list.txt")), str(parquet))) == 0
    capsys.readouterr()
    said = {}
    for name, source in (("folder", folders / "moved"), ("csv", table), ("parquet", parquet)):
        assert monitor(options(model, source, tmp_path / f"{name}.html", heads="all")) == 0
        said[name] = capsys.readouterr().out.splitlines()
    directory = f"{folders / 'moved'}/"
    for name in ("csv", "parquet"):
        assert said[name][0].startswith("1 file could not be scored, the first is ")
        assert [line.replace(directory, "") for line in said[name][1:4]] == said["folder"][:3]
    assert all("an alarm is at 0.0025 or below" in line for line in said["folder"][:2])
    assert all("an alarm is at 400 or above" in line for line in said["folder"][:2])
    assert [run.data.metrics["alarms"] for run in runs(store)[:3]] == [2, 2, 2]
    first = runs(store)[0].data.metrics["optdigits/8/first_alarm"]
    assert f"first alarm at image {first:.0f}, {int(first) - 1:02}.png (" in said["folder"][1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "none"}, "model: which one?"),
        ({"input": "none"}, "input: which images?"),
        ({"input": "nowhere"}, "'nowhere' is not there"),
        ({"input": "nowhere.csv"}, "'nowhere.csv' is not there"),
        ({"input": "FEW"}, "of 2 images nothing can be told at error_rate 0.01: give 3 at least"),
        ({"input": "UNREADABLE"}, "of 1 image nothing can be told at error_rate 0.01: give 3 at least"),
        ({"heads": "optdigits/5"}, "no head 'optdigits/5'; there are optdigits/0, optdigits/8"),
        ({"error_rate": "1"}, "error_rate '1': shares between 0 and 1, please"),
        ({"error_rate": "nan"}, "error_rate 'nan': shares between 0 and 1, please"),
        ({"error_rate": "0.1,0.2"}, "error_rate '0.1,0.2': one share, please"),
        ({"output": "page.pdf"}, "ends in .html, please"),
        ({"input": "EMPTY.csv"}, "EMPTY.csv' is no table that score wrote: it has no column path, head"),
        ({"input": "EMPTY.parquet"}, "EMPTY.parquet' can't be read as a table"),
        ({"input": "HEADER.csv"}, "has no scores of head optdigits/0; it has none at all"),
        ({"input": "OTHER.csv"}, "is no table that score wrote: it has no column path, head, error"),
        ({"input": "nan.csv"}, "scores of head optdigits/0 are no finite numbers, the first of /"),
        ({"input": "high.csv"}, "scores of head optdigits/0 are no finite numbers, the first of /"),
        ({"input": "ONE.csv", "heads": "all"}, "has no scores of head optdigits/0; it has optdigits/8"),
        ({"input": "FOREIGN.csv"}, "another model gave its scores of head optdigits/0: name that one"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("in_store")
def test_a_mistake_is_one_line(
    store: Path, model: str, folders: Path, table: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    images = sorted((folders / "same").iterdir())
    (tmp_path / "FEW").write_text("\n".join(map(str, images[:2])))
    (tmp_path / "UNREADABLE").write_text("\n".join([str(images[0]), *"abc"]))
    scores = pd.read_csv(table, dtype=str, keep_default_na=False)
    (tmp_path / "EMPTY.csv").touch()
    (tmp_path / "EMPTY.parquet").touch()
    scores[:0].to_csv(tmp_path / "HEADER.csv", index=False)
    scores[["score", "probability"]].to_csv(tmp_path / "OTHER.csv", index=False)
    for word in ("nan", "high"):
        replaced = scores["score"].where(scores["path"] != str(images[1]).replace("same", "moved"), word)
        scores.assign(score=replaced).to_csv(tmp_path / f"{word}.csv", index=False)
    scores[scores["head"] == HEADS[1]].to_csv(tmp_path / "ONE.csv", index=False)
    scores.assign(probability="0.5").to_csv(tmp_path / "FOREIGN.csv", index=False)
    given = {"model": model, "input": str(folders / "same"), "heads": HEADS[0], **change}
    if (tmp_path / given["input"]).exists():
        given["input"] = str(tmp_path / given["input"])
    before = len(runs(store))
    with pytest.raises(UserError) as raised:
        monitor(MonitorOptions(**{"output": str(tmp_path / "page.html"), **given}))
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(runs(store)) == before
    assert not (tmp_path / "page.html").exists()


@pytest.mark.usefixtures("in_store")
def test_a_model_of_an_earlier_version_is_one_line(
    model: str, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_held_out(uri: str) -> Model:
        loaded = load_served(uri)
        calibrations = [replace(head.spec.calibration, normal_scores=()) for head in loaded.heads]
        heads = [
            replace(head, spec=replace(head.spec, calibration=each))
            for head, each in zip(loaded.heads, calibrations, strict=True)
        ]
        return replace(loaded, heads=tuple(heads))

    monkeypatch.setattr(story, "load_served", without_held_out)
    with pytest.raises(UserError) as raised:
        monitor(options(model, folders / "same", tmp_path / "page.html"))
    assert str(raised.value) == f"model {model}: head optdigits/0 has no held-out scores: register it anew"
