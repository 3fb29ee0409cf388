from pathlib import Path

from fanogan_mtl.workflows.plan import BenchmarkOptions, make_plan


def test_comparisons_take_turns_and_every_cell_comes_once(tmp_path: Path) -> None:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn", classes="0,7,8", seeds="0,1", data_dir=str(tmp_path)
    )
    plan = make_plan(options)
    assert [cell.comparison.detector for cell in plan.cells] == ["pca", "knn"] * 6
    assert len({cell.key for cell in plan.cells}) == len(plan.cells) == 2 * 3 * 2
