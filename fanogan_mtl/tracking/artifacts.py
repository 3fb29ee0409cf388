"""Artifacts of runs: found where they lie, or fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.schema import ReadRun


def fetching_folder() -> TemporaryDirectory[str]:
    """Make a temporary folder to fetch into; after Ctrl-C MLflow's threads may still write into it as it is removed."""
    return TemporaryDirectory(ignore_cleanup_errors=True)


def artifact_folder(read: ReadRun) -> Path | None:
    """The folder of a run's artifacts, if it is one of this machine's."""
    from mlflow.utils.file_utils import get_local_path_or_none

    folder: str | None = get_local_path_or_none(read.artifact_uri)  # type: ignore[no-untyped-call]
    return Path(folder) if folder else None


@contextmanager
def found_file(tracking: Tracking, read: ReadRun, name: str) -> Iterator[Path | None]:
    """One artifact of a run where it lies, or fetched while active; None where the store has no such file."""
    if here := artifact_folder(read):
        yield here / name if _opens(here / name) else None
        return
    with fetching_folder() as folder:
        yield _fetched(tracking, read, name, Path(folder))


def _opens(file: Path) -> bool:
    try:
        file.open("rb").close()
    except FileNotFoundError:
        return False
    return True


def _fetched(tracking: Tracking, read: ReadRun, name: str, folder: Path) -> Path | None:
    by_server = read.artifact_uri.startswith(("mlflow-artifacts:", "http"))
    if by_server and not _is_stored(tracking, read, name):  # of S3's missing files it says that it failed, for minutes
        return None
    try:
        return read_file(tracking, read, name, folder)
    except Exception:  # each kind of store fails in ways of its own
        if _is_stored(tracking, read, name):
            raise
        return None


def _is_stored(tracking: Tracking, read: ReadRun, name: str) -> bool:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store: Any = get_artifact_repository(read.artifact_uri, tracking_uri=tracking.uri)
    return any(file.path == name for file in store.list_artifacts())


def read_file(tracking: Tracking, read: ReadRun, name: str, folder: Path) -> Path:
    """Fetch one artifact of a run into a folder."""
    from mlflow.artifacts import download_artifacts

    address = f"{read.artifact_uri}/{name}"  # by the run's id, the client would read the run again, twice
    return Path(download_artifacts(artifact_uri=address, dst_path=str(folder), tracking_uri=tracking.uri))
