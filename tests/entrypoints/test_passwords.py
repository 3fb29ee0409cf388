"""A password in the tracking server's address is used, and neither printed nor recorded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import project_runs
import pytest
from mlflow_server import started_server
from project_runs import furnish, run_inside, script_here

PASSWORD = "Geheim123"
FEW = '{"pca": {"n_components": 5}}'
SWEEP = ("--dataset", "optdigits", "--detectors", "pca", "--classes", "0", "--epochs", "1")


def test_no_entry_shows_or_records_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path)
    (tmp_path / "server").mkdir()
    with started_server(tmp_path / "server") as server:
        address = server.url.replace("http://", f"http://me:{PASSWORD}@")
        monkeypatch.setattr(project_runs, "uri", lambda folder: address)
        printed = []

        def run(entry: str, *words: str) -> None:
            process = run_inside(tmp_path, entry, *words)
            assert process.returncode == 0, process.stderr
            printed.append(process.stdout + process.stderr)

        run("preprocess", "--dataset", "optdigits")
        run("benchmark", *SWEEP)
        (sweep,) = mlflow.MlflowClient(address).search_runs(["0"], "tags.level = 'sweep'")
        run("register", "--run", sweep.info.run_id)
        run("report", "--output", str(tmp_path / "report"))
        run("pretrain", "--dataset", "optdigits", "--extractors", "pca", "--extractor_params", FEW)
        assert all("http://me:***@127.0.0.1" in text for text in (*printed[:3], printed[4]))
        for words in (("report", "--runs", "0" * 32), ("register", "--run", "0" * 32)):
            printed.append(script_here(tmp_path, monkeypatch, capfd, *words).stderr)
    for words in (
        ("preprocess", "--dataset", "optdigits"),
        ("score", "--model", "models:/x/1", "--input", str(tmp_path)),
    ):
        printed.append(script_here(tmp_path, monkeypatch, capfd, *words).stderr)  # the server is gone
    assert not [line for text in printed for line in text.splitlines() if PASSWORD in line]
    with closing(sqlite3.connect(tmp_path / "server" / "mlflow.db")) as database:
        assert not [line for line in database.iterdump() if PASSWORD in line]
    for path in (tmp_path / "server" / "artifacts").rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes()
