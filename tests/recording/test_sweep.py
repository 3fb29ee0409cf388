"""A sweep's record among those of others that work on the same comparisons."""

from dataclasses import asdict
from pathlib import Path

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.recording.state import read_state
from fanogan_mtl.recording.sweep import Sweep
from fanogan_mtl.sweep.workers import Failure
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.outbox import tidy_comparison


def begin(tracking: Tracking, key: str) -> str:
    """Begin a comparison as another sweep does."""
    return records.create_run(tracking, "0" * 32, "a comparison", {"level": "comparison", "comparison_key": key})


def test_an_interrupted_sweep_ends_only_its_comparisons_that_still_run(tracking: Tracking, tmp_path: Path) -> None:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn,ocsvm,lof", classes="0,1", seeds="0", data_dir=str(tmp_path / "data")
    )
    plan = make_plan(options)
    sweep = Sweep.begin(tracking, plan, {name: str(value) for name, value in asdict(options).items()}, "benchmark")
    for cell in plan.cells[:3]:  # one of two of each comparison but the last
        sweep.record(cell, None, Failure("it was cut short", "", ValueError()))
    sweep.settle()
    keys = {planned.comparison.detector: planned.comparison.key for planned in plan.comparisons}
    run_ids = {detector: sweep.comparison_runs[keys[detector]] for detector in ("pca", "knn", "ocsvm")}
    records.finish(tracking, run_ids["pca"])  # by another sweep
    records.delete_run(tracking, run_ids["knn"])  # merged into another's
    run_ids["lof"] = begin(tracking, keys["lof"])
    sweep.close("KILLED")
    statuses = {detector: tracking.client.get_run(run_id).info.status for detector, run_id in run_ids.items()}
    assert statuses == {"pca": "FINISHED", "knn": "RUNNING", "ocsvm": "KILLED", "lof": "RUNNING"}
    assert tracking.client.get_run(sweep.run_id).info.status == "KILLED"


def test_of_a_comparison_that_was_begun_twice_the_run_that_will_stay_is_taken(
    tracking: Tracking, tmp_path: Path
) -> None:
    plan = make_plan(BenchmarkOptions(dataset="optdigits", detectors="pca", data_dir=str(tmp_path / "data")))
    key = plan.comparisons[0].comparison.key
    for _ in range(2):
        begin(tracking, key)
    taken = read_state(tracking, plan).comparisons[key]
    assert taken.run_id == tidy_comparison(tracking, key).run_id
