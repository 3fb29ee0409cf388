"""Tells the sizes of what lies in a data folder, and removes it."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from fanogan_mtl.data.usage import exclusive_lock, leftover_trash, move_to_trash
from fanogan_mtl.text_table import text_table
from fanogan_mtl.upkeep.stored import KINDS, Stored, list_stored, undriven_studies

_DAY = 24 * 3600.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_line(data_dir: Path) -> str:
    """Size of the data folder by kind, in one line."""
    return total_line(list_stored(data_dir), data_dir)


def total_line(stored: Sequence[Stored], data_dir: Path) -> str:
    """Say in one line how much lies in the folder, by kind."""
    sizes: Counter[str] = Counter()
    for each in stored:
        sizes[each.kind] += each.size
    by_kind = ", ".join(f"{kind} {shown_size(size)}" for kind, size in sizes.most_common())
    return f"{data_dir} holds {shown_size(sizes.total())}" + (f": {by_kind}" if by_kind else "")


def shown_size(size: float) -> str:
    """Write a number of bytes for people."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {_UNITS[power]}" if size >= 9.95 or not power else f"{size:.1f} {_UNITS[power]}"


def remove(data_dir: Path, prune: str, days: int) -> None:
    """Remove what is asked for (`prune` as in `CacheOptions`) and not in use, and print what was removed."""
    with exclusive_lock(data_dir) as in_use_since:
        stored = list_stored(data_dir, with_progress)
        asked = [each for each in stored if _is_asked_for(each, prune, time.time() - days * _DAY)]
        with undriven_studies(asked) as undriven:
            free = [each for each in asked if each.used < in_use_since]
            going = [each for each in free if each.kind != "studies" or each in undriven]
            move_to_trash([path for each in going for path in each.paths], data_dir)
    for trash in leftover_trash(data_dir):  # nobody waits for the lock while this takes its time
        for path in with_progress(list(trash.iterdir())):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.rmtree(trash, ignore_errors=True)
    if going:
        print_stored(going)
    click.echo(f"Removed {len(going)}, {shown_size(sum(each.size for each in going))}")
    if len(going) < len(asked):
        click.echo(f"Kept {len(asked) - len(going)} that a running process may be using")


def _is_asked_for(stored: Stored, prune: str, before: float) -> bool:
    if prune == "unused":
        return KINDS[stored.kind].remade and stored.used <= before
    return prune in ("all", stored.kind)


def print_stored(stored: Sequence[Stored]) -> None:
    """Print one line per stored thing."""
    rows = [["kind", "size", "last used", "what"]]
    for each in stored:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
        rows.append([each.kind, shown_size(each.size), used, each.name])
    click.echo(f"{text_table(rows, left=(0, 2, 3))}\n")


def with_progress(paths: Iterable[Path]) -> Iterable[Path]:
    """Give the paths one by one, under a progress bar."""
    from tqdm import tqdm

    shown: Iterable[Path] = tqdm(paths, unit="entry", delay=2.0, leave=False)
    return shown
