import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import sklearn.neighbors, torch
from threadpoolctl import threadpool_info
from fanogan_mtl.detectors.threads import one_thread, stay_on_one_thread

def threads():
    return sorted({torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())})

found = {"before": threads()}
for turn in ("first", "second"):
    with one_thread(), ThreadPoolExecutor(1, initializer=stay_on_one_thread) as pool:
        found[turn] = [threads(), pool.submit(threads).result()]
    found[f"after the {turn}"] = threads()
print(json.dumps(found))
"""


@pytest.mark.parametrize("number", [2, 3])
def test_everything_counts_on_one_thread_also_in_others_and_afterwards_as_before(number: int) -> None:
    environment = os.environ | {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "OPENBLAS", "MKL")}
    run = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    before = found["before"]
    assert max(before) > 1
    one = [[1], [1]]
    assert found == {
        "before": before,
        "first": one,
        "after the first": before,
        "second": one,
        "after the second": before,
    }
