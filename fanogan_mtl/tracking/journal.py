"""The journal of a process that records a sweep: keeps on disk the cells that MLflow does not have yet.

`FOLDER/NAME.jsonl` says which run the process drives, and has a line for each cell that waits or has been sent; a
cell's files wait in `FOLDER/NAME/`. The process keeps the journal locked, so another one can tell that it has died, and
send what waits in its stead.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking.records import DataInput, Record, Value

BEGUN = ".begun"  # ending of a journal that is not locked yet

Line = tuple[int, int]  # of a journal: where it starts, and its length, in bytes


@dataclass(frozen=True)
class ComparisonRecord:
    """A comparison's run as it is begun: it is made under `parent_id` unless the experiment has it."""

    key: str
    name: str
    parent_id: str
    tags: dict[str, str]
    parameters: dict[str, str]
    data: DataInput


@dataclass(frozen=True)
class CellRecord:
    """A cell that has ended."""

    key: str
    name: str
    comparison: ComparisonRecord
    record: Record
    failed: bool


class Journal:
    """One process' journal, locked.

    Attributes
    ----------
    name : str
        The runs that the process drives have it as a tag.
    run_id : str
        The run that it drives; empty if it had none when the journal began.
    waiting : dict
        Position in the file of each cell that is not sent yet, by key, the oldest first; the cells themselves stay on
        disk.
    """

    def __init__(self, path: Path, file: FileIO, run_id: str, waiting: dict[str, Line]) -> None:
        self._path, self._file, self.name = path, file, path.stem
        self.run_id, self.waiting = run_id, waiting
        self._lock = Lock()  # one thread adds what another has sent

    def begin(self) -> None:
        """Write down whose journal it is."""
        self._append({"run": self.run_id})
        os.fsync(self._file.fileno())

    def add(self, cell: CellRecord) -> None:
        """Put a cell on disk, its files first; they are moved.

        Raises
        ------
        UserError
            Where there is no room.
        """
        try:
            folder = self._folder(cell.key)
            folder.mkdir(parents=True, exist_ok=True)
            files = [Path(shutil.move(file, folder / file.name)) for file in cell.record.files]
            sync(*files, folder, folder.parent)
            kept = replace(cell, record=replace(cell.record, files=files))
            line = self._append({"cell": _to_json(kept)})
            os.fsync(self._file.fileno())
        except OSError as error:
            shutil.rmtree(self._folder(cell.key), ignore_errors=True)
            raise UserError(
                f"the journal {self._path} can't be written ({error.strerror}): {cell.name} is not recorded; "
                "free space and start the same command again to go on"
            ) from None
        self.waiting[cell.key] = line

    def read(self, key: str) -> CellRecord:
        """Read a cell that waits."""
        start, length = self.waiting[key]
        return _from_json(json.loads(os.pread(self._file.fileno(), length, start))["cell"])

    def sent(self, key: str) -> None:
        """Note that MLflow has a cell; a note that is lost costs a second sending, which changes nothing."""
        del self.waiting[key]
        with suppress(OSError):
            self._append({"sent": key})
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def close(self) -> None:
        """Unlock the journal; it is removed if no cell waits in it."""
        if not self.waiting:
            self._path.unlink(missing_ok=True)
            shutil.rmtree(self._path.with_suffix(""), ignore_errors=True)
        self._file.close()

    def _folder(self, key: str) -> Path:
        return self._path.with_suffix("") / key

    def _append(self, entry: dict[str, Any]) -> Line:
        return append(self._file.fileno(), entry, self._lock)


def append(descriptor: int, entry: dict[str, Any], lock: Lock) -> Line:
    """Add a line of JSON to a file, whole or not at all; give its place."""
    line = json.dumps(entry, default=_plain).encode() + b"\n"
    with lock:
        end, rest = os.fstat(descriptor).st_size, line
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    return end, len(line)


def new_journal(folder: Path, run_id: str = "") -> Journal:
    """Open a new journal for this process, which may drive a run already.

    Raises
    ------
    UserError
        Where it can't be written.
    """
    path = folder / f"{uuid4().hex}.jsonl"
    begun = path.with_suffix(BEGUN)  # nobody takes it over before it is locked
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(begun)
        journal = Journal(path, file, run_id, {})
        journal.begin()
        begun.rename(path)
        path.with_suffix("").mkdir()
        sync(folder, *folder.parents[:2])  # a power cut may not take the names either
    except OSError as error:
        for each in (begun, path):
            with suppress(OSError):
                each.unlink()
        raise UserError(f"the journal {path} can't be written ({error.strerror}): free space or set data_dir") from None
    return journal


def _locked(path: Path) -> FileIO:
    """Make a file that is locked, also where `abandoned_journals` has just removed it as one that nobody holds."""
    while True:
        file = path.open("a+b", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()


def abandoned_journals(folder: Path) -> Iterator[Journal]:
    """Take over the journals of processes that have died, one after the other; the taker closes each.

    Those that were only begun are removed.
    """
    for begun in folder.glob(f"*{BEGUN}"):
        with suppress(FileNotFoundError, BlockingIOError), begun.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            begun.unlink()
    for path in sorted(folder.glob("*.jsonl")):
        with suppress(FileNotFoundError):
            file = FileIO(path, "r+", opener=lambda name, flags: os.open(name, flags | os.O_APPEND))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            if not path.exists():  # its process came to its end meanwhile
                file.close()
                continue
            yield _read(path, file)


def _read(path: Path, file: FileIO) -> Journal:
    """Read whole lines; the last may be torn, and its cell was never taken as recorded."""
    run_id, end = "", 0
    waiting: dict[str, Line] = {}
    for line in file.read().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        start, end = end, end + len(line)
        with suppress(ValueError):
            entry = json.loads(line)
            if "run" in entry:
                run_id = entry["run"]
            elif "cell" in entry:
                waiting[entry["cell"]["key"]] = start, len(line)
            else:
                waiting.pop(entry["sent"], None)
    file.truncate(end)
    return Journal(path, file, run_id, waiting)


def _to_json(cell: CellRecord) -> dict[str, Any]:
    fields = asdict(cell)
    fields["record"]["files"] = [str(file) for file in cell.record.files]
    return fields


def _from_json(fields: dict[str, Any]) -> CellRecord:
    of = fields["comparison"]
    comparison = ComparisonRecord(**{**of, "data": DataInput(**of["data"])})
    record = fields["record"]
    values = [Value(**value) for value in record["values"]]
    files = [Path(file) for file in record["files"]]
    return CellRecord(**{
        **fields, "comparison": comparison, "record": Record(**{**record, "values": values, "files": files})
    })  # fmt: skip


def _plain(number: Any) -> Any:
    """NumPy's numbers as Python's."""
    return number.item()


def sync(*paths: Path) -> None:
    """Have files and folders on the disk itself."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
