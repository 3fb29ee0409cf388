"""An MLflow server of a trial's own, and between it and the run a proxy that can cut the connection."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from mlflow_server import Server, started_server

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
    """A server and its proxy, as faults see them."""

    def __init__(self, server: Server) -> None:
        self._server, self._proxy = server, Proxy(server.port)

    @property
    def url(self) -> str:
        return self._proxy.url

    def leave(self, what: str) -> None:
        """Let the server, or the way to it, go away."""
        if what == "server killed":
            self._server.kill()
        else:
            self._proxy.cut(what.removeprefix("connections "))

    def come_back(self, what: str) -> None:
        """Let it come back."""
        if what == "server killed":
            self._server.start()
        else:
            self._proxy.mend()

    def close(self) -> None:
        """End the proxy."""
        self._proxy.close()


@contextmanager
def own_server(folder: Path) -> Iterator[OwnServer]:
    """A server on a folder's database and artifacts."""
    with started_server(folder) as server:
        own = OwnServer(server)
        try:
            yield own
        finally:
            own.close()
