"""An MLflow server of a trial's own, and proxies that can cut its connections: to the run, and to the S3 server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from mlflow_server import Server, started_server
from stores import KEYS, Stores

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, by a reset


class Proxy:
    """Passes connections on to a port; while `cut` is `reset` it resets them, while `silent` it swallows all bytes."""

    def __init__(self, port: int) -> None:
        self._upstream, self._open, self._lock = port, set[socket.socket](), Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._flowing = Event()
        self._flowing.set()
        self._resets = False
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def cut(self, how: str) -> None:
        """Cut the connection."""
        self._flowing.clear()
        if how == "reset":
            self._resets = True
            self._drop()

    def mend(self) -> None:
        """Pass connections on again; those from before are lost."""
        self._drop()
        self._resets = False
        self._flowing.set()

    def close(self) -> None:
        """Listen no longer."""
        self._listening.close()
        self._drop()
        self._flowing.set()

    def _drop(self) -> None:
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):  # at the end
            while True:
                inner, _ = self._listening.accept()
                if self._resets:
                    inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    inner.close()
                    continue
                try:
                    outer = socket.create_connection(("127.0.0.1", self._upstream))
                except OSError:
                    inner.close()
                    continue
                with self._lock:
                    self._open |= {inner, outer}
                for pair in ((inner, outer), (outer, inner)):
                    Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                self._flowing.wait()
                sink.sendall(chunk)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class OwnServer:
    """A server and its proxies, as faults see them."""

    def __init__(self, server: Server, stores: Stores | None, objects: Proxy | None) -> None:
        self._server, self._stores, self._objects = server, stores, objects
        self._proxy = Proxy(server.port)

    @property
    def url(self) -> str:
        return self._proxy.url

    def leave(self, what: str) -> None:
        """Let the server, what is behind it, or the way to one of them, go away."""
        if what == "server killed":
            self._server.kill()
        elif what == "database stopped":
            assert self._stores is not None
            self._stores.stop_database()
        else:
            self._way(what).cut(what.rpartition(" ")[2])

    def come_back(self, what: str) -> None:
        """Let it come back."""
        if what == "server killed":
            self._server.start()
        elif what == "database stopped":
            assert self._stores is not None
            self._stores.start_database()
        else:
            self._way(what).mend()

    def close(self) -> None:
        """End the proxy to the run."""
        self._proxy.close()

    def _way(self, what: str) -> Proxy:
        if what.startswith("connections"):
            return self._proxy
        assert self._objects is not None
        return self._objects


@contextmanager
def own_server(folder: Path, stores: Stores | None = None) -> Iterator[OwnServer]:
    """A server on a folder's database and artifacts, or on the database and the bucket of the folder's name."""
    with ExitStack() as stack:
        if stores is None:
            server, objects = stack.enter_context(started_server(folder)), None
        else:
            objects = Proxy(stores.port)
            stack.callback(objects.close)
            there = {**KEYS, "MLFLOW_S3_ENDPOINT_URL": objects.url}
            server = stack.enter_context(
                started_server(folder, stores.uri(folder.name), f"s3://{folder.name}", **there)
            )
        own = OwnServer(server, stores, objects)
        stack.callback(own.close)
        yield own
