"""The run of an entry point ends as its process does, also where that is killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from project_runs import ROOT

from fanogan_mtl.plan.options import ScoreOptions
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking

DIES = """
import os, signal
from fanogan_mtl.plan.options import ScoreOptions
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.tracking.connection import connect
with entry_run(connect(), "score", "parts", ScoreOptions()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def statuses(tracking: Tracking) -> list[str]:
    """Of all runs, the oldest first."""
    runs = tracking.client.search_runs([tracking.experiment_id], order_by=["attributes.start_time"])
    return [run.info.status for run in runs]


@pytest.mark.parametrize("point", ["", "between create run and log batch:1"])
def test_the_run_of_a_killed_process_is_ended_by_the_next_entry(tracking: Tracking, point: str) -> None:
    path = os.pathsep.join([str(ROOT / "bench" / "crashes" / "points"), str(ROOT)])
    own = {**os.environ, "PYTHONPATH": path, "CRASH_POINT": point}
    assert subprocess.run([sys.executable, "-c", DIES], env=own, cwd=ROOT).returncode == -signal.SIGKILL
    assert statuses(tracking) == ["RUNNING"]
    with entry_run(tracking, "score", "parts", ScoreOptions()):
        assert statuses(tracking) == ["KILLED", "RUNNING"]
    assert statuses(tracking) == ["KILLED", "FINISHED"]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_says_how_it_ended(tracking: Tracking, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), entry_run(tracking, "score", "parts", ScoreOptions()):
        raise error
    assert statuses(tracking) == [status]


def test_an_import_that_an_interruption_fails_is_no_failure_of_the_run(tracking: Tracking) -> None:
    with pytest.raises(ImportError), entry_run(tracking, "score", "parts", ScoreOptions()):
        raise ImportError("initialization failed") from KeyboardInterrupt()
    assert statuses(tracking) == ["KILLED"]


def test_a_run_that_can_not_be_ended_hides_no_error_and_is_ended_by_the_next(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as away:
        away.setattr(records, "finish", refuse)
        with pytest.raises(ValueError, match="own"), entry_run(tracking, "score", "parts", ScoreOptions()):
            raise ValueError("own")
    assert statuses(tracking) == ["RUNNING"]
    gc.collect()  # as the end of the process lets the journal go
    with entry_run(tracking, "score", "parts", ScoreOptions()):
        assert statuses(tracking) == ["KILLED", "RUNNING"]


def test_a_data_folder_that_can_not_be_written_stops_nobody(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with entry_run(tracking, "score", "parts", ScoreOptions(), data_dir=tmp_path / "file" / "data"):
        assert statuses(tracking) == ["RUNNING"]
    assert statuses(tracking) == ["FINISHED"]
