"""The run of an entry point in MLflow: what was asked for, on what it ran, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.environment import environment_tags
from fanogan_mtl.tracking.outbox import own_journal, recover
from fanogan_mtl.tracking.records import Record

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@contextmanager
def entry_run(
    tracking: Tracking,
    entry: str,
    subject: str,
    options: DataclassInstance,
    device: str = "cpu",
    data_dir: Path | None = None,
) -> Iterator[str]:
    """While active, the entry's run goes on; then it is FINISHED, after an error FAILED, after Ctrl-C KILLED.

    Parameters
    ----------
    entry : str
        The entry point's name, which is the run's level.
    subject : str
        What it is about, for the run's name.
    options : dataclass
        The options as typed: they become the run's parameters.
    data_dir : Path, optional
        Where other processes see that this one is alive, by default the user's cache; the run of one that was killed is
        ended by the next process.

    Yields
    ------
    str
        The run's id.
    """
    data_dir = data_dir or default_data_dir()
    recover(tracking, data_dir, click.echo)
    with own_journal(tracking, data_dir) as mark:
        typed = {name: str(value) for name, value in asdict(options).items()}
        record = Record(typed, tags={**environment_tags(device), **mark})
        run_id = records.start_run(tracking, entry, f"{entry} {subject}", record)
        try:
            yield run_id
        except BaseException as error:
            records.finish_after(error, partial(records.finish, tracking, run_id))
            raise
        records.finish(tracking, run_id)
