"""Upkeep of a data folder: what is in it, how large it is and when it was used; what nobody uses may go."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.data.usage import leftover_trash, pruning, throw_away
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.upkeep.stored import KINDS, Stored, list_stored, undriven_studies

_DAY = 24 * 3600.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class CacheOptions:
    """What a person may choose, as text; `python -m entrypoints.cache --help` says what each means."""

    data_dir: str = "auto"
    prune: str = "none"
    days: str = "30"


def cache(options: CacheOptions) -> int:
    """List what is in the data folder, and prune it where asked to.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        For an unknown choice, a folder that isn't there, or one that can't be written and shall be pruned.
    """
    prune = read.parse_choice("prune", options.prune, ("none", "unused", "all", *KINDS))
    days = read.parse_count("days", options.days, 0)
    data_dir = default_data_dir() if options.data_dir == "auto" else Path(options.data_dir).expanduser().resolve()
    if not data_dir.is_dir():
        raise UserError(f"data_dir {str(data_dir)!r}: there is no such folder; a first run makes it")
    if prune == "none":
        stored = list_stored(data_dir, _with_progress)
        _print_table(stored)
        click.echo(_size_line(stored, data_dir))
        return 0
    try:
        _prune(data_dir, prune, days)
    except OSError as error:
        raise UserError(f"data_dir {str(data_dir)!r} can't be pruned ({error.strerror or error})") from None
    return 0


def size_line(data_dir: Path) -> str:
    """Size of the data folder by kind, in one line."""
    return _size_line(list_stored(data_dir), data_dir)


def _size_line(stored: Sequence[Stored], data_dir: Path) -> str:
    sizes: Counter[str] = Counter()
    for each in stored:
        sizes[each.kind] += each.size
    by_kind = ", ".join(f"{kind} {shown_size(size)}" for kind, size in sizes.most_common())
    return f"{data_dir} holds {shown_size(sizes.total())}" + (f": {by_kind}" if by_kind else "")


def shown_size(size: float) -> str:
    """A number of bytes as people read it."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {_UNITS[power]}" if size >= 9.95 or not power else f"{size:.1f} {_UNITS[power]}"


def _prune(data_dir: Path, prune: str, days: int) -> None:
    with pruning(data_dir) as in_use_since:
        stored = list_stored(data_dir, _with_progress)
        asked = [each for each in stored if _is_asked_for(each, prune, time.time() - days * _DAY)]
        with undriven_studies(asked) as undriven:
            free = [each for each in asked if each.used < in_use_since]
            going = [each for each in free if each.kind != "studies" or each in undriven]
            throw_away([path for each in going for path in each.paths], data_dir)
    for trash in leftover_trash(data_dir):  # nobody waits for the lock while this takes its time
        for path in _with_progress(list(trash.iterdir())):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.rmtree(trash, ignore_errors=True)
    if going:
        _print_table(going)
    click.echo(f"Removed {len(going)}, {shown_size(sum(each.size for each in going))}")
    if len(going) < len(asked):
        click.echo(f"Kept {len(asked) - len(going)} that a running process may be using")


def _is_asked_for(stored: Stored, prune: str, before: float) -> bool:
    if prune == "unused":
        return KINDS[stored.kind].remade and stored.used <= before
    return prune in ("all", stored.kind)


def _print_table(stored: Sequence[Stored]) -> None:
    click.echo(f"{'kind':12} {'size':>7}  {'last used':16}  what")
    for each in stored:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
        click.echo(f"{each.kind:12} {shown_size(each.size):>7}  {used}  {each.name}")
    click.echo("")


def _with_progress(paths: Iterable[Path]) -> Iterable[Path]:
    from tqdm import tqdm

    shown: Iterable[Path] = tqdm(paths, unit="entry", delay=2.0, leave=False)
    return shown
