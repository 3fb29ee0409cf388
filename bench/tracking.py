"""Recording a cell against training it: `python -m bench.tracking`.

Each default detector, one class of each sample set. The bar: at most 5 % of the default sweep's training.
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.sweep.cell import run_cell
from fanogan_mtl.workflows.plan import BenchmarkOptions, make_plan


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        os.chdir(folder)
        measure(BenchmarkOptions(classes="3", data_dir=str(default_data_dir())))


def measure(options: BenchmarkOptions) -> None:
    from fanogan_mtl.tracking.connection import connect
    from fanogan_mtl.workflows.recording import Sweep

    plan = make_plan(options)
    sweep = Sweep(connect(), plan, {name: str(value) for name, value in asdict(options).items()})
    training = recording = 0.0
    print(f"{'cell':60} {'train, s':>10} {'record, s':>10}")
    for cell in plan.cells:
        start = time.perf_counter()
        result = run_cell(cell, plan.execution.data_dir, keep=Path(tempfile.gettempdir()) / "bench-models")
        trained = time.perf_counter()
        sweep.record(cell, result, None)  # the comparison's page with it, which a real sweep writes once for ten cells
        recorded = time.perf_counter()
        training, recording = training + trained - start, recording + recorded - trained
        print(f"{cell!s:60} {trained - start:10.2f} {recorded - trained:10.2f}")
    print(f"recording / training = {recording / training:.3f}, a comparison's summary and page counted with every cell")


if __name__ == "__main__":
    main()
