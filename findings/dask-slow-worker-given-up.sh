#!/bin/sh
# distributed 2026.8.0: a worker of a LocalCluster dies, and its successor takes 20 seconds to start, as imports may.
# Guess: its nanny starts it again, however long that takes, and the tasks go on.
# Seen: 15 seconds after it was lost (`distributed.deploy.lost-worker-timeout`) the cluster closes the nanny in the midst of
#       starting it, forgets it, and starts no other. Without workers all tasks wait for ever, and nobody is told. With
#       a longer time the worker comes back.
# Printed:  lost-worker-timeout 15s: nannies 0, workers 0, a task is done: False
#           lost-worker-timeout 1h: nannies 1, workers 1, a task is done: True
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet distributed==2026.8.0
cat > "$folder/slow.py" <<'PYTHON'
import sys
import time
from pathlib import Path

import dask
import psutil
from distributed import Client, LocalCluster


def main():
    for patience in ("15s", "1h"):
        started = Path(sys.argv[1]) / f"started {patience}"
        preload = f"import time, pathlib\nplace = pathlib.Path({str(started)!r})\ntime.sleep(20 * place.exists())\nplace.touch()"
        settings = {"distributed.deploy.lost-worker-timeout": patience, "distributed.worker.preload": [preload]}
        with dask.config.set(settings), LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster, Client(cluster) as client:
            (pid,) = client.run(__import__("os").getpid).values()
            psutil.Process(pid).kill()
            while client.scheduler_info()["workers"]:
                time.sleep(0.1)
            future = client.submit(abs, -1)
            end = time.monotonic() + {"15s": 60, "1h": 300}[patience]
            while not future.done() and time.monotonic() < end:
                time.sleep(1)
            counts = f"nannies {len(cluster.workers)}, workers {len(client.scheduler_info()['workers'])}"
            print(f"lost-worker-timeout {patience}: {counts}, a task is done: {future.done()}", flush=True)
            assert future.done() == (patience == "1h")


if __name__ == "__main__":
    main()
PYTHON
"$folder/env/bin/python" "$folder/slow.py" "$folder"
