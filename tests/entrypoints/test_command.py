"""What a command makes of an interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED = """
import click
from entrypoints.command import Terminated, run
from fanogan_mtl.errors import UserError

def call():
    try:
        try:
            raise {interruption}
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error
    except Exception as error:
        raise {becomes}

run(click.Command(None, callback=call))
"""

WHILE_THE_DATABASE_CLEANS_UP = """
import os, signal, click
from entrypoints.command import run
from fanogan_mtl.tracking.connection import connect
from sqlalchemy.engine.default import DefaultDialect

def call():
    tracking = connect()
    DefaultDialect.do_rollback = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    tracking.client.search_runs([tracking.experiment_id])

run(click.Command(None, callback=call))
"""

WHILE_GARBAGE_IS_COLLECTED = """
import gc, os, signal, time, click
from entrypoints.command import run

def interrupt(phase, info):
    gc.callbacks.remove(interrupt)
    os.kill(os.getpid(), signal.{name})
    len([])  # a call, at which Python looks for signals

def call():
    gc.callbacks.append(interrupt)
    gc.collect()
    time.sleep(20)

run(click.Command(None, callback=call))
"""

TOLD = "Error: interrupted; what is finished is recorded: start the same command again to go on\n"


@pytest.mark.parametrize("becomes", ["", "UserError('the server fails') from None"], ids=["an error", "a sentence"])
@pytest.mark.parametrize(("interruption", "status"), [("KeyboardInterrupt", 130), ("Terminated", 143)])
def test_an_interruption_that_fails_an_import_is_one(interruption: str, status: int, becomes: str) -> None:
    script = INTERRUPTED.format(interruption=interruption, becomes=becomes)
    ended = started(script)
    assert (ended.returncode, ended.stderr) == (status, TOLD)


def test_an_interruption_while_the_database_cleans_up_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    ended = started(WHILE_THE_DATABASE_CLEANS_UP)
    assert (ended.returncode, ended.stderr.lstrip("\n")) == (143, TOLD)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interruption_while_garbage_is_collected_is_not_lost(name: str, status: int) -> None:
    ended = started(WHILE_GARBAGE_IS_COLLECTED.format(name=name))
    assert (ended.returncode, ended.stderr.lstrip("\n")) == (status, TOLD)


def started(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, where Ctrl-C means what it means in a terminal."""
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=root,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
