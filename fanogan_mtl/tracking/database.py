"""MLflow's SQLite database, made and upgraded so that it is whole whenever the process is killed.

MLflow does both statement by statement, and what a kill leaves of that it never opens again: tables without the number
of their revision. So a new database is made under another name and then renamed, and before an older one is upgraded
it is copied; a copy that is still there was left by somebody who was killed, and is put back, unless all was done but
its removal.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

LOGS = ("-journal", "-wal", "-shm")  # SQLite's own, beside a database: half of what is in it


def prepare_database(uri: str) -> None:
    """Make the database of a tracking URI, or upgrade it, if it is a file of SQLite's and needs that.

    Raises
    ------
    OSError, sqlite3.Error, mlflow.exceptions.MlflowException
        As SQLite or MLflow fails.
    """
    path = _file_of(uri)
    if path is None:
        return
    making, copy = (path.with_name(path.name + suffix) for suffix in (".new", ".before-upgrade"))
    if path.exists() and not making.exists() and not copy.exists() and _has_all_tables(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        _remove(making)
        if copy.exists() and _is_of_this_version(path):  # and may have been used since
            copy.unlink()
        elif copy.exists():
            _remove(path)
            copy.rename(path)
        if not path.exists():
            _make(path, making)
        elif not _has_all_tables(path):
            _upgrade(path, copy, making)


def _file_of(uri: str) -> Path | None:
    """The file of a URI such as `sqlite:///mlflow.db`; None for any other store, and for SQLite's in memory."""
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


def _has_all_tables(path: Path) -> bool:
    """Whether MLflow takes the file as it is; where it doesn't, it makes or upgrades tables."""
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking import sqlalchemy_store  # noqa: F401  # it names the tables

    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return set(Base.metadata.tables) <= tables


def _is_of_this_version(path: Path) -> bool:
    """Whether an upgrade has come to its end: all tables, and the number of the newest revision."""
    import mlflow
    from alembic.script import ScriptDirectory

    if not path.exists() or not _has_all_tables(path):
        return False
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    with closing(sqlite3.connect(path)) as database:
        (found,) = database.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
    return bool(found == scripts.get_current_head())


def _make(path: Path, making: Path) -> None:
    _let_mlflow_make_tables(making)
    try:
        os.link(making, path)  # unlike renaming, it replaces nothing that another program has made meanwhile
        making.unlink()
    except FileExistsError:
        making.unlink()
    except OSError:  # a file system without links
        making.rename(path)


def _upgrade(path: Path, copy: Path, making: Path) -> None:
    with closing(sqlite3.connect(path)) as database, closing(sqlite3.connect(making)) as other:
        database.backup(other)
    making.rename(copy)
    try:
        _let_mlflow_make_tables(path)
    except Exception:  # it is as it was before, for whoever can mend it
        _remove(path)
        copy.rename(path)
        raise
    copy.unlink()


def _let_mlflow_make_tables(path: Path) -> None:
    from mlflow.db import commands
    from sqlalchemy.engine import URL

    address = URL.create("sqlite", database=str(path.resolve())).render_as_string()
    commands.main(["upgrade", address], standalone_mode=False)


def _remove(path: Path) -> None:
    """Remove a database; its logs first, which would else be taken for those of the next file of that name."""
    for each in (*(path.with_name(path.name + log) for log in LOGS), path):
        each.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """While active, no other process of this project makes or upgrades a database in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
