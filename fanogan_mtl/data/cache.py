"""Prepared arrays on disk: written once, whole or not at all, and read as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.progress import progress
from fanogan_mtl.errors import UserError

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished folder is a dead process's
_SETTLED = 2.0  # seconds after which a further write surely changes a file's time stamp


def default_data_dir() -> Path:
    """Where data sets are kept unless the user says otherwise: `fanogan-mtl` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fanogan-mtl"


def key_of(*parts: Any) -> str:
    """Make a key, 32 hexadecimal digits, of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def published_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder, filled at once if it isn't there.

    It is filled under a temporary name beside it and then renamed: a process that dies leaves no half of it, and of two
    that fill it at the same time one wins.

    Raises
    ------
    UserError
        Where the folder can't be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.glob(f".{folder.name}-*"):
            if time.time() - other.stat().st_mtime > _ABANDONED:
                shutil.rmtree(other, ignore_errors=True)
        temporary = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(f"can't write to the data folder {folder.parent} ({error.strerror}); set data_dir") from None
    try:
        fill(temporary)
        temporary.chmod(0o755)  # mkdtemp's is private, and a team shares its data folder
        temporary.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(f"can't write {folder} ({error.strerror or error}); free space or set data_dir") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def write_entry(folder: Path, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
    """Write arrays and JSON facts into a folder."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the JSON facts of a folder that `write_entry` filled."""
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return facts


def read_array(folder: Path, name: str) -> NDArray[Any]:
    """Map one array of a folder that `write_entry` filled, read-only."""
    array: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array


def file_digest(path: Path, data_dir: Path) -> str:
    """SHA-256 of a file's bytes; remembered in `data_dir` for as long as its size and time stamp stay."""
    status = path.stat()
    identity = (str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino)
    note = data_dir / "digests" / key_of(*identity)
    try:
        return note.read_text(encoding="ascii")
    except OSError:
        pass
    digest = _digest(path)
    if time.time() - status.st_mtime > _SETTLED:
        _remember(note, digest)
    return digest


def file_digests(folder: Path, names: Sequence[str], data_dir: Path) -> list[str]:
    """As `file_digest`, of many files of a folder, all remembered by one note."""
    statuses = [os.stat(f"{folder}/{name}") for name in names]  # noqa: PTH116 - Path would take three times as long
    identities = [
        (name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in zip(names, statuses, strict=True)
    ]
    note = data_dir / "digests" / key_of(str(folder.resolve()), identities)
    try:
        return note.read_text(encoding="ascii").split()
    except OSError:
        pass
    shown_as = f"reading {folder.name}"
    digests = [_digest(folder / name) for name in progress(names, len(names), shown_as)]
    if time.time() - max(status.st_mtime for status in statuses) > _SETTLED:
        _remember(note, "\n".join(digests))
    return digests


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(note: Path, digest: str) -> None:
    """Write a note whole; a folder that can't be written only costs time."""
    temporary = note.with_name(f".{note.name}-{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(digest, encoding="ascii")
        temporary.replace(note)
    except OSError:
        temporary.unlink(missing_ok=True)
