"""A sweep's record among those of others that work on the same comparisons."""

from dataclasses import asdict
from pathlib import Path

import mlflow
import pytest
from project_runs import environment, furnish, uri

from fanogan_mtl.sweep.run import Failure
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.workflows.plan import BenchmarkOptions, make_plan
from fanogan_mtl.workflows.recording import Sweep


def test_an_interrupted_sweep_ends_only_comparisons_that_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(uri(tmp_path))
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn,ocsvm", classes="0,1", seeds="0", data_dir=str(tmp_path / "data")
    )
    tracking, plan = connect(), make_plan(options)
    sweep = Sweep(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    for cell in plan.cells[:3]:  # one of two of each comparison
        sweep.record(cell, None, Failure("it was cut short", "", ValueError()))
    sweep.settle()
    run_ids = {cell.comparison.detector: sweep.comparison_runs[cell.comparison.key] for cell in plan.cells}
    records.finish(tracking, run_ids["pca"])  # by another sweep
    records.discard(tracking, run_ids["knn"])  # merged into another's
    sweep.close("KILLED")
    statuses = {detector: tracking.client.get_run(run_id).info.status for detector, run_id in run_ids.items()}
    assert statuses == {"pca": "FINISHED", "knn": "RUNNING", "ocsvm": "KILLED"}
    assert tracking.client.get_run(sweep.run_id).info.status == "KILLED"
