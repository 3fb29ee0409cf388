"""What the entry points share: a command made of an entry's options, and one line for a mistake."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from threading import Timer
from typing import TYPE_CHECKING, Any

import click

from fanogan_mtl.errors import UserError, interruption, one_line, without_password

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SPELLING = {"token_normalize_func": lambda name: name.replace("_", "-")}  # --data_dir, as in MLproject, is --data-dir


def command(options: type[Any], workflow: str, help: str) -> click.Command:
    """Make the command of an entry.

    Parameters
    ----------
    options : dataclass of `fanogan_mtl.plan.options`
    workflow : str
        Module of `fanogan_mtl.workflows` and function, as `benchmark:benchmark`; imported when the command runs.
    help : str
        What it does, in one sentence.
    """

    def call(**given: str) -> int:
        module, _, function = workflow.partition(":")
        status: int = getattr(import_module(f"fanogan_mtl.workflows.{module}"), function)(options(**given))
        return status

    parameters: list[click.Parameter] = [
        click.Option(
            [f"--{each.name.replace('_', '-')}"], default=each.default, show_default=True, help=each.metadata["help"]
        )
        for each in fields(options)
    ]
    return click.Command(None, callback=call, params=parameters, help=help, context_settings=SPELLING)


def run(command: click.Command) -> None:
    """Run a command: a person's mistake becomes one line and exit status 2; Ctrl-C and SIGTERM say how to go on."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = partial(_unraisable, sys.unraisablehook)
    atexit.register(gc.freeze)  # else Python looks through all that was imported for garbage as it ends: two seconds
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter ends no run
    try:
        status: Any = command.main(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort) as error:
        _interrupted(error)
    except Exception as error:
        if interruption(error):
            _interrupted(error)
        if isinstance(error, UserError):
            _fail(str(error), 2)
        if isinstance(error, OSError) and error.errno in FULL:
            where = f": {error.filename}" if error.filename else ""
            _fail(
                f"the disk is full ({error.strerror}{where}); free space and start the same command again to go on", 1
            )
        from_mlflow = _from_mlflow(error) if "mlflow" in sys.modules else ""
        if not from_mlflow:
            import traceback  # takes as long to import as click

            click.echo(without_password(traceback.format_exc()), err=True)
            sys.exit(1)
        _fail(f"{from_mlflow} ({one_line(error)}); nothing trained is lost: start the same command again", 1)
    else:
        sys.exit(status or 0)


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as of `kill`, a stopped container or a batch system's end of time: the same as Ctrl-C."""


def _terminate(*_: object) -> None:
    raise Terminated


def _unraisable(otherwise: Callable[[UnraisableHookArgs], object], dropped: UnraisableHookArgs) -> None:
    """Send an interruption again, which came where Python drops what is raised, as while garbage is collected."""
    if interruption(dropped.exc_value) is None:
        otherwise(dropped)
        return
    again = Timer(0.05, os.kill, (os.getpid(), _signal_of(dropped.exc_value)))  # at once, it would be dropped again
    again.daemon = True
    again.start()


def _interrupted(error: BaseException) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next ends it at once, without Python's traceback
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _fail("interrupted; what is finished is recorded: start the same command again to go on", 128 + _signal_of(error))


def _signal_of(error: BaseException | None) -> signal.Signals:
    return signal.SIGTERM if isinstance(interruption(error), Terminated) else signal.SIGINT


def _from_mlflow(error: Exception) -> str:
    """Say whether it is MLflow that failed or refused."""
    from fanogan_mtl.tracking.sender import is_away, is_refusal

    if is_away(error):
        return "MLflow or its store failed"
    return "MLflow refuses what this run sends" if is_refusal(error) else ""


def _fail(message: str, status: int) -> None:
    click.echo(f"Error: {without_password(message)}", err=True)
    sys.exit(status)
