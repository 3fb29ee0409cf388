"""An extractor that two processes have trained has one run."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from fanogan_mtl.supply import extractors
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record

KEY = "e" * 32


def begin(tracking: Tracking, sweep: str) -> str:
    return records.create_run(tracking, sweep, "lenet5", {"level": "extractor", "extractor_key": KEY})


def test_what_two_have_trained_is_recorded_once_and_what_a_crash_left_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    tracking = connect()
    sweep = records.start_run(tracking, "sweep", "sweep", Record())

    def record(*_: Any) -> str:
        run = begin(tracking, sweep)
        time.sleep(1.0)  # the page and the model
        records.finish(tracking, run)
        return run

    monkeypatch.setattr(extractors, "_record", record)
    left = begin(tracking, sweep)
    trained: Any = SimpleNamespace(key=KEY), SimpleNamespace(data_dir=tmp_path)
    with ThreadPoolExecutor(2) as processes:
        runs = set(processes.map(lambda _: extractors._recorded(tracking, sweep, *trained), range(2)))
    (found,) = records.find_extractors(tracking)
    assert runs == {found.run_id}
    assert found.run_id != left
    assert found.status == "FINISHED"
