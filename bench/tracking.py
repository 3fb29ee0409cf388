"""Recording a cell against training it: `python -m bench.tracking`.

The default sweep, but of each comparison one class is trained and its result recorded for all ten, so that all is
recorded that the sweep records, the pages of the comparisons too. Training counts ten times. The bar: at most 5 %.
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.sweep.cell import run_cell


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        os.chdir(folder)
        measure(BenchmarkOptions(data_dir=str(default_data_dir())))


def measure(options: BenchmarkOptions) -> None:
    from fanogan_mtl.recording.sweep import Sweep
    from fanogan_mtl.tracking.connection import connect

    plan = make_plan(options)
    sweep = Sweep.begin(connect(), plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    training = recording = 0.0
    print(f"{'comparison':60} {'train, s':>10} {'record, s':>10}")
    for planned in plan.comparisons:
        start = time.perf_counter()
        result = run_cell(planned.cells[3], plan.execution.data_dir, keep=Path(tempfile.gettempdir()) / "bench-models")
        trained = time.perf_counter()
        for cell in planned.cells:
            sweep.record(cell, result, None)
        sweep.settle()
        seconds = len(planned.cells) * (trained - start), time.perf_counter() - trained
        training, recording = training + seconds[0], recording + seconds[1]
        print(f"{planned.dataset.name + ' · ' + planned.comparison.detector:60} {seconds[0]:10.2f} {seconds[1]:10.2f}")
    print(f"recording / training = {recording / training:.3f}")


if __name__ == "__main__":
    main()
