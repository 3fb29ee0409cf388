"""Folders and lists of images become tables and pages of scores, whatever lies in them and whatever interrupts."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from full_disk import files_of_at_most
from PIL import Image
from project_runs import mlflow_run, recorded, run_inside, script, start_script, uri
from scipy.stats import false_discovery_control
from sklearn.datasets import load_digits

from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import ScoreOptions
from fanogan_mtl.scores import images as images_room
from fanogan_mtl.scores.contact_sheet import MOST_IMAGES, summarise_scores
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.scores.table import ScoredRow, append_rows, complete, open_journal, read_rows
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.scoring import CHUNK_IMAGES
from fanogan_mtl.workflows.score import score

COLUMNS = ["path", "head", "score", "threshold", "p_value", "probability", "is_anomaly", "error"]
HEADS = ["optdigits/0", "optdigits/8"]
FACTS = {"model": "models:/m/1", "heads": "a, b", "input": "in"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with small models of two heads."""
    folder = tmp_path_factory.mktemp("store")
    arguments = ["--detectors", "vae,knn", "--classes", "0,8", "--epochs", "2", "--limit", "60", "--log_models", "all"]
    process = run_inside(folder, "benchmark", "--dataset", "optdigits", *arguments)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="module")
def model(store: Path) -> str:
    return next(
        run.data.tags["model_uri"] for run in recorded(store).comparisons if run.data.params["detector"] == "vae"
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More images than two chunks, of several sizes and kinds, in a tree."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(2 * CHUNK_IMAGES + 6):
        shape = [(8, 8), (20, 31), (9, 7, 3)][number % 3]
        below = folder / f"part {number % 2}"
        below.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(
            below / f"{number:03}.{'pngJPG'[number % 2 * 3 :][:3]}"
        )
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def scores(store: Path, model: str, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of all photos, by a run without interruption."""
    output = tmp_path_factory.mktemp("scores") / "made" / "scores.csv"
    process = mlflow_run(store, "score", {"model": model, "input": str(photos), "output": str(output)})
    assert process.returncode == 0, process.stderr
    assert "Scores are in" in process.stdout.splitlines()[-1]
    assert str(output) in process.stdout.splitlines()[-1]
    return output


@pytest.fixture
def in_store(store: Path) -> None:
    mlflow.set_tracking_uri(uri(store))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table_of(path: Path) -> pd.DataFrame:
    """A table in CSV, read to the last bit by any pandas."""
    numbers = dict.fromkeys(COLUMNS[2:6], float)
    read = pd.DataFrame(rows(path)).astype(numbers)
    return read.assign(is_anomaly=read["is_anomaly"].map({"True": True, "False": False}))


def score_runs(store: Path) -> list[mlflow.entities.Run]:
    return mlflow.MlflowClient(uri(store)).search_runs(["0"], "tags.level = 'score'")


@pytest.mark.usefixtures("in_store")
def test_scores_are_the_served_models_to_the_bit(model: str, photos: Path, scores: Path) -> None:
    served = mlflow.pyfunc.load_model(model)
    files = sorted([*photos.rglob("[0-9]*.png"), *photos.rglob("*.JPG")])
    expected = served.predict(pd.DataFrame({"image": [file.read_bytes() for file in files]}))
    table = table_of(scores)
    assert list(table.columns) == COLUMNS
    assert table["path"].tolist() == [file.relative_to(photos).as_posix() for file in files for _ in HEADS]
    assert (table["error"] == "").all()
    for name in ("head", "score", "threshold", "p_value", "probability", "is_anomaly"):
        assert table[name].tolist() == expected[name].tolist(), name


def test_the_run_of_mlflow_has_the_page_and_the_counts(store: Path, model: str, scores: Path, tmp_path: Path) -> None:
    run = min(score_runs(store), key=lambda run: run.info.start_time)
    assert run.info.status == "FINISHED"
    assert run.data.params["output"] == str(scores)
    assert run.data.params["model"] == model
    assert run.data.metrics == {"images": 2 * CHUNK_IMAGES + 6, "errors": 0}
    page = mlflow.MlflowClient(uri(store)).download_artifacts(run.info.run_id, "scores.html", str(tmp_path))
    assert Path(page).read_bytes() == scores.with_suffix(".html").read_bytes()


def test_nothing_but_table_and_page_is_left(scores: Path) -> None:
    assert sorted(path.name for path in scores.parent.iterdir()) == ["scores.csv", "scores.html"]


def test_the_page_shows_each_heads_highest_scores(scores: Path) -> None:
    page = scores.with_suffix(".html").read_text()
    assert page.count("<figure") == MOST_IMAGES * len(HEADS)
    assert page.count("data:image/jpeg") == 2 * MOST_IMAGES * len(HEADS)
    table = table_of(scores)
    for head in HEADS:
        section = page.partition(f"<h2>{head}: highest scores</h2>")[2].partition("</section>")[0]
        best = table[table["head"] == head].sort_values("score", ascending=False, kind="stable").head(MOST_IMAGES)
        shown = [part.partition("</span>")[0] for part in section.split('<span class="name">')[1:]]
        assert shown == best["path"].tolist()
    assert "http" not in page
    assert "src=" in page


@pytest.mark.usefixtures("in_store")
def test_one_head_into_parquet(model: str, photos: Path, scores: Path, tmp_path: Path) -> None:
    output = tmp_path / "one.parquet"
    assert score(ScoreOptions(model, str(photos), str(output), HEADS[1])) == 0
    table = pd.read_parquet(output)
    assert list(table.columns) == COLUMNS
    of_csv = table_of(scores).query("head == @HEADS[1]")
    for name in COLUMNS[:-1]:
        assert table[name].tolist() == of_csv[name].tolist(), name
    assert table["error"].isna().all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.html", "one.parquet"]


@pytest.mark.usefixtures("in_store")
def test_maps_are_the_models_own_and_those_of_an_interrupted_run_are_made_up_for(
    model: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["part 0/000.png", "nowhere.png", str(photos / "part 1" / "001.JPG")]
    (photos.parent / "some.txt").write_text("\n".join([f"{photos.name}/{names[0]}", *names[1:]]))
    options = ScoreOptions(
        model=model, input=str(photos.parent / "some.txt"), output=str(tmp_path / "s.csv"), maps=str(tmp_path / "maps")
    )
    with monkeypatch.context() as cut:
        cut.setattr("fanogan_mtl.workflows.score.append_rows", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            score(options)
    next((tmp_path / "maps").rglob("*.tiff")).unlink()
    score(options)
    read = load_served(model)
    files = {path for path in (tmp_path / "maps").rglob("*") if path.is_file()}
    for name in (f"{photos.name}/{names[0]}", names[2]):
        with one_thread():
            maps = heat_maps(read, read.heads, read_image_file(photos.parent / name))
        for head, expected in zip(read.heads, maps, strict=True):
            path = tmp_path / "maps" / head.spec.name / f"{name.lstrip('/')}.tiff"
            np.testing.assert_array_equal(np.asarray(Image.open(path)), expected.values)
            files.remove(path)
    assert not files  # none of what can't be read, and nothing half written


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("in_store")
def test_rates_decide_over_the_same_scores(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = next(
        run.data.tags["model_uri"] for run in recorded(store).comparisons if run.data.params["detector"] == "knn"
    )
    heads = {head.spec.name: head for head in load_served(model).heads}
    digits = load_digits()
    (tmp_path / "in").mkdir()
    for number in np.flatnonzero(np.isin(digits.target, (0, 1, 8)))[:90]:
        pixels = np.round(digits.images[number] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"in/{digits.target[number]}-{number}.png")
    tables = []
    for options, told in (
        ({}, "a false-alarm rate of 10 %"),
        ({"false_alarm_rate": "0.5"}, "a false-alarm rate of 50 %"),
        ({"fdr": "0.3"}, "a false-discovery rate of 30 %"),
    ):
        output = tmp_path / f"{len(tables)}.csv"
        assert score(ScoreOptions(model, str(tmp_path / "in"), str(output), **options)) == 0
        assert f"Anomalies, by {told}:" in capsys.readouterr().out
        assert f"by {told}." in output.with_suffix(".html").read_text()
        tables.append(table_of(output))
        for name in ("path", "head", "score", "p_value", "probability"):
            assert tables[-1][name].tolist() == tables[0][name].tolist(), name
    for name, head in heads.items():
        as_registered, at_half, by_discoveries = (table[table["head"] == name] for table in tables)
        p_values = as_registered["p_value"].to_numpy()
        assert as_registered["is_anomaly"].tolist() == (p_values <= 0.1).tolist()
        assert at_half["is_anomaly"].tolist() == (p_values <= 0.5).tolist()
        assert set(at_half["threshold"]) == {head.threshold_at(0.5)}
        found = false_discovery_control(p_values) <= 0.3
        assert by_discoveries["is_anomaly"].tolist() == found.tolist()
        assert 0 < found.sum() < len(found)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        f"{at}.{kind}" for at in range(3) for kind in ("csv", "html")
    ]
    assert score(ScoreOptions(model, str(tmp_path / "in"), str(tmp_path / "none.csv"), fdr="0.02")) == 0
    printed = capsys.readouterr().out
    for name in heads:
        assert (
            f"{name}: at this rate 54 held-out images find anomalies among 90 images only where 82 or more" in printed
        )


@pytest.mark.usefixtures("in_store")
def test_what_can_not_be_read_is_a_row_and_the_others_are_scored(
    store: Path, model: str, photos: Path, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sorted((photos / "part 0").iterdir())[:2]
    folder = tmp_path / "in"
    (folder / "directory.png").mkdir(parents=True)
    os.mkfifo(folder / "pipe.png")
    shutil.copy(good[0], folder / "a.png")
    shutil.copy(good[1], folder / 'z, "quoted".png')
    (folder / "cut.png").write_bytes(good[0].read_bytes()[:-30])
    (folder / "text.png").write_text("no image at all")
    listed = ["a.png", "absent.png", "cut.png", "text.png", "pipe.png", "directory.png", "", 'z, "quoted".png', "a.png"]
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(listed).encode())
    assert score(ScoreOptions(model, str(folder / "list.txt"), str(tmp_path / "out.csv"))) == 0
    assert "input: 1 line names an image that was named before: each is scored once" in capsys.readouterr().err
    made = rows(tmp_path / "out.csv")
    errors = {row["path"]: row for row in made if row["error"]}
    assert list(errors) == listed[1:6]
    assert all(list(row.values())[1:7] == [""] * 6 for row in errors.values())
    assert "No such file" in errors["absent.png"]["error"]
    assert "damaged" in errors["cut.png"]["error"]
    assert "no image that is known; PNG, JPEG, TIFF, BMP and WebP are read" in errors["text.png"]["error"]
    assert errors["pipe.png"]["error"] == "not a file"
    others = [row for row in made if not row["error"]]
    assert [(row["path"], row["head"]) for row in others] == [
        (path, head) for path in (listed[0], listed[7]) for head in HEADS
    ]
    expected = {(row["path"], row["head"]): row["score"] for row in rows(scores)}
    names = {"a.png": good[0], listed[7]: good[1]}
    for row in others:
        assert row["score"] == expected[f"part 0/{names[row['path']].name}", row["head"]]
    page = (tmp_path / "out.html").read_text()
    assert "z, &#34;quoted&#34;.png" in page
    assert "5 images could not be read" in page
    run = max(score_runs(store), key=lambda run: run.info.start_time)
    assert run.data.metrics == {"images": 2, "errors": 5}


@pytest.mark.usefixtures("in_store")
def test_of_a_folder_nothing_is_lost_but_what_systems_leave(
    model: str, photos: Path, scores: Path, tmp_path: Path
) -> None:
    good = next((photos / "part 0").iterdir())
    folder = tmp_path / os.fsdecode(b"f\xf6lder")  # no UTF-8
    for name in ("a.png", "b", "c_mask.png", "mask/d.png", "Thumbs.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good, folder / name)
    (folder / "e.txt").write_text("no image")
    assert score(ScoreOptions(model, str(folder), str(tmp_path / "out.csv"), HEADS[0])) == 0
    made = {row["path"]: row for row in rows(tmp_path / "out.csv")}
    assert list(made) == ["a.png", "b", "c_mask.png", "e.txt", "mask/d.png"]
    known = next(row for row in rows(scores) if row["path"] == good.relative_to(photos).as_posix())
    assert made["a.png"]["score"] == made["b"]["score"] == known["score"]
    assert "a mask" in made["c_mask.png"]["error"]
    assert "a mask" in made["mask/d.png"]["error"]
    assert made["e.txt"]["error"]
    assert "f\\xf6lder, scored by" in (tmp_path / "out.html").read_text()


def test_a_file_without_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything

        def refuse(_: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="Permission denied"):
        images_room.read_image_file(path)


@pytest.mark.usefixtures("in_store")
def test_killed_in_the_middle_it_goes_on_to_the_same_files(
    store: Path, model: str, photos: Path, scores: Path, tmp_path: Path
) -> None:
    output, journal = tmp_path / "scores.csv", tmp_path / "scores.partial.csv"
    chunk = CHUNK_IMAGES * len(HEADS)  # rows, below the header
    process = start_script(store, "score", *arguments(model, photos, output))
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") <= chunk):
        time.sleep(0.001)  # a chunk that is not whole is scored again
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=800)
    assert process.returncode == -signal.SIGKILL
    whole = journal.read_bytes().rpartition(b"\n")[0]  # the last row may be torn, as the kernel writes by pages
    journal.write_bytes(whole + b"\n")
    finished = rows(journal)
    assert len(finished) >= chunk
    assert finished == rows(scores)[: len(finished)]
    marked = journal.read_text().splitlines()
    marked[1] = marked[1].replace(finished[0]["score"], "1234.5")
    journal.write_text("\n".join(marked) + "\npart 1/torn")
    assert score(ScoreOptions(model, str(photos), str(output))) == 0
    made = rows(output)
    assert made[0]["score"] == "1234.5"  # not scored again
    assert made[1:] == rows(scores)[1:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.html"]


@pytest.mark.usefixtures("in_store")
def test_ctrl_c_ends_the_run_as_killed_and_another_model_is_refused(
    store: Path, model: str, photos: Path, tmp_path: Path
) -> None:
    output, journal = tmp_path / "scores.csv", tmp_path / "scores.partial.csv"
    many = tmp_path / "list.txt"
    files = sorted((photos / "part 0").iterdir())
    many.write_text("\n".join(f"{'./' * number}{file}" for number in range(0, 40) for file in files))
    process = start_script(store, "score", *arguments(model, many, output))
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < CHUNK_IMAGES):
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=800)[0]
    assert process.returncode == 130, printed
    assert "start the same command again to go on" in printed.splitlines()[-1]
    assert max(score_runs(store), key=lambda run: run.info.start_time).info.status == "KILLED"
    assert one_line(store, *arguments(model, many, output), "--heads", HEADS[0]) == (
        f"Error: {journal} holds unfinished scores of heads {HEADS[0]}, {HEADS[1]}, not {HEADS[0]}: "
        "delete it to start anew, or give the same options to go on"
    )
    other = next(run for run in recorded(store).comparisons if run.data.params["detector"] == "knn").data.tags[
        "model_uri"
    ]
    with pytest.raises(UserError, match="holds unfinished scores of model"):
        score(ScoreOptions(other, str(many), str(output)))


def arguments(model: str, input_: Path | str, output: Path | str) -> list[str]:
    return ["--model", model, "--input", str(input_), "--output", str(output)]


def one_line(store: Path, *given: str) -> str:
    """What is printed for a mistake: one line, before any run is made."""
    before = len(score_runs(store))
    process = script(store, "score", *given)
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.splitlines()
    assert len(score_runs(store)) == before
    return line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "none"}, "model: which one?"),
        ({"model": "models:/nobody/7"}, "models:/nobody/7 can't be fetched"),
        ({"input": "none"}, "input: which images?"),
        ({"input": "nowhere/at/all"}, "'nowhere/at/all' is not there"),
        ({"input": "EMPTY"}, "has no image"),
        ({"input": "IMAGE"}, "is one image"),
        ({"input": "BINARY"}, "is no text"),
        ({"output": "scores.xlsx"}, "ends in .csv or .parquet"),
        ({"output": "IMAGE/scores.csv"}, "is no folder"),
        ({"output": "/proc/scores.csv"}, "can't be written"),
        ({"output": "FOLDER"}, "is a folder"),
        ({"heads": "optdigits/5"}, "no head 'optdigits/5'; there are optdigits/0, optdigits/8"),
        ({"false_alarm_rate": "5"}, "false_alarm_rate '5': shares between 0 and 1, please"),
        ({"false_alarm_rate": "0.1,0.2"}, "false_alarm_rate '0.1,0.2': one share, please"),
        (
            {"false_alarm_rate": "0.01"},
            "false_alarm_rate: head optdigits/0: 6 held-out normal scores: the lowest false-alarm rate that can be "
            "promised is 14.3 %, not 1 %",
        ),
        ({"fdr": "0.1"}, "6 held-out normal scores, too few to find anything at 10 %: 14.3 % is the lowest"),
        ({"fdr": "0.1", "false_alarm_rate": "0.1"}, "false_alarm_rate and fdr: one of them, please"),
        ({"maps": "PHOTOS/part 0/maps"}, "lies among the images"),
        ({"maps": "BINARY"}, "is a file: give the name of a folder"),
        ({"maps": "/proc/maps"}, "can't be written"),
        ({"maps": "MAPS", "input": "TWICE"}, "'a.png' and '../a.png' would have one file"),
        ({"maps": "MAPS", "input": "LONG"}, "is too long for a map beside its .tiff: shorten it"),
    ],
    ids=lambda value: "-".join(map("=".join, value.items())).replace("/", "_") if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("in_store")
def test_a_mistake_is_one_line(
    store: Path,
    model: str,
    photos: Path,
    tmp_path: Path,
    change: dict[str, str],
    words: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "binary").write_bytes(b"a.png\0b.png")
    (tmp_path / "twice.txt").write_text("a.png\n../a.png\n")
    (tmp_path / "long.txt").write_text("ö" * 124 + ".png\n")  # 252 bytes
    image = next((photos / "part 0").iterdir())
    places = {
        "PHOTOS": photos,
        "TWICE": tmp_path / "twice.txt",
        "LONG": tmp_path / "long.txt",
        "MAPS": tmp_path / "maps",
        "EMPTY": tmp_path / "empty",
        "IMAGE": image,
        "BINARY": tmp_path / "binary",
        "FOLDER": tmp_path / "folder.csv",
    }
    given = {"model": model, "input": str(photos), "output": str(tmp_path / "scores.csv"), "heads": "all", **change}
    for word, path in places.items():
        given = {name: value.replace(word, str(path)) for name, value in given.items()}
    before = len(score_runs(store))
    with pytest.raises(UserError) as raised:
        score(ScoreOptions(**given))
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(score_runs(store)) == before
    assert not list(tmp_path.glob("scores*"))
    assert not (tmp_path / "maps").exists()
    assert not (photos / "part 0" / "maps").exists()


@pytest.mark.usefixtures("in_store")
def test_a_model_whose_files_are_gone_is_one_line(model: str, photos: Path, tmp_path: Path) -> None:
    version = mlflow.register_model(model, "gone").version
    files = Path(mlflow.get_logged_model(model.rpartition("/")[2]).artifact_location)
    files.rename(files.with_name("moved"))
    try:
        for address in (model, f"models:/gone/{version}"):
            with pytest.raises(UserError) as raised:
                score(ScoreOptions(address, str(photos), str(tmp_path / "scores.csv")))
            gone = "is known, but its files are gone from the artifact store: put them back"
            assert str(raised.value) == f"model {address} {gone}"
    finally:
        files.with_name("moved").rename(files)


@pytest.fixture
def finished() -> list[list[ScoredRow]]:
    """Rows of each of two chunks of images and a half; the second image can't be read."""
    images = [
        [ScoredRow(f"{at:03}", head, at + 0.1, 1.0, 0.25, 0.5, at > 1) for head in "ab"]
        for at in range(CHUNK_IMAGES * 5 // 2)
    ]
    images[1] = [ScoredRow("001", error="no image")]
    return images


def whole(images: list[list[ScoredRow]]) -> Iterator[ScoredRow]:
    return (row for image in images for row in image)


@pytest.mark.parametrize("cut", [1, 2, 20, 31, 45, 70])
def test_a_torn_journal_is_whole_chunks_again(tmp_path: Path, finished: list[list[ScoredRow]], cut: int) -> None:
    output = tmp_path / "t.csv"
    with open_journal(output, FACTS, "ab") as journal:
        append_rows(journal, whole(finished[: 2 * CHUNK_IMAGES]))
    with journal.path.open("r+b") as file:
        file.truncate(journal.path.stat().st_size - cut)
    with open_journal(output, FACTS, "ab") as journal:
        assert sorted(journal.done) == [f"{at:03}" for at in range(CHUNK_IMAGES)]
        append_rows(journal, whole(finished[CHUNK_IMAGES:]))
        complete(journal, read_rows(journal.path), output)
    assert list(read_rows(output)) == list(whole(finished))


def test_without_room_it_is_one_line_and_what_was_written_stays(
    tmp_path: Path, finished: list[list[ScoredRow]]
) -> None:
    output = tmp_path / "t.csv"
    with open_journal(output, FACTS, "ab") as journal:
        append_rows(journal, whole(finished[:CHUNK_IMAGES]))
    with (
        pytest.raises(UserError, match=r"t\.partial\.csv can't be written \(File too large\): mend that"),
        files_of_at_most(journal.path.stat().st_size + 10),
        open_journal(output, FACTS, "ab") as again,
    ):
        append_rows(again, whole(finished[CHUNK_IMAGES : CHUNK_IMAGES + 2]))
    with open_journal(output, FACTS, "ab") as journal:
        assert len(journal.done) == CHUNK_IMAGES
        append_rows(journal, whole(finished[CHUNK_IMAGES:]))
        complete(journal, read_rows(journal.path), output)
    assert list(read_rows(output)) == list(whole(finished))


def test_a_journal_of_something_else_stays_as_it_is(tmp_path: Path, finished: list[list[ScoredRow]]) -> None:
    output = tmp_path / "t.csv"
    with open_journal(output, FACTS, "ab") as journal:
        append_rows(journal, whole(finished[:CHUNK_IMAGES]))
    before = journal.path.read_bytes()
    with (
        pytest.raises(Exception, match=r"t.partial.csv holds unfinished scores of input in, not out"),
        open_journal(output, {**FACTS, "input": "out"}, "ab"),
    ):
        pass
    journal.facts_path.unlink()
    with pytest.raises(Exception, match="an unknown model"), open_journal(output, FACTS, "ab"):
        pass
    assert journal.path.read_bytes() == before


def test_two_processes_do_not_write_one_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path / "t.csv", FACTS, "ab"):
        with (
            pytest.raises(Exception, match="another process writes"),
            open_journal(tmp_path / "t.parquet", FACTS, "ab"),
        ):
            pass
        assert json.loads((tmp_path / "t.partial.json").read_text()) == FACTS


def test_every_file_of_a_folder_is_listed_but_what_systems_leave(tmp_path: Path) -> None:
    image = io.BytesIO()
    Image.new("L", (4, 4)).save(image, "JPEG")
    files = {"1.PNG": b"", "2.jfif": b"", "3": image.getvalue(), "below/4.tif": b"", "notes.txt": b"no image"}
    for name, content in {**files, "Thumbs.db": b"", ".x.png": b"", "__MACOSX/5.png": b""}.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    (tmp_path / "photos/link").symlink_to(tmp_path / "photos/below")
    listed = images_room.list_images(str(tmp_path / "photos"))
    assert list(listed) == sorted([*files, "link"])
    with pytest.raises(ImageError, match="not a file"):
        images_room.read_image_file(listed["link"])


def test_a_folder_without_any_image_and_a_single_image_of_any_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match="has no image: PNG, JPEG, TIFF, BMP or WebP files are taken"):
        images_room.list_images(str(tmp_path))
    Image.new("L", (4, 4)).save(tmp_path / "photo", "PNG")
    with pytest.raises(UserError, match="is one image"):
        images_room.list_images(str(tmp_path / "photo"))


def test_masks_are_told_from_the_images_of_a_folder() -> None:
    images = {"a/1.png", "b c/1.jpg", "label.png", "2.png"}
    masks = {"a/1_mask.png", "mask/1.png", "ground_truth/b/deep/1.png", "b c/gt/1.png", "a_mask/1.png"}
    assert images_room.masks_among(images | masks) == masks
    assert images_room.masks_among({"mask/1.png", "no_mask/1.png"}) == set()


def test_names_are_one_line_of_text_whatever_their_bytes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.png", b"two\nlines.png", "größe.PNG".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    found = images_room.list_images(str(tmp_path))
    assert sorted(found) == ["caf\\xe9.png", "größe.PNG", "two\\nlines.png"]
    assert all(path.exists() for path in found.values())


def test_of_equal_scores_the_first_image_is_shown() -> None:
    table = [ScoredRow(f"{at:02}", "a", 1.0, 0.5, 0.25, 0.5, True) for at in range(40)]
    summary = summarise_scores(table, {"a": 0.5})
    assert [row.path for row in summary.top["a"]] == [f"{at:02}" for at in range(MOST_IMAGES)]
    assert (summary.images, summary.errors, summary.anomalies) == (40, 0, {"a": 40})
