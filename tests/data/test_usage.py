"""Pruning takes what no running process uses, while others look for it, make it and use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fanogan_mtl.data import usage
from fanogan_mtl.data.usage import claim, discard, exclusive_lock, leftover_trash, move_to_trash

SWEEP = """
import sys, time
from pathlib import Path
from fanogan_mtl.data.cache import published_folder

def fill(folder):
    time.sleep(0.02)
    (folder / "array").write_text("content")

folders = [published_folder(Path(sys.argv[1]) / "prepared" / f"{number:032x}", fill) for number in range(3)]
while not Path(sys.argv[2]).exists():
    assert all((folder / "array").read_text() == "content" for folder in folders)
"""
PRUNER = """
import sys
from contextlib import redirect_stdout
from pathlib import Path
from fanogan_mtl.workflows.cache import CacheOptions, cache

data_dir = Path(sys.argv[1])
with (data_dir / "said").open("a", buffering=1) as said, redirect_stdout(said):
    while not (data_dir / "stop").exists():
        cache(CacheOptions(str(data_dir), "all"))
"""
KEPT = "Kept 3 that a running process may be using"
USER = """
import sys
from pathlib import Path
from fanogan_mtl.data.usage import claim

print("looking", flush=True)
print(claim(Path(sys.argv[2]), Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""


def python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def user_of(path: Path, data_dir: Path) -> subprocess.Popen[str]:
    process = python(USER, data_dir, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "looking\n"
    assert process.stdout.readline() == "True\n"
    return process


def prunable(path: Path, data_dir: Path) -> bool:
    with exclusive_lock(data_dir) as since:
        return path.stat().st_mtime < since


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_sweeps_prepare_and_use_what_a_third_process_prunes_all_the_time(tmp_path: Path) -> None:
    said, prepared = tmp_path / "said", tmp_path / "prepared"
    said.touch()
    pruner = python(PRUNER, tmp_path)
    for turn in range(3):
        enough = tmp_path / f"enough-{turn}"
        sweeps = [python(SWEEP, tmp_path, enough), python(SWEEP, tmp_path, enough)]
        os.truncate(said, 0)
        wait_until(lambda: said.read_text().count(KEPT) > 5)
        enough.touch()
        for sweep in sweeps:
            _, complaints = sweep.communicate(timeout=800)
            assert sweep.returncode == 0, complaints
        wait_until(lambda: not list(prepared.iterdir()))
    (tmp_path / "stop").touch()
    _, complaints = pruner.communicate(timeout=800)
    assert pruner.returncode == 0, complaints
    assert leftover_trash(tmp_path) == []


def test_who_looks_while_others_prune_waits_and_then_finds_nothing(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    with exclusive_lock(tmp_path):
        process = python(USER, tmp_path, entry)
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        time.sleep(0.5)
        move_to_trash([entry], tmp_path)
    assert process.communicate("end\n")[0] == "False\n"


def test_what_a_process_uses_is_kept_until_it_ends_however_that_is(tmp_path: Path) -> None:
    used, other = tmp_path / "used", tmp_path / "other"
    for path in (used, other):
        path.mkdir()
        os.utime(path, (1e9, 1e9))
    process = user_of(used, tmp_path)
    assert not prunable(used, tmp_path)
    assert prunable(other, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert prunable(used, tmp_path)
    assert list((tmp_path / ".running").iterdir()) == []


def test_a_clock_that_is_set_back_takes_nothing_from_a_process(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "entry"
    path.mkdir()
    process = user_of(path, tmp_path)
    (registered,) = (tmp_path / ".running").iterdir()
    ahead = time.time() + 3600
    os.utime(registered, (ahead, ahead))
    assert prunable(path, tmp_path)
    process.communicate("end\n")
    monkeypatch.setattr(usage.time, "time", lambda: 1e9)  # 2001
    assert claim(path, tmp_path)
    assert path.stat().st_mtime >= usage.oldest_start(tmp_path) > 1e9


def test_nothing_is_marked_where_nothing_is(tmp_path: Path) -> None:
    assert not claim(tmp_path / "nothing", tmp_path)


def test_a_folder_goes_at_once_and_what_has_vanished_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "entry").mkdir()
    trash = move_to_trash([tmp_path / "vanished", tmp_path / "entry"], tmp_path)
    assert trash is not None
    assert not (tmp_path / "entry").exists()
    assert leftover_trash(tmp_path) == [trash]
    discard(trash, tmp_path)
    assert list(tmp_path.iterdir()) == []
