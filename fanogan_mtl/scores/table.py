"""The table of scores while it grows: it is appended in chunks of images, so a crash loses at most one chunk.

`OUTPUT.partial.csv` holds the rows, and `OUTPUT.partial.json` says what they are scores of. Both go when the table is
complete and has its own name.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fanogan_mtl.errors import UserError
from fanogan_mtl.serving.scoring import CHUNK_IMAGES

_ROWS = 50_000  # written at a time


class ScoredRow(NamedTuple):
    """What one head says of one image; an image that can't be read has one row, with its error and nothing else."""

    path: str
    head: str = ""
    score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    probability: float | None = None
    is_anomaly: bool | None = None
    error: str = ""


@dataclass(frozen=True)
class UnfinishedTable:
    """A table of scores that is being written.

    Attributes
    ----------
    path, facts_path : Path
    file : file
        Locked, and open for appending.
    done : frozenset of str
        Paths of the images whose rows are there already.
    """

    path: Path
    facts_path: Path
    file: BinaryIO
    done: frozenset[str]


@contextmanager
def open_journal(output: Path, facts: Mapping[str, Any], heads: Sequence[str]) -> Iterator[UnfinishedTable]:
    """Begin a table or go on with it.

    Parameters
    ----------
    output : Path
        Where the table will be.
    facts : mapping
        What the scores are of, as JSON values; a later run must give the same to go on.
    heads : sequence of str
        In the order of an image's rows.

    Raises
    ------
    UserError
        If the journal is of something else, or another process writes it.
    """
    path, facts_path = output.with_suffix(".partial.csv"), output.with_suffix(".partial.json")
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process writes {path}: wait for it, or choose another output") from None
        if path.stat().st_size:
            _check_facts(path, facts_path, facts)
        facts_path.write_text(json.dumps(facts, indent=1))  # before the first row, so that no row is without
        images = _complete_images(file, heads)
        images = images[: len(images) // CHUNK_IMAGES * CHUNK_IMAGES]  # chunks stay those of an uninterrupted run
        header = _encoded([ScoredRow._fields])
        file.truncate(images[-1][1] if images else 0)
        journal = UnfinishedTable(path, facts_path, file, frozenset(name for name, _ in images))
        if not images:
            _write(journal, header)
        yield journal


def append_rows(journal: UnfinishedTable, rows: Iterable[ScoredRow]) -> None:
    """Add all rows of some images."""
    _write(journal, _encoded(rows))


def read_rows(path: Path) -> Iterator[ScoredRow]:
    """Read the rows of a journal or of a table in CSV, one by one."""
    with path.open("rb") as file:
        for fields, _ in _records(file):
            if fields != list(ScoredRow._fields):
                yield _row(fields)


def complete(journal: UnfinishedTable, rows: Iterator[ScoredRow], output: Path) -> None:
    """Write the finished table, in the format of its suffix, and remove what was unfinished.

    Parameters
    ----------
    rows : iterator of ScoredRow
        Those of the journal, as they are to be read.
    """
    written = output.with_suffix(f".finished{output.suffix}")
    try:
        if output.suffix.lower() == ".parquet":
            _write_parquet(rows, written)
        else:
            _write_csv(rows, written)
        written.replace(output)
        journal.path.unlink()
        journal.facts_path.unlink()
    except OSError as error:
        raise _no_room(output, error) from None


def _check_facts(path: Path, facts_path: Path, facts: Mapping[str, Any]) -> None:
    try:
        found = json.loads(facts_path.read_text())
    except (OSError, ValueError):
        found = {}
    for name, value in facts.items():
        if found.get(name) != value:
            was = f"{name} {found[name]}" if name in found else f"an unknown {name}"
            raise UserError(
                f"{path} holds unfinished scores of {was}, not {value}: "
                "delete it to start anew, or give the same options to go on"
            )


def _complete_images(file: BinaryIO, heads: Sequence[str]) -> list[tuple[str, int]]:
    """The images whose rows are complete, up to the first that aren't, each with the place where its rows end."""
    file.seek(0)
    records = _records(file)
    images: list[tuple[str, int]] = []
    if next(records, ([], 0))[0] != list(ScoredRow._fields):
        return images
    waiting: list[str] = []
    for fields, end in records:
        if len(fields) != len(ScoredRow._fields):
            break
        name, head = fields[:2]
        if not waiting:
            waiting = [head] if not head else list(heads)
            current = name
        if (name, head) != (current, waiting.pop(0)):
            break
        if not waiting:
            images.append((name, end))
    return images


def _records(file: BinaryIO) -> Iterator[tuple[list[str], int]]:
    """The records of a CSV file, each with the place where it ends; a last one without an end of line is torn."""
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
                yield line.decode("utf-8", "replace")

    for fields in csv.reader(lines()):
        yield fields, end


def _row(fields: list[str]) -> ScoredRow:
    path, head, *numbers, is_anomaly, error = fields
    score, threshold, p_value, probability = (float(number) if number else None for number in numbers)
    verdict = is_anomaly == "True" if is_anomaly else None
    return ScoredRow(path, head, score, threshold, p_value, probability, verdict, error)


def _encoded(rows: Iterable[Iterable[Any]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)  # floats as their repr, which reads back to the bit
    return text.getvalue().encode("utf-8")


def _write(journal: UnfinishedTable, content: bytes) -> None:
    try:
        while content:  # past Python's buffer, which would try again when the file is closed
            content = content[os.write(journal.file.fileno(), content) :]
    except OSError as error:
        raise _no_room(journal.path, error) from None


def _no_room(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} can't be written ({error.strerror}): mend that and start the same command again to go on")


def _write_csv(rows: Iterator[ScoredRow], path: Path) -> None:
    with path.open("wb") as file:
        file.write(_encoded([ScoredRow._fields]))
        while batch := list(islice(rows, _ROWS)):
            file.write(_encoded(batch))
        file.flush()
        os.fsync(file.fileno())


def _write_parquet(rows: Iterator[ScoredRow], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    text, number = pa.string(), pa.float64()
    kinds = (text, text, number, number, number, number, pa.bool_(), text)
    schema = pa.schema(list(zip(ScoredRow._fields, kinds, strict=True)))
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _ROWS)):
            columns = [
                pa.array([None if value == "" else value for value in column], kind)
                for column, kind in zip(zip(*batch, strict=True), kinds, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
