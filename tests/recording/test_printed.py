"""The table at the end of a sweep."""

from pathlib import Path

import pytest

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.recording.printed import print_results
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.sweep import tested


@pytest.mark.parametrize(("detectors", "caption"), [("pca,knn", "percent, ±"), ("pca,vae", "percent at 7 epochs, ±")])
def test_epochs_are_told_of_where_something_was_trained_for_them(
    detectors: str, caption: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(
        BenchmarkOptions(dataset="optdigits", detectors=detectors, epochs="7", data_dir=str(tmp_path / "data"))
    )
    counts = tested.Tested(35, 35, 315, 315, 30)
    results = [ComparisonResult(each, "run", {7: 0.9}, {}, {7: 0.1}, {}, 0.8, counts) for each in plan.comparisons]
    print_results(results)
    assert f"Mean AUROC in {caption} std over classes" in capsys.readouterr().out
