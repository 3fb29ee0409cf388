from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data import cache
from fanogan_mtl.data.cache import (
    default_data_dir,
    file_digest,
    file_digests,
    in_use,
    key_of,
    published_folder,
    read_array,
    read_facts,
    write_entry,
)
from fanogan_mtl.errors import UserError

FILL = """
import sys, time
from pathlib import Path
from fanogan_mtl.data.cache import published_folder

def fill(folder):
    (folder / "first").write_text(sys.argv[2])
    print("half", flush=True)
    sys.stdin.readline()
    (folder / "second").write_text(sys.argv[2])

published_folder(Path(sys.argv[1]), fill)
print((Path(sys.argv[1]) / "second").read_text(), flush=True)
"""


def start(folder: Path, text: str) -> subprocess.Popen[str]:
    """Start a process that fills half of the folder, and return once it has."""
    process = subprocess.Popen(
        [sys.executable, "-c", FILL, str(folder), text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    return process


def contents(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != cache.CONTENTS)


def fill_at_once(folder: Path) -> None:
    (folder / "second").write_text("quick")


def test_a_killed_process_leaves_no_half_folder(tmp_path: Path):
    folder = tmp_path / "kind" / "entry"
    process = start(folder, "killed")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not folder.exists()
    published_folder(folder, fill_at_once)
    assert contents(folder) == ["second"]


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path: Path):
    folder = tmp_path / "kind" / "entry"
    process = start(folder, "killed")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = folder.parent.iterdir()
    os.utime(left, (time.time() - 25 * 3600,) * 2)
    published_folder(folder, fill_at_once)
    assert list(folder.parent.iterdir()) == [folder]


def test_of_two_processes_that_fill_at_once_one_wins_and_both_go_on(tmp_path: Path):
    folder = tmp_path / "kind" / "entry"
    first, second = start(folder, "first"), start(folder, "second")
    assert first.communicate("go\n")[0] == "first\n"
    assert second.communicate("go\n")[0] == "first\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_is_filled_once(tmp_path: Path):
    def fail(folder: Path) -> None:
        raise AssertionError

    folder = published_folder(tmp_path / "kind" / "entry", fill_at_once)
    assert published_folder(folder, fail) == folder


def test_a_failure_leaves_nothing(tmp_path: Path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        published_folder(tmp_path / "kind" / "entry", fail)
    assert list((tmp_path / "kind").iterdir()) == []


def fill_arrays(folder: Path) -> None:
    write_entry(folder, {"numbers": np.arange(1000), "more": np.arange(9)}, {"name": "Zoë"})


def cut(folder: Path) -> None:
    os.truncate(folder / "numbers.npy", 500)


def zero(folder: Path) -> None:  # as after a power cut: the right size, and nothing in it
    size = (folder / "numbers.npy").stat().st_size
    (folder / "numbers.npy").write_bytes(bytes(size))


def flip(folder: Path) -> None:
    content = bytearray((folder / "numbers.npy").read_bytes())
    content[-1] ^= 1
    (folder / "numbers.npy").write_bytes(content)


def flip_and_keep_the_time(folder: Path) -> None:
    status = (folder / "numbers.npy").stat()
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    flip(folder)
    os.utime(folder / "numbers.npy", ns=(status.st_atime_ns, status.st_mtime_ns))


def take(folder: Path) -> None:
    (folder / "more.npy").unlink()


def cut_the_note(folder: Path) -> None:
    os.truncate(folder / cache.CONTENTS, 20)


def age(folder: Path) -> None:
    (folder / cache.CONTENTS).unlink()


def renumber(folder: Path) -> None:
    note = folder / cache.CONTENTS
    note.write_text(note.read_text().replace('"format": 1', '"format": 7'))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (cut, "numbers.npy has 500 bytes, not 8,128"),
        (flip_and_keep_the_time, "numbers.npy has other content than was written"),
        (zero, "numbers.npy has other content than was written"),
        (flip, "numbers.npy has other content than was written"),
        (take, "more.npy is missing"),
        (cut_the_note, "can't be read"),
        (age, "was written by an older version"),
        (renumber, "has format 7 of the cache, not 1"),
    ],
)
def test_what_is_damaged_or_older_is_noticed_and_made_again(
    tmp_path: Path, break_it: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published_folder(tmp_path / "kind" / "entry", fill_arrays)
    break_it(folder)
    published_folder(folder, fill_arrays)
    assert read_array(folder, "numbers").tolist() == list(range(1000))
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert line.endswith(": it is made again")
    assert in_use(folder)
    assert contents(folder) == ["facts.json", "more.npy", "numbers.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".running", "kind"]


def test_a_copy_with_other_time_stamps_is_whole(tmp_path: Path) -> None:
    folder = published_folder(tmp_path / "kind" / "entry", fill_arrays)
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    assert in_use(folder)


def test_damage_that_cannot_be_removed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published_folder(tmp_path / "kind" / "entry", fill_arrays)
    cut(folder)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache, "discard", refuse)
    with pytest.raises(UserError, match=r"entry is damaged .*, and can't be removed \(Read-only file system\)"):
        in_use(folder)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        UserError, match=r"can't write to the data folder .*file/prepared \(Not a directory\); set data_dir"
    ):
        published_folder(tmp_path / "file" / "prepared" / "entry", fill_at_once)


def test_a_full_disk_is_one_line(tmp_path: Path):
    def fill(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"can't write .*entry \(No space left on device\); free space or set data_dir"):
        published_folder(tmp_path / "kind" / "entry", fill)


def test_arrays_and_facts_come_back(tmp_path: Path):
    write_entry(tmp_path, {"numbers": np.arange(6).reshape(2, 3)}, {"name": "Zoë"})
    numbers = read_array(tmp_path, "numbers")
    assert isinstance(numbers, np.memmap)
    assert not numbers.flags.writeable
    assert numbers.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_facts(tmp_path) == {"name": "Zoë"}


def test_a_key_depends_on_every_part():
    keys = {
        key_of(1, ["a"], {"x": 1}),
        key_of(1, ["b"], {"x": 1}),
        key_of(1, ["a"], {"x": 2}),
        key_of(2, ["a"], {"x": 1}),
    }
    assert len(keys) == 4
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the clock a minute fast: what was written just now has lain there for a while."""
    now = time.time
    monkeypatch.setattr(cache.time, "time", lambda: now() + 60)


@pytest.mark.usefixtures("later")
def test_a_file_digest_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    first = file_digest(path, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(cache.hashlib, "file_digest", None)
        assert file_digest(path, tmp_path) == first
    path.write_bytes(b"other")
    assert file_digest(path, tmp_path) != first


def test_a_file_that_has_just_changed_is_read_again(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    status = path.stat()
    first = file_digest(path, tmp_path)
    path.write_bytes(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as on a file system with coarse time stamps
    assert file_digest(path, tmp_path) != first


def test_a_file_that_has_just_come_is_read_again_however_old_it_says_it_is(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    os.utime(path, (1e9, 1e9))
    file_digest(path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", ["", "0123", "\N{SNOWMAN}", "0" * 63 + "g"])
def test_a_damaged_note_of_a_digest_is_not_believed(tmp_path: Path, damage: str):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    first = file_digest(path, tmp_path)
    (note,) = (tmp_path / "digests").iterdir()
    note.write_text(damage, encoding="utf-8")
    assert file_digest(path, tmp_path) == first


def write_in_place(new: Path, path: Path) -> None:
    """As `rsync -t --inplace` does."""
    path.write_bytes(new.read_bytes())
    shutil.copystat(new, path)


REPLACEMENTS = {"cp -p": shutil.copy2, "rsync --inplace": write_in_place, "mv": Path.rename}


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("replace", REPLACEMENTS.values(), ids=REPLACEMENTS)
def test_other_content_of_the_same_size_and_time_stamp_is_read(tmp_path: Path, replace: Callable[[Path, Path], object]):
    path, new = tmp_path / "file", tmp_path / "new"
    for each, content in ((path, b"first"), (new, b"other")):
        each.write_bytes(content)
        os.utime(each, (1e9, 1e9))
    digests = file_digest(path, tmp_path), file_digest(new, tmp_path)
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    replace(new, path)
    assert (path.stat().st_size, path.stat().st_mtime) == (5, 1e9)
    assert file_digest(path, tmp_path) == digests[1] != digests[0]


@pytest.mark.usefixtures("later")
def test_files_of_any_age_and_name_have_digests(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"caf\xe9\n")
    path.write_bytes(b"first")
    os.utime(path, (-1e9, -1e9))
    assert file_digest(path, tmp_path) == file_digest(path, tmp_path)
    assert len(list((tmp_path / "digests").iterdir())) == 1


def test_a_folders_digests_are_its_files_and_read_again_while_they_have_just_changed(tmp_path: Path):
    names = ["one", "two"]
    for name in names:
        (tmp_path / name).write_text(name)
    status = (tmp_path / "two").stat()
    first = file_digests(tmp_path, names, tmp_path / "data")
    assert first == [file_digest(tmp_path / name, tmp_path / "data") for name in names]
    (tmp_path / "two").write_text("owt")
    os.utime(tmp_path / "two", ns=(status.st_atime_ns, status.st_mtime_ns))
    again = file_digests(tmp_path, names, tmp_path / "data")
    assert [one == other for one, other in zip(first, again, strict=True)] == [True, False]


def test_data_live_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert default_data_dir() == Path("/elsewhere/fanogan-mtl")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_data_dir() == Path.home() / ".cache" / "fanogan-mtl"
