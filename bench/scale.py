"""Fifty thousand recorded cells, as a sweep and a report find them, against another version.

    python -m bench.scale [BASELINE]

360 cells are trained and recorded; then the rows that MLflow's database has of each are copied for 138 more seeds, with
keys of their own, and each comparison gets the one file of all its results. The figures are the seconds until a sweep
has found what is done, and until `report` has written its page, and by how many MB the process' memory grows meanwhile.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.versions import measured, show

SEEDS = 139
NUMBERS = count()
DETECTORS = "pca,knn,lof,ocsvm,iforest,mahalanobis,pyod:HBOS,pyod:ECOD,pyod:COPOD"
OPTIONS = {"dataset": "sample", "detectors": DETECTORS, "limit": "60", "epochs": "1", "log_models": "none"}
COLUMNS = {
    "runs": ("name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, deleted_time, "
             "source_version, lifecycle_stage, artifact_uri, experiment_id"),
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
    "params": "key, value",
    "tags": "key, value",
}  # fmt: skip
START = """
import json, sys, time
from contextlib import redirect_stdout
from dataclasses import asdict
from bench.versions import peak_megabytes
from fanogan_mtl.plan.options import BenchmarkOptions, ReportOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.workflows.report import report

figures, all_options = {}, json.loads(sys.argv[1])
"""
FIND = """
for what, given in all_options.items():
    options = BenchmarkOptions(**given)
    tracking, plan = connect(), make_plan(options)
    before, start = peak_megabytes(), time.perf_counter()
    sweep = Sweep.begin(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    figures[f"{what}: seconds"] = time.perf_counter() - start
    figures[f"{what}: MB more"] = peak_megabytes() - before
    assert not sweep.pending
    sweep.close("FINISHED")
print(json.dumps(figures))
"""
REPORT = """
before, start = peak_megabytes(), time.perf_counter()
with redirect_stdout(sys.stderr):
    report(ReportOptions(runs="all", output=sys.argv[2], data_dir=all_options["360 cells"]["data_dir"]))
figures["seconds"] = time.perf_counter() - start
figures["MB more"] = peak_megabytes() - before
print(json.dumps(figures))
"""


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        few = {**OPTIONS, "data_dir": str(folder / "data")}
        many = {**few, "seeds": ",".join(map(str, range(SEEDS)))}
        words = [word for option, value in few.items() for word in (f"--{option}", value)]
        command = [sys.executable, "-m", "entrypoints.benchmark", *words]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run(command, check=True, cwd=folder, env=environment)  # its artifacts go away with the folder
        print(f"{multiply(folder / 'mlflow.db', many)} cells", flush=True)
        collect(many)
        options = json.dumps({"360 cells": few, "all cells": many})
        show("a sweep finds what is done", measured(START + FIND, options))
        show("report", measured(START + REPORT, options, rounds=1))


def multiply(database: Path, options: dict[str, str]) -> int:
    """Copy each recorded cell for every seed; give how many there are then."""
    from fanogan_mtl.plan.options import BenchmarkOptions
    from fanogan_mtl.plan.plan import make_plan
    from fanogan_mtl.recording.state import finished_tags

    plan = make_plan(BenchmarkOptions(**options))
    with closing(sqlite3.connect(database)) as rows, rows:
        for setting in ("cache_size = -4000000", "journal_mode = OFF", "synchronous = OFF"):  # kB; nobody else writes
            rows.execute(f"PRAGMA {setting}")
        recorded = dict(rows.execute("SELECT value, run_uuid FROM tags WHERE key = 'cell_key'"))
        for planned in plan.comparisons:
            first = {cell.normal_class: recorded[cell.key] for cell in planned.cells if cell.seed == 0}
            for cell in planned.cells:
                if cell.seed:
                    copy(rows, first[cell.normal_class], {"cell_key": cell.key}, {"seed": str(cell.seed)})
            for name, value in finished_tags(cell.key for cell in planned.cells).items():
                rows.execute(
                    "INSERT OR REPLACE INTO tags (key, value, run_uuid) SELECT ?, ?, run_uuid FROM tags "
                    "WHERE key = 'comparison_key' AND value = ? AND run_uuid IN "
                    "(SELECT run_uuid FROM tags WHERE key = 'level' AND value = 'comparison')",
                    [name, value, planned.comparison.key],
                )
        return int(rows.execute("SELECT count(*) FROM tags WHERE key = 'cell_key'").fetchone()[0])


def collect(options: dict[str, str]) -> None:
    """Give each comparison the file of all its cells' results, as a sweep does that completes it."""
    from fanogan_mtl.plan.options import BenchmarkOptions
    from fanogan_mtl.plan.plan import make_plan
    from fanogan_mtl.recording.collected import collected
    from fanogan_mtl.recording.state import finished_cells, read_state
    from fanogan_mtl.tracking.artifacts import artifact_folder
    from fanogan_mtl.tracking.connection import connect

    tracking, plan = connect(), make_plan(BenchmarkOptions(**options))
    for key, run in read_state(tracking, plan).comparisons.items():
        comparison = next(each.comparison for each in plan.comparisons if each.comparison.key == key)
        folder = artifact_folder(run)
        assert folder
        collected(finished_cells(tracking, comparison), folder)


def copy(rows: sqlite3.Connection, run: str, tags: dict[str, str], parameters: dict[str, str]) -> None:
    """Copy a run under a new id, with other values of some tags and parameters; its files stay where they are."""
    new = f"f{next(NUMBERS):031x}"  # one after the other: rows and indices then grow at their ends
    for table, columns in COLUMNS.items():
        rows.execute(
            f"INSERT INTO {table} (run_uuid, {columns}) SELECT ?, {columns} FROM {table} WHERE run_uuid = ?", [new, run]
        )
    for table, values in (("tags", tags), ("params", parameters)):
        for key, value in values.items():
            rows.execute(f"UPDATE {table} SET value = ? WHERE run_uuid = ? AND key = ?", [value, new, key])


if __name__ == "__main__":
    main()
