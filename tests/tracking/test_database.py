"""MLflow's SQLite database is whole after a kill at any moment, new or upgraded."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.db.base_sql_model import Base
from project_runs import ROOT

from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.tracking.database import prepare_database

NOWHERE = ""
PREPARE = "import sys; from fanogan_mtl.tracking.database import prepare_database; prepare_database(sys.argv[1])"


def uri(path: Path) -> str:
    return f"sqlite:///{path}"


def killed_at(point: str, address: str) -> int:
    """Prepare a database in a process that dies at a point; give its exit status."""
    path = os.pathsep.join([str(ROOT / "bench" / "crashes" / "points"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "CRASH_POINT": point}
    return subprocess.run([sys.executable, "-c", PREPARE, address], env=environment, capture_output=True).returncode


def check_opens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process uses the database, and nothing lies beside it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(path))
    mlflow.set_tracking_uri(uri(path))
    tracking = connect()
    run = tracking.client.create_run(tracking.experiment_id)
    assert tracking.client.get_run(run.info.run_id).info.status == "RUNNING"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("older") / "mlflow.db"
    older_database(path)
    return path


def older_database(path: Path) -> None:
    """What an older MLflow has left: with a run, and without the tables that came later."""
    prepare_database(uri(path))
    client = mlflow.MlflowClient(uri(path))
    client.create_run(client.create_experiment("kept"), run_name="of the older one")
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config

    command.downgrade(_get_alembic_config(uri(path)), "-6")


@pytest.mark.parametrize("point", ["inside a migration:1", "inside a migration:20", "after link:1"])
def test_a_new_database_is_whole_or_absent(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "100%" / "mlflow.db"
    assert killed_at(point, uri(path)) == -signal.SIGKILL
    check_opens(path, monkeypatch)


@pytest.mark.parametrize(
    "point", ["before rename:1", "after rename:1", "inside a migration:1", "inside a migration:5", NOWHERE]
)
def test_an_older_database_is_upgraded_or_as_it_was(
    point: str, older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(older, path)
    with closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert not set(Base.metadata.tables) <= names
    assert killed_at(point, uri(path)) == (0 if point == NOWHERE else -signal.SIGKILL)
    check_opens(path, monkeypatch)
    kept = mlflow.MlflowClient(uri(path)).get_experiment_by_name("kept")
    (run,) = mlflow.MlflowClient(uri(path)).search_runs([kept.experiment_id])
    assert run.info.run_name == "of the older one"


def test_a_copy_beside_an_upgrade_that_is_done_does_not_come_back(older: Path, tmp_path: Path) -> None:
    path, copy = tmp_path / "mlflow.db", tmp_path / "mlflow.db.before-upgrade"
    shutil.copy(older, path)
    prepare_database(uri(path))
    run = mlflow.MlflowClient(uri(path)).create_run("0")
    shutil.copy(older, copy)  # who upgraded was killed before the last step, and somebody has used it since
    prepare_database(uri(path))
    assert not copy.exists()
    assert mlflow.MlflowClient(uri(path)).get_run(run.info.run_id).info.status == "RUNNING"


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(older: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(older, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'unknown'")
        before = sorted(database.iterdump())
    with pytest.raises(Exception, match="unknown"):
        prepare_database(uri(path))
    with closing(sqlite3.connect(path)) as database:
        assert sorted(database.iterdump()) == before
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_database_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    prepare_database(uri(path))
    before = path.stat()
    prepare_database(uri(path))
    assert path.stat() == before


def test_processes_that_make_it_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(lambda _: killed_at(NOWHERE, uri(path)), range(3))) == {0}
    check_opens(path, monkeypatch)


def test_what_mlflow_raises_of_its_database_it_does_not_print_as_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_tracking_uri(uri(tmp_path / "mlflow.db"))
    tracking = connect()
    run = tracking.client.create_run(tracking.experiment_id)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("DROP TABLE tags")
    with pytest.raises(MlflowException, match="no such table: tags"):
        tracking.client.set_tag(run.info.run_id, "name", "value")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "other", ["sqlite://", "sqlite:///:memory:", "http://localhost:5000", "postgresql://host/name"]
)
def test_other_stores_are_mlflows_own_affair(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_database(other)
    assert list(tmp_path.iterdir()) == []
