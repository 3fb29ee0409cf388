"""Starts commands: as a person does, or forked from a process that has made their imports, in a third of the time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from threading import Thread
from typing import IO, Protocol

PRELOADED = Path(__file__).with_name("preloaded.py")
REQUEST = 2**16  # bytes at most


class Started(Protocol):
    """A process, as `subprocess.Popen` shows it."""

    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit status, negative after a signal; `subprocess.TimeoutExpired` if that takes too long."""

    @property
    def stdout(self) -> IO[str] | None:
        """What it prints, errors included."""


Launch = Callable[[list[str], Path, dict[str, str]], Started]
"""Starts a module with arguments, in a folder, with an environment and a session of its own."""


def launch_cold(words: list[str], folder: Path, environment: dict[str, str]) -> Started:
    """Start a command as a person does."""
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


class Fork:
    """A command that was forked."""

    def __init__(self, asked: socket.socket, stdout: IO[str]) -> None:
        self.stdout = stdout
        self._told = asked.makefile("r")
        self.pid = int(self._told.readline())
        self._status: Future[int] = Future()
        Thread(target=lambda: self._status.set_result(int(self._told.readline())), daemon=True).start()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit status."""
        try:
            return self._status.result(timeout)
        except StillRunning:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0) from None


class Forks:
    """The process that commands are forked from, see `preloaded.py`; its socket lies in a folder with a short name."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._socket = folder / "forkserver.socket"
        self._socket.unlink(missing_ok=True)
        words = [sys.executable, str(PRELOADED), str(self._socket)]
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        while not self._socket.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"{PRELOADED.name} ended:\n{self._process.communicate()[0]}")
            time.sleep(0.1)

    def launch(self, words: list[str], folder: Path, environment: dict[str, str]) -> Started:
        """Fork a command."""
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(str(self._socket))
        reading, writing = os.pipe()
        request = json.dumps([words, str(folder), environment]).encode()
        if len(request) >= REQUEST:
            raise ValueError(f"a command and its environment take {len(request)} bytes: more than {REQUEST}")
        socket.send_fds(asked, [request], [writing])
        os.close(writing)
        return Fork(asked, os.fdopen(reading, errors="replace"))

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._process.kill()
        self._process.wait()
