"""Run a page of the docs from top to bottom, as a person who copies its commands."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from project_runs import environment, recorded

PORT = "5001"  # what the pages say


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def run_page(page: Path, project: Path, folder: Path, entry: str = "benchmark") -> list[str]:
    """Run the python and bash blocks of a page in a copy of the project; give what each printed.

    `RUN_ID` stands for the sweep of `entry`; a server that a block starts runs until the end.
    """
    blocks = re.findall(r"^```(python|bash)\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    env = environment(folder) | {"PYTHONPATH": str(project)}
    port = _free_port()
    servers: list[subprocess.Popen[bytes]] = []
    printed = []
    try:
        for language, code in blocks:
            if "RUN_ID" in code:
                (sweep,) = [run for run in recorded(folder).sweeps if run.info.run_name.startswith(entry)]
                code = code.replace("RUN_ID", sweep.info.run_id)
            code = code.replace(PORT, port)
            if code.startswith("mlflow models serve"):
                servers.append(subprocess.Popen(["bash", "-c", code], cwd=project, env=env, start_new_session=True))
                _wait_for(port)
                continue
            command = [sys.executable, "-c", code] if language == "python" else ["bash", "-ec", code]
            done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=800)
            assert done.returncode == 0, f"{code}\n{done.stderr}"
            printed.append(done.stdout)
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    return printed


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _wait_for(port: str) -> None:
    for _ in range(240):
        try:
            urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
        except (URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the server did not start")
