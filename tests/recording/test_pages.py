"""Pages of figures: what can't be drawn says so in its place, and nothing else is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from project_runs import recorded, run_inside

from fanogan_mtl import figures
from fanogan_mtl.recording.pages import write_cell_figures
from fanogan_mtl.sweep.result import CellResult

SMALL = ("--dataset", "optdigits", "--classes", "0,8", "--limit", "40", "--log_models", "none")
ANOMALY = np.arange(40) % 4 > 0


def result(scores: np.ndarray) -> CellResult:
    rows = np.arange(len(scores))
    return CellResult({2: {"auroc": 0.5, "threshold": float(scores[0])}}, scores[None], ANOMALY, rows, rows)


@pytest.mark.parametrize(
    "scores",
    [np.full(40, 0.7), 0.7 + 1e-16 * ANOMALY, 1 + 2.3e-16 * ANOMALY, 1e300 * np.arange(40), np.full(40, -1e300)],
    ids=["constant", "rounded away", "two neighbours", "huge", "hugely negative"],
)
def test_scores_that_hardly_differ_or_are_huge_are_drawn(scores: np.ndarray, tmp_path: Path) -> None:
    for file in write_cell_figures(result(scores), tmp_path):
        figure = json.loads(file.read_text())
        assert figure["data"]
        assert "can" not in str(figure["layout"].get("annotations"))


def test_a_cells_figure_that_cannot_be_drawn_leaves_the_other(tmp_path: Path) -> None:
    bad = result(np.full(40, np.nan))
    for file in write_cell_figures(bad, tmp_path):
        assert "scores are NaN" in file.read_text()


@pytest.mark.parametrize("broken", ["score_histogram_data", "auroc_by_epochs_data", "roc_by_class_data"])
def test_a_sweep_ends_well_whatever_cannot_be_drawn(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("Too many bins")

    monkeypatch.setattr(figures, broken, fail)
    process = run_inside(tmp_path, "benchmark", *SMALL, "--detectors", "deep_svdd", "--epochs", "1")
    assert process.returncode == 0, process.stderr
    runs = recorded(tmp_path)
    assert {run.info.status for run in [*runs.sweeps, *runs.comparisons, *runs.cells]} == {"FINISHED"}
    page = Path(runs.comparisons[0].info.artifact_uri) / "figures.html"
    assert "(ZeroDivisionError:" in page.read_text()
    assert page.read_text().count('<div class="figure"') >= 2


def test_epochs_are_told_of_detectors_that_train_by_them(tmp_path: Path) -> None:
    process = run_inside(tmp_path, "benchmark", *SMALL, "--detectors", "pca,deep_svdd", "--epochs", "1,2")
    assert process.returncode == 0, process.stderr
    pages = {
        run.data.params["detector"]: (Path(run.info.artifact_uri) / "figures.html").read_text()
        for run in recorded(tmp_path).comparisons
    }
    for told in ("<h2>AUROC against epochs", "Seed 0, 2 epochs.", " at 2 epochs, ± std over classes."):
        assert told in pages["deep_svdd"]
    assert "Mean over 2 classes and 1 seed: " in pages["pca"]
    assert "Seed 0." in pages["pca"]
    assert "epochs" not in pages["pca"].split('<script type="text/plain"')[0]
