#!/bin/sh
# distributed 2026.8.0: Ctrl-C comes while LocalCluster(...) is about to start its worker.
# Guess: the call ends with KeyboardInterrupt, and as there is no cluster there will be no worker.
# Seen: its thread goes on and starts the worker afterwards, by the settings of that later moment: what `dask.config.set` has
#       set around the call is gone, and a worker that was to be forked is spawned. Nobody holds it, so nobody can close it.
# Printed:  interrupted with 0 workers; ten seconds later: 1 worker, started by spawn
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet distributed==2026.8.0
cat > "$folder/interrupted.py" <<'PYTHON'
import os
import time

import dask
import psutil
from distributed import LocalCluster

BEFORE_THE_WORKER = """
import asyncio, os, signal

async def dask_setup(nanny):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(2)
"""
SETTINGS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.nanny.preload": [BEFORE_THE_WORKER],
}


def workers():
    started = (" ".join(child.cmdline()) for child in psutil.Process().children() if child.status() != "zombie")
    return [method for words in started for method in ("spawn", "forkserver") if f"multiprocessing.{method}" in words]


def main():
    try:
        with dask.config.set(SETTINGS):
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    except KeyboardInterrupt:
        before = workers()
        time.sleep(10)
        after = workers()
    print(f"interrupted with {len(before)} workers; ten seconds later: {len(after)} worker, started by {', '.join(after)}")
    for child in psutil.Process().children():
        child.kill()
    os._exit((before, after) != ([], ["spawn"]))


if __name__ == "__main__":
    main()
PYTHON
"$folder/env/bin/python" -u "$folder/interrupted.py"
