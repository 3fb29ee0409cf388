"""Files of runs: where they lie, fetched, gone, and in a store that fails."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import mlflow
import pytest
from mlflow_server import started_server

from fanogan_mtl.tracking import artifacts, records
from fanogan_mtl.tracking.artifacts import fetching_folder, found_file
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.schema import ReadRun


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_server(tmp_path_factory.mktemp("server")) as started:
        yield started.url


def recorded(uri: str, folder: Path) -> tuple[Tracking, ReadRun]:
    """A store's connection, and a cell recorded there with one file."""
    mlflow.set_tracking_uri(uri)
    tracking = connect()
    sweep = records.start_run(tracking, "sweep", "sweep", Record())
    (folder / "cell.npz").write_text("whole")
    record = Record(tags={"cell_key": "a"}, files=[folder / "cell.npz"])
    return tracking, records.get_run(tracking, records.record_cell(tracking, sweep, "cell", record))


def test_a_file_that_is_gone_is_told_from_a_store_that_fails(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking, run = recorded(server, tmp_path)
    with found_file(tracking, run, "cell.npz") as found:
        assert found is not None
        assert found.read_text() == "whole"
    assert not found.exists()
    with found_file(tracking, run, "other.npz") as found:
        assert found is None

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr(artifacts, "read_file", fail)
    with pytest.raises(OSError, match="the store is away"), found_file(tracking, run, "cell.npz"):
        pass


def test_a_file_on_this_machine_is_read_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking, run = recorded(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    monkeypatch.setattr(artifacts, "fetching_folder", None)  # a folder is made for what is fetched alone
    with found_file(tracking, run, "cell.npz") as found:
        assert found is not None
        assert found.read_text() == "whole"
    assert found.exists()
    with found_file(tracking, run, "other.npz") as absent:
        assert absent is None
    found.unlink()
    found.mkdir()
    with pytest.raises(IsADirectoryError), found_file(tracking, run, "cell.npz"):
        pass


def test_ctrl_c_is_not_hidden_by_threads_that_still_fetch() -> None:
    ended, folders = Event(), []

    def fetch() -> None:
        while not ended.is_set():
            with suppress(OSError):
                (folders[0] / "model" / uuid4().hex).mkdir(parents=True)

    def interrupted(threads: ThreadPoolExecutor) -> None:
        with fetching_folder() as folder:
            folders.append(Path(folder))
            threads.submit(fetch)
            while not any(folders[0].iterdir()):
                time.sleep(0.01)
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        try:
            with pytest.raises(KeyboardInterrupt):
                interrupted(threads)
        finally:
            ended.set()
    shutil.rmtree(folders[0], ignore_errors=True)
