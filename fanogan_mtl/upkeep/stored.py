"""Lists what this software stored in a data folder, named as people know it."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KEY = "[0-9a-f]{32}"


@dataclass(frozen=True)
class Stored:
    """One thing in a data folder.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    name : str
        What it is, for people.
    paths : tuple of Path
        Its folder or files.
    size : int
        Bytes.
    used : float
        When it was last used or written.
    """

    kind: str
    name: str
    paths: tuple[Path, ...]
    size: int
    used: float


@dataclass(frozen=True)
class Kind:
    """A folder of a data folder.

    Attributes
    ----------
    pattern : str
        Regular expression of the names this software gives; other files are left alone.
    describe : callable
        Path to words.
    what : str
        One sentence.
    remade : bool
        Whether a run makes it again by itself.
    """

    pattern: str
    describe: Callable[[Path], str]
    what: str
    remade: bool = True


def _prepared(folder: Path) -> str:
    facts = _facts(folder / "facts.json")
    name = f"{facts.get('name', 'damaged')} ({facts.get('source', 'unknown')})"
    return f"{name}, {len(facts.get('classes', ()))} classes, digest {str(facts.get('digest', 'unknown'))[:16]}"


def _extractor(folder: Path) -> str:
    facts = _facts(folder / "extractor.json")
    without = f" without class {facts['held_out_class']}" if facts.get("held_out_class") is not None else ""
    without += f" of class {facts['only_class']}" if facts.get("only_class") is not None else ""
    learned = f"learned from {'+'.join(facts.get('domains', ['unknown']))}{without}"
    return f"{facts.get('extractor', 'damaged')} {learned}, seed {facts.get('seed', 'unknown')}, key {folder.name[:8]}"


def _features(folder: Path) -> str:
    key, digest, limit = folder.name.rsplit("-", 2)
    extractor = _facts(folder.parents[1] / "extractors" / key / "extractor.json").get("extractor", "extractor")
    return f"of data {digest} by {extractor} {key[:8]}" + ("" if limit == "all" else f", limit {limit}")


def _checkpoint(folder: Path) -> str:
    state = _facts(folder / "history.json")
    return f"unfinished training of extractor {folder.name[:8]}, {len(state.get('history', ()))} epochs done"


def _model(folder: Path) -> str:
    key, budget = folder.name.rsplit("-", 1)
    return f"detector of an unfinished sweep, cell {key[:8]} at {budget} epochs"


def _journal(folder: Path) -> str:
    waiting = len([path for path in folder.glob("*/*") if path.is_dir()])
    return f"{waiting} results that MLflow has not yet"


KINDS = {
    "prepared": Kind(_KEY, _prepared, "data sets, prepared"),
    "extractors": Kind(_KEY, _extractor, "trained feature extractors"),
    "features": Kind(rf"{_KEY}-[0-9a-f]{{16}}-(all|\d+)", _features, "what extractors make of data sets"),
    "checkpoints": Kind(_KEY, _checkpoint, "extractors' trainings that were cut short"),
    "models": Kind(rf"{_KEY}-\d+", _model, "detectors that wait for the end of their sweep"),
    "torchvision": Kind("mnist|svhn|usps", lambda folder: f"{folder.name}, as downloaded", "published sets"),
    "studies": Kind(r"[A-Za-z0-9][A-Za-z0-9._-]*\.journal", lambda file: f"study {file.stem}", "tuning", remade=False),
    "journal": Kind(_KEY, _journal, "results on their way to MLflow", remade=False),
    "digests": Kind(_KEY, lambda _: "", "notes of files' content"),
}


def list_stored(data_dir: Path, looked_at: Callable[[Iterable[Path]], Iterable[Path]] = iter) -> list[Stored]:
    """List what is there; what another process removes meanwhile is left out.

    Parameters
    ----------
    looked_at : callable
        Wraps the paths, to show a progress bar.
    """
    folders = [(kind, data_dir / kind) for kind in KINDS]
    found = [(kind, path) for kind, folder in folders for path in _children(folder)]
    kinds = {path: kind for kind, path in found}
    stored = [_stored(kinds[path], path) for path in looked_at([path for _, path in found])]
    notes = [each for each in stored if each is not None and each.kind == "digests"]
    others = [each for each in stored if each is not None and each.kind != "digests"]
    return others + _together(notes)


@contextmanager
def undriven_studies(stored: Iterable[Stored]) -> Iterator[set[Stored]]:
    """Yield the searches that no process drives; while active, none can start to drive one."""
    with ExitStack() as stack:
        undriven = set()
        for each in stored:
            with suppress(OSError):
                if each.kind == "studies":
                    file = stack.enter_context(each.paths[0].with_suffix(".lock").open("a"))
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    undriven.add(each)
        yield undriven


def _stored(kind: str, path: Path) -> Stored | None:
    unfinished = re.fullmatch(rf"\.({KINDS[kind].pattern})-.+", path.name)
    if not unfinished and not re.fullmatch(KINDS[kind].pattern, path.name):
        return None
    try:
        used = path.stat().st_mtime
    except OSError:
        return None
    size, newest = 0, used
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                status = os.lstat(f"{folder}/{name}")
                size, newest = size + status.st_size, max(newest, status.st_mtime)
    if path.is_file():
        with suppress(OSError):
            size = path.stat().st_size
    if kind == "journal" and not size:  # MLflow has everything
        return None
    name = "left by a run that was killed, or being made" if unfinished else KINDS[kind].describe(path)
    return Stored(kind, name, (path,), size, newest)


def _together(notes: list[Stored]) -> list[Stored]:
    """Notes are many and small: one entry for all of them."""
    if not notes:
        return []
    paths = tuple(path for each in notes for path in each.paths)
    size, used = sum(each.size for each in notes), max(each.used for each in notes)
    return [Stored("digests", f"{len(notes)} notes of files' content", paths, size, used)]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _facts(path: Path) -> dict[str, Any]:
    """Read JSON facts; none where they vanished or are damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
