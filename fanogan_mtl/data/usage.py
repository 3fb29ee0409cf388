"""Which processes use a data folder, so that pruning takes nothing from one that runs.

Each process that uses a data folder keeps a locked file in its `.running`, as old as the process's first use of the
folder. What a process uses it claims, which sets the time of last use: whatever was last used before the oldest of
these files is in no running process's use. To look for something and to claim it is one step, as both happen under a
shared lock on `.lock`, which pruning holds exclusively.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

_TRASH = ".trash-"


def claim(path: Path, data_dir: Path) -> bool:
    """Claim a file or folder, so that nobody prunes it until this process has ended; False if it isn't there."""
    with _shared_lock(data_dir):
        began = _register(data_dir)
        if not path.exists():
            return False
        with suppress(OSError):  # what can't be written can't be pruned either
            now = max(time.time(), began)  # the clock may have been set back
            os.utime(path, (now, now))
    return True


def oldest_start(data_dir: Path) -> float:
    """Give the time at which the oldest process that uses the folder began to; infinity if there is none."""
    return min(_running(data_dir).values(), default=math.inf)


@contextmanager
def exclusive_lock(data_dir: Path) -> Iterator[float]:
    """Hold the data folder exclusively while pruning: no other process can claim anything.

    Yields the time at which the oldest other process that uses the folder began to; infinity if there is none.

    Raises
    ------
    OSError
        Where the folder can't be written.
    """
    with (data_dir / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = _running(data_dir, sweep=True)
        running.pop(_own_file(data_dir), None)
        yield min(running.values(), default=math.inf)


def move_to_trash(paths: list[Path], data_dir: Path) -> Path | None:
    """Move files and folders into one new trash folder, which is still to be deleted; None for an empty list.

    Moving takes no time, however much it is. What has vanished meanwhile is passed over.
    """
    if not paths:
        return None
    trash = Path(mkdtemp(prefix=_TRASH, dir=data_dir))
    for number, path in enumerate(paths):
        with suppress(FileNotFoundError):
            path.rename(trash / str(number))
    return trash


def leftover_trash(data_dir: Path) -> list[Path]:
    """Trash folders that nobody has deleted, as the process that made them was killed."""
    return sorted(data_dir.glob(f"{_TRASH}*"))


def discard(path: Path, data_dir: Path) -> None:
    """Remove a folder: it is gone for every process at once, and its files are deleted afterwards."""
    trash = move_to_trash([path], data_dir)
    if trash is not None:
        shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def _shared_lock(data_dir: Path) -> Iterator[None]:
    """Let pruning wait; where the lock can't be written nobody can prune, and none is needed."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / ".lock").open("a")
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _register(data_dir: Path) -> float:
    """Make this process' file, whose lock goes with the process however that ends; give the time of its first use."""
    path = _own_file(data_dir)
    try:
        if path not in _LOCKED or not path.exists():
            path.parent.mkdir(exist_ok=True)
            _LOCKED[path] = path.open("a")
            fcntl.flock(_LOCKED[path], fcntl.LOCK_SH)
            os.utime(path)  # a dead process may have had the same number
        return path.stat().st_mtime
    except OSError:
        return 0.0


_LOCKED: dict[Path, IO[str]] = {}


def _own_file(data_dir: Path) -> Path:
    return data_dir / ".running" / f"{socket.gethostname()}-{os.getpid()}"


def _running(data_dir: Path, sweep: bool = False) -> dict[Path, float]:
    """Files of running processes, each with the time of its first use; with `sweep` those of dead ones are removed."""
    running = {}
    for path in (data_dir / ".running").glob("*"):
        with suppress(FileNotFoundError):
            if path in _LOCKED or not _is_free(path):
                running[path] = path.stat().st_mtime
            elif sweep:
                path.unlink()
    return running


def _is_free(path: Path) -> bool:
    """Whether no process has a file locked; one that can't be opened is another user's, and taken to be locked."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True
