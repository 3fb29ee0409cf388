"""Chooses a model's heads: for each class the seed and budget with the best validation AUROC, and their metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.evaluation.alarms import FalseAlarms
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.recording.summary import best_heads
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.result import DoneCell

WIDE = "\u2003"  # MLflow shows tables without a space between columns
CONTAMINATION = 0.1  # PyOD's default


@dataclass(frozen=True)
class ChosenHead:
    """A head that a model is going to have.

    Attributes
    ----------
    done : DoneCell
        The cell whose detector it is.
    budget : int
        Epochs, the best by validation AUROC.
    """

    done: DoneCell
    budget: int

    @property
    def cell(self) -> Cell:
        """The cell whose detector it is."""
        return self.done.cell

    @property
    def name(self) -> str:
        """`<data set>/<class>`."""
        return f"{self.cell.comparison.dataset.name}/{self.cell.normal_class}"

    @property
    def metrics(self) -> dict[str, float]:
        """As recorded, at its budget."""
        return self.done.result.metrics[self.budget]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of the test rows, as recorded, at its budget."""
        scores: NDArray[np.float64] = self.done.result.scores[sorted(self.done.result.metrics).index(self.budget)]
        return scores

    @property
    def false_alarms(self) -> FalseAlarms:
        """Normal test rows above its threshold."""
        normal = self.scores[~self.done.result.anomaly]
        meant = self.cell.comparison.chosen.get("contamination", CONTAMINATION)
        return FalseAlarms(int((normal > self.metrics["threshold"]).sum()), len(normal), float(meant))


def heads_by_validation(comparisons: Sequence[Sequence[DoneCell]]) -> list[ChosenHead]:
    """Choose one head for each class of each comparison, by validation AUROC among all seeds and budgets.

    Heads on features share one extractor (under `normal-only` one of each class), so their seed is chosen first, by the
    mean over classes.

    Parameters
    ----------
    comparisons : sequence of sequence of DoneCell
        Of each comparison its finished cells, at least one.
    """
    if comparisons[0][0].extractor_key is not None:
        best = _best_seed([cell for cells in comparisons for cell in cells])
        comparisons = [[cell for cell in cells if cell.seed == best] for cells in comparisons]
    return [
        ChosenHead(done, budget) for cells in comparisons for _, (done, budget) in sorted(best_heads(cells).items())
    ]


def model_key(heads: Sequence[ChosenHead]) -> str:
    """Digest of all that a model is made of."""
    return hashlib.sha256(str([(head.name, head.cell.key, head.budget) for head in heads]).encode()).hexdigest()[:32]


def description(heads: Sequence[ChosenHead]) -> str:
    """What a model is and what its heads reach, as Markdown."""
    label = heads[0].cell.comparison.label
    test = percent(fmean(head.metrics["auroc"] for head in heads))
    lines = [f"**{label}**: mean test AUROC of {len(heads)} heads {test} %. Validation data chose seed and epochs.", ""]
    if warning := threshold_warning(heads):
        lines += [f"**Warning**: {warning}.", ""]
    rows = [["head", "test AUROC", "validation AUROC", "false alarms", "epochs", "seed"], ["---"] * 6]
    for head in heads:
        figures = [head.metrics["auroc"], head.metrics["validation_auroc"], head.false_alarms.rate]
        rows.append([head.name, *map(percent, figures), str(head.budget), str(head.cell.seed)])
    return "\n".join([*lines, *(f"| {f'{WIDE} | '.join(row)} |" for row in rows)])


def threshold_warning(heads: Sequence[ChosenHead]) -> str | None:
    """Say which heads raise far more false alarms than their threshold is meant to; None if none does."""
    alarms = {head.name: head.false_alarms for head in heads if head.false_alarms.too_many}
    if not alarms:
        return None
    some = ", ".join(list(alarms)[:3]) + (", ..." if len(alarms) > 3 else "")
    rates = sorted(each.rate for each in alarms.values())
    low, high, meant = (f"{100 * rate:.0f}" for rate in (rates[0], rates[-1], heads[0].false_alarms.meant))
    return (
        f"is_anomaly is true of {low if low == high else f'{low} to {high}'} % of new normal "
        f"{heads[0].cell.comparison.unit}, where {meant} % is meant, in {len(alarms)} of {len(heads)} heads ({some}): "
        "give a threshold of your own, see docs/thresholds.md"
    )


def _best_seed(cells: Sequence[DoneCell]) -> int:
    """The seed with the best mean validation AUROC, each cell at its best budget; the smallest on a tie."""
    by_seed: dict[int, list[float]] = {}
    for cell in cells:
        best = max(metrics["validation_auroc"] for metrics in cell.result.metrics.values())
        by_seed.setdefault(cell.seed, []).append(best)
    return max(sorted(by_seed), key=lambda seed: fmean(by_seed[seed]))
