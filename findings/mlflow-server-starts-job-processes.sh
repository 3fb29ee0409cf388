#!/bin/sh
# mlflow 3.17.2: `mlflow server --workers 1`, and so `mlflow ui`, on SQLite, where nobody asks for a job.
# Guess: one process that serves, and one that started it.
# Seen: further ones, a runner and its consumers of job queues, each of which imports MLflow: on few cores they take what
#       other programs would have for many seconds, and together several times the memory of the server itself.
#       MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false spares them.
# Printed:  jobs true: 10 processes, 1648 MB of their own, 31 s of CPU
#           jobs false: 2 processes, 345 MB of their own, 7 s of CPU
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mlflow==3.17.2 psutil
cat > "$folder/count.py" <<'PYTHON'
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil


def main():
    found = {}
    for jobs in ("true", "false"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1",
             "--backend-store-uri", f"sqlite:///{sys.argv[1]}/mlflow.db"],
            env={**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": jobs}, cwd=sys.argv[1],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            time.sleep(0.5)
        time.sleep(60)
        own = psutil.Process(server.pid)
        everyone = [own, *own.children(recursive=True)]
        megabytes = sum(each.memory_full_info().uss for each in everyone) / 2**20
        seconds = sum(sum(each.cpu_times()[:2]) for each in everyone)
        found[jobs] = len(everyone)
        print(f"jobs {jobs}: {len(everyone)} processes, {megabytes:.0f} MB of their own, {seconds:.0f} s of CPU", flush=True)
        for each in reversed(everyone):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        server.wait()
    assert found["false"] <= 3, found
    assert found["true"] >= found["false"] + 7, found


main()
PYTHON
"$folder/env/bin/python" "$folder/count.py" "$folder"
