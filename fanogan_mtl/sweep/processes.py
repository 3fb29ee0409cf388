"""Worker processes of this machine, forked from one process that has imported what they need.

That process and its children end with the process that started it. Dask sets `ENVIRONMENT` only in a process that it
starts itself; this one is started here, with it, and the workers inherit it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from multiprocessing import forkserver

from fanogan_mtl.errors import UserError
from fanogan_mtl.variables import variables_set

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(2**28),  # Dask's 64 KB gives memory back after every step: a tenth of the time
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
}
DASK_SETTINGS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.worker.profile.enabled": False,  # it interrupts the training every 10 ms
    "distributed.admin.tick.interval": "1s",  # its 20 ms, in each of these processes, are 4 % of a core
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.deploy.lost-worker-timeout": "1h",  # one that takes 15 s to be started again is given up for ever
}
"""Dask's settings for workers of this machine."""

IMPORTED = [
    "fanogan_mtl.sweep.worker",
    "distributed.nanny",
    "distributed.worker",
    "fanogan_mtl.sweep.head",
    "torch._dynamo",  # by torch itself, at an optimiser's first step
]


def prepare_processes() -> None:
    """Start the process that imports, unless it runs already; it imports while the caller goes on.

    Raises
    ------
    UserError
        Where the name of the folder of temporary files is too long for a socket in it.
    """
    import dask
    from distributed.utils import get_mp_context

    with dask.config.set(DASK_SETTINGS):
        get_mp_context()  # names Dask's own choice of imports, once
    multiprocessing.set_forkserver_preload(IMPORTED)
    with variables_set(ENVIRONMENT):
        try:
            forkserver.ensure_running()
        except OSError as error:
            if "too long" not in str(error):
                raise
            raise UserError(
                f"the name of the folder of temporary files, {tempfile.gettempdir()}, is too long for worker processes "
                "to meet in; set TMPDIR to one of at most 60 letters, as /tmp"
            ) from None
