"""Upkeep of a data folder: what is in it, how large it is and when it was used; what nobody uses may go."""

from __future__ import annotations

from pathlib import Path

import click

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import CacheOptions
from fanogan_mtl.upkeep.prune import print_stored, remove, total_line, with_progress
from fanogan_mtl.upkeep.stored import KINDS, list_stored


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
        stored = list_stored(data_dir, with_progress)
        print_stored(stored)
        click.echo(total_line(stored, data_dir))
        return 0
    try:
        remove(data_dir, prune, days)
    except OSError as error:
        raise UserError(f"data_dir {str(data_dir)!r} can't be pruned ({error.strerror or error})") from None
    return 0
