"""What a worker process does before its first task."""

from __future__ import annotations

import atexit
import os
import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that the person started (Dask calls this).

    At its end the process just ends: Python would take seconds to free every object.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(os._exit, 0)
