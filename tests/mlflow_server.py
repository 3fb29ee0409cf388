"""An MLflow server as a process, which tests may kill and start again with all that it had."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PATIENCE = 600
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


@dataclass
class Server:
    """A server, on SQLite and a folder unless it has another store and place of artifacts."""

    folder: Path
    port: int
    store: str = ""
    artifacts: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self.store or f"sqlite:///{self.folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", self.artifacts or str(self.folder / "artifacts")]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {"PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # eight processes more
        self.process = subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **own, **self.variables}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health")
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def kill(self) -> None:
        """Kill it and its children, as a machine that goes down does."""
        if self.process is None:
            return
        own = psutil.Process(self.process.pid)
        for process in [*own.children(recursive=True), own]:
            with suppress(psutil.NoSuchProcess):  # a child may just have ended of itself
                process.kill()
        self.process.wait()
        self.process = None


@contextmanager
def started_server(folder: Path, store: str = "", artifacts: str = "", **variables: str) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(folder, port, store, artifacts, variables)
    try:
        server.start()
        yield server
    finally:
        server.kill()
