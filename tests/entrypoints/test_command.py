"""What a command makes of an interruption."""

from __future__ import annotations

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


@pytest.mark.parametrize("becomes", ["", "UserError('the server fails') from None"], ids=["an error", "a sentence"])
@pytest.mark.parametrize(("interruption", "status"), [("KeyboardInterrupt", 130), ("Terminated", 143)])
def test_an_interruption_that_fails_an_import_is_one(interruption: str, status: int, becomes: str) -> None:
    script = INTERRUPTED.format(interruption=interruption, becomes=becomes)
    command, root = [sys.executable, "-c", script], Path(__file__).parents[2]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    told = "Error: interrupted; what is finished is recorded: start the same command again to go on\n"
    assert (ended.returncode, ended.stderr) == (status, told)
