"""The process that commands are forked from, after it has imported what they import.

`python preloaded.py FOLDER/forkserver.socket` listens there. Each connection brings a command, its folder, its
environment and the descriptor that it prints to, and is told its process id and, at its end, its exit status. The
process that a command's workers are forked from is forked too, before the command begins: it would take as long to
import. Its command line has the word `forkserver`, as the usual one's.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from multiprocessing import connection, forkserver
from pathlib import Path
from threading import active_count

import sitecustomize  # in points/
from mlflow.utils import requirements_utils
from starting import REQUEST

from fanogan_mtl.sweep.processes import ENVIRONMENT, IMPORTED

ENTRIES = ("benchmark", "hybrid", "tune", "register", "score")
LATE = (  # by whatever needs them first, during a run
    "alembic.command", "distributed.http.scheduler.api", "git", "mlflow.pyfunc.loaders", "mlflow.tracing.otel",
    "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store", "plotly.graph_objs",
    "skops.io", "sqlalchemy.dialects.sqlite",
)  # fmt: skip
MODULES = (*IMPORTED, *(f"fanogan_mtl.workflows.{entry}" for entry in ENTRIES), *LATE)


def next_command(path: Path) -> list[str]:
    """Fork commands until killed; returns, in each of the forks, its module and arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait
    with socket.socket(socket.AF_UNIX) as listening:
        begun = path.with_suffix(".begun")
        begun.unlink(missing_ok=True)
        listening.bind(str(begun))
        listening.listen(16)
        begun.rename(path)
        while True:
            asked, _ = listening.accept()
            request, (output, *_), *_ = socket.recv_fds(asked, REQUEST, 1)
            if not os.fork():
                break
            asked.close()
            os.close(output)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        os.close(output)
        asked.sendall(f"{child}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asked.sendall(f"{status}\n".encode())
        os._exit(0)
    asked.close()
    words, folder, environment = json.loads(request)
    become(folder, environment, output)
    return list(words)


def become(folder: str, environment: dict[str, str], output: int) -> None:
    """Be as a process that was started in a folder with an environment."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # found again, by the new environment
    sitecustomize.arm()


def fork_helper() -> None:
    """Fork the process that `multiprocessing` would start for workers."""
    state = forkserver._forkserver  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as listening:
        address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
        listening.bind(address)
        listening.listen()
        reading, writing = os.pipe()
        helper = os.fork()
        if not helper:
            os.close(writing)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `fanogan_mtl.sweep.worker` does
            os.environ.update(ENVIRONMENT)
            with suppress(SystemExit):  # when nobody is left who could ask
                forkserver.main(listening.detach(), reading, [])
            os._exit(0)
        os.close(reading)
    state._forkserver_address, state._forkserver_alive_fd, state._forkserver_pid = address, writing, helper


if __name__ == "__main__":
    for name in MODULES:
        import_module(name)
    requirements_utils._init_packages_to_modules_map()  # of all that is installed: three seconds at a model's logging
    gc.collect()
    gc.freeze()  # else each fork looks through all of it, and so copies its memory
    assert active_count() == 1
    module, *arguments = next_command(Path(sys.argv[1]))
    fork_helper()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does, once it is ready to run a module
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
