"""Upkeep of the data folder from the outside."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from project_runs import run_inside, script, script_here

from fanogan_mtl.data.cache import write_entry
from fanogan_mtl.plan.options import CacheOptions
from fanogan_mtl.upkeep import stored
from fanogan_mtl.upkeep.prune import shown_size, size_line
from fanogan_mtl.upkeep.stored import list_stored
from fanogan_mtl.workflows.cache import cache

A, B, C = "a" * 32, "b" * 32, "c" * 32
OLD = time.time() - 40 * 24 * 3600
USE = """
import sys
from pathlib import Path
from fanogan_mtl.data.usage import claim

assert claim(Path(sys.argv[2]), Path(sys.argv[1]))
print("used", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """One of everything, last used forty days ago, and things that are not ours."""
    folder = tmp_path / "data"
    for name in (f"prepared/{A}", f"extractors/{B}", f"checkpoints/{C}", f"models/{C}-20", "studies", "digests"):
        (folder / name).mkdir(parents=True)
    features = folder / "features" / f"{B}-{'d' * 16}-all"
    (features).mkdir(parents=True)
    (features / "features.npy").write_bytes(bytes(2_000_000))
    (folder / "torchvision" / "mnist" / "MNIST" / "raw").mkdir(parents=True)
    write_entry(folder / "prepared" / A, {}, {"name": "parts", "source": "npz", "classes": ["a"], "digest": "f" * 64})
    described = '{"extractor": "lenet5", "domains": ["mnist", "usps"], "held_out_class": "3", "seed": 1}'
    (folder / "extractors" / B / "extractor.json").write_text(described)
    (folder / "checkpoints" / C / "history.json").write_text('{"history": [{}, {}], "epochs": 9}')
    (folder / "studies" / "mine.journal").write_text("{}")
    for number in range(3):
        (folder / "digests" / f"{number:032x}").write_text("0" * 64)
    for name in ("models/holiday.txt", "prepared/README", "notes.txt", "studies/mine.lock"):
        (folder / name).write_text("mine")
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (OLD, OLD))
    return folder


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def kinds(folder: Path) -> list[str]:
    return [each.kind for each in list_stored(folder)]


EVERYTHING = ["prepared", "extractors", "features", "checkpoints", "models", "torchvision", "studies", "digests"]


def test_everything_is_listed_in_words(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(data_dir.rglob("*"))
    assert cache(CacheOptions(str(data_dir))) == 0
    header, *rows, _, last = lines_of(capsys)
    assert header.split() == ["kind", "size", "last", "used", "what"]
    day = time.strftime("%Y-%m-%d", time.localtime(OLD))
    assert all(day in row for row in rows)
    words = [
        ("prepared", f"parts (npz), 1 classes, digest {'f' * 16}"),
        ("extractors", "lenet5 learned from mnist+usps without class 3, seed 1, key bbbbbbbb"),
        ("features", f"of data {'d' * 16} by lenet5 bbbbbbbb"),
        ("checkpoints", "unfinished training of extractor cccccccc, 2 epochs done"),
        ("models", "detector of an unfinished sweep, cell cccccccc at 20 epochs"),
        ("torchvision", "mnist, as downloaded"),
        ("studies", "study mine"),
        ("digests", "3 notes of files' content"),
    ]
    for row, (kind, name) in zip(rows, words, strict=True):
        assert row.startswith(kind)
        assert row.endswith(name)
    assert "2.0 MB" in rows[2]
    assert last == size_line(data_dir)
    assert last.startswith(f"{data_dir} holds 2.0 MB: features 2.0 MB, ")
    assert sorted(data_dir.rglob("*")) == before


@pytest.mark.parametrize(
    ("prune", "days", "left"),
    [
        ("all", "30", []),
        ("unused", "30", ["studies"]),
        ("unused", "50", EVERYTHING),
        ("features", "30", [kind for kind in EVERYTHING if kind != "features"]),
        ("studies", "30", [kind for kind in EVERYTHING if kind != "studies"]),
    ],
)
def test_what_is_asked_for_goes_and_nothing_else(data_dir: Path, prune: str, days: str, left: list[str]) -> None:
    assert cache(CacheOptions(str(data_dir), prune, days)) == 0
    assert kinds(data_dir) == left
    for name in ("models/holiday.txt", "prepared/README", "notes.txt"):
        assert (data_dir / name).read_text() == "mine"
    assert list(data_dir.glob(".trash*")) == []


def test_what_a_running_process_uses_stays(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = data_dir / "prepared" / A
    process = subprocess.Popen(
        [sys.executable, "-c", USE, str(data_dir), str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "used\n"
    with (data_dir / "studies" / "mine.lock").open("a") as study:
        fcntl.flock(study, fcntl.LOCK_EX)
        assert cache(CacheOptions(str(data_dir), "all")) == 0
    assert kinds(data_dir) == ["prepared", "studies"]
    assert lines_of(capsys)[-1] == "Kept 2 that a running process may be using"
    process.communicate("end\n")
    assert cache(CacheOptions(str(data_dir), "all")) == 0
    assert kinds(data_dir) == []


def test_what_a_killed_process_left_goes(data_dir: Path) -> None:
    half = data_dir / "extractors" / f".{C}-abcd"
    trash = data_dir / ".trash-abcd"
    for folder in (half, trash):
        folder.mkdir()
        (folder / "weights").write_text("half")
    os.utime(half, (OLD, OLD))
    os.utime(half / "weights", (OLD, OLD))
    assert cache(CacheOptions(str(data_dir), "extractors")) == 0
    assert not half.exists()
    assert not trash.exists()


def test_what_vanishes_or_is_damaged_while_it_is_listed_is_no_trouble(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_dir / "prepared" / A / "facts.json").write_text("{")
    children: Callable[[Path], list[Path]] = stored._children

    def and_more(folder: Path) -> list[Path]:
        return [*children(folder), folder / B, folder / f"{B}-{'d' * 16}-9", folder / "gone.journal"]

    monkeypatch.setattr(stored, "_children", and_more)
    for prune in ("none", "all"):
        assert cache(CacheOptions(str(data_dir), prune)) == 0
    assert "damaged (unknown), 0 classes, digest unknown" in capsys.readouterr().out
    monkeypatch.undo()
    assert kinds(data_dir) == []


def test_a_folder_that_cannot_be_written_is_listed_and_not_pruned(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        (data_dir / ".lock").mkdir()  # root may write everywhere, but not here
    else:
        data_dir.chmod(0o500)
    assert cache(CacheOptions(str(data_dir))) == 0
    assert len(lines_of(capsys)) == len(EVERYTHING) + 3
    with pytest.raises(Exception, match=r"data_dir '.*' can't be pruned \((Is a directory|Permission denied)\)"):
        cache(CacheOptions(str(data_dir), "all"))
    data_dir.chmod(0o700)
    assert kinds(data_dir) == EVERYTHING


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prune", "everything"), "prune 'everything': one of none, unused, all, prepared, extractors, "),
        (("--prune", "unused", "--days", "soon"), "days 'soon': whole numbers"),
        (("--prune", "unused", "--days=-1"), "days '-1': -1 is too small, the least is 0"),
        (("--data_dir", "/nowhere/at/all"), "data_dir '/nowhere/at/all': there is no such folder"),
        (("--older", "9"), "No such option"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    process = script_here(tmp_path, monkeypatch, capfd, "cache", *arguments)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


def test_preprocess_prints_the_size_and_makes_again_what_was_pruned(tmp_path: Path) -> None:
    prepared = run_inside(tmp_path, "preprocess", "--dataset", "optdigits")
    assert prepared.returncode == 0, prepared.stderr
    folder = tmp_path / "cache" / "fanogan-mtl"
    assert f"{folder} holds " in prepared.stdout
    listed = script(tmp_path, "cache")
    assert listed.returncode == 0, listed.stderr
    assert "optdigits (optdigits), 10 classes, digest " in listed.stdout
    pruned = run_inside(tmp_path, "cache", "--prune", "all")  # another process would leave what this one uses
    assert pruned.returncode == 0, pruned.stderr
    assert kinds(folder) == []
    again = run_inside(tmp_path, "preprocess", "--dataset", "optdigits")
    digest = next(line for line in prepared.stdout.splitlines() if line.startswith("optdigits "))
    assert digest in again.stdout.splitlines()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_990_000, "10 MB"), (3.2e15, "3200 TB")]
)
def test_sizes_are_as_people_read_them(size: float, text: str) -> None:
    assert shown_size(size) == text
