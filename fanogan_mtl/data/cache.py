"""Prepared arrays on disk: written once, whole or not at all, and read as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.progress import progress
from fanogan_mtl.data.usage import claim, discard, oldest_start
from fanogan_mtl.errors import UserError

CONTENTS = ".contents.json"  # of a published folder: each file's size, time stamp and digest
_ABANDONED = 24 * 3600.0  # seconds after which an unfinished folder is a dead process's
_FORMAT = 1  # of published folders; raise it when older ones must be made again
_SETTLED = 2.0  # seconds after which a further write surely changes a file's time stamp


def default_data_dir() -> Path:
    """Where data sets are kept unless the user says otherwise: `fanogan-mtl` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fanogan-mtl"


def key_of(*parts: Any) -> str:
    """Make a key, 32 hexadecimal digits, of JSON values."""
    return digest_of(parts)


def digest_of(value: Any) -> str:
    """Make 32 hexadecimal digits of one JSON value; the order of an object's names doesn't matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def published_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder `data_dir/KIND/KEY`; it is filled first if it isn't there or is damaged.

    It is filled under a temporary name beside it and then renamed: a process that dies leaves no half of it, and of two
    processes that fill it at the same time one wins. It counts as in use until this process ends.

    Raises
    ------
    UserError
        Where the folder can't be written.
    """
    if in_use(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep_abandoned(folder)
        temporary = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(f"can't write to the data folder {folder.parent} ({error.strerror}); set data_dir") from None
    try:
        fill(temporary)
        _seal(temporary)
        temporary.chmod(0o755)  # mkdtemp's is private, and a team shares its data folder
        temporary.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(f"can't write {folder} ({error.strerror or error}); free space or set data_dir") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    claim(folder, folder.parent.parent)
    return folder


def in_use(folder: Path) -> bool:
    """Whether a published folder is there and whole; if so, nobody prunes it until this process has ended.

    One that is damaged, or written by another version of the cache, is removed.

    Raises
    ------
    UserError
        Where it can't be removed.
    """
    data_dir = folder.parent.parent
    if not claim(folder, data_dir):
        return False
    damage = _damage(folder)
    if damage is None:
        return True
    print(f"{folder} {damage}: it is made again", file=sys.stderr)
    try:
        discard(folder, data_dir)
    except OSError as error:
        raise UserError(f"{folder} {damage}, and can't be removed ({error.strerror}); delete it") from None
    return False


def _sweep_abandoned(folder: Path) -> None:
    """Remove what processes left that were killed while they filled a folder."""
    before = min(time.time() - _ABANDONED, oldest_start(folder.parent.parent))
    for other in folder.parent.glob(f".{folder.name}-*"):
        with suppress(FileNotFoundError):
            if other.stat().st_mtime < before:
                shutil.rmtree(other, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Bring a folder's files to the disk, and note what they are."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CONTENTS):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        status = path.stat()
        files[str(path.relative_to(folder))] = [status.st_size, status.st_mtime_ns, _digest(path)]
    with (folder / CONTENTS).open("w", encoding="utf-8") as file:
        json.dump({"format": _FORMAT, "files": files}, file)
        file.flush()
        os.fsync(file.fileno())


def _damage(folder: Path) -> str | None:
    """What is wrong with a published folder; bytes are compared where a file has changed since."""
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        sealed = (folder / CONTENTS).stat().st_ctime_ns
        if contents["format"] != _FORMAT:
            return f"has format {contents['format']} of the cache, not {_FORMAT}"
        for name, (size, mtime, digest) in contents["files"].items():
            status = (folder / name).stat()
            if status.st_size != size:
                return f"is damaged ({name} has {status.st_size:,} bytes, not {size:,})"
            changed = status.st_mtime_ns != mtime or status.st_ctime_ns > sealed
            if changed and _digest_at(folder / name, status.st_ctime_ns) != digest:
                return f"is damaged ({name} has other content than was written)"
    except FileNotFoundError as error:
        if Path(error.filename).name == CONTENTS:
            return "was written by an older version"
        return f"is damaged ({Path(error.filename).name} is missing)"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"is damaged ({CONTENTS} can't be read)"
    return None


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
    """SHA-256 of a file's bytes; kept in `data_dir` and used again as long as the file hasn't changed."""
    return file_digests(path.parent, [path.name], data_dir)[0]


def file_digests(folder: Path, names: Sequence[str], data_dir: Path) -> list[str]:
    """As `file_digest`, of many files of a folder, all remembered by one note."""
    statuses = [os.stat(f"{folder}/{name}") for name in names]  # noqa: PTH116 - Path would take three times as long
    # whoever puts other content into a file can set its size and time stamp, but not the time of the change
    stamps = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino) for each in statuses]
    identity = hashlib.sha256(os.fsencode("\0".join([str(folder.resolve()), *names])))
    identity.update(repr(stamps).encode())
    note = data_dir / "digests" / identity.hexdigest()[:32]
    known = _recall(note, len(names))
    if known is not None:
        return known
    shown_as = f"reading {folder.name}"
    digests = [_digest(f"{folder}/{name}") for name in progress(names, len(names), shown_as)]
    if time.time() - max(max(each.st_mtime, each.st_ctime) for each in statuses) > _SETTLED:
        _remember(note, "\n".join(digests))
    return digests


def _recall(note: Path, count: int) -> list[str] | None:
    """Read a note of so many digests; None where there is none, or a damaged one."""
    try:
        content = note.read_bytes()
    except OSError:
        return None
    ends = content[64::65] == b"\n" * (count - 1) and content.count(b"\n") == count - 1
    if len(content) != 65 * count - 1 or not ends or content.translate(None, b"0123456789abcdef\n"):
        return None
    return content.decode().split("\n")


@lru_cache(maxsize=1000)
def _digest_at(path: Path, changed: int) -> str:
    """SHA-256 of a file as it was at the time of its last change."""
    return _digest(path)


def _digest(path: Path | str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - Path would cost a tenth of a small file's reading
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
