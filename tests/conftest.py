"""One thread a process: two test processes with two threads each on two cores wait for one another."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy and torch are imported, here and in the processes that tests start
