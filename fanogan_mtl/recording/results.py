"""The results of comparisons as MLflow has them: what tables, pages and choices are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from fanogan_mtl.plan.plan import PlannedComparison
from fanogan_mtl.recording.marks import Marks, rank
from fanogan_mtl.sweep.tested import Tested
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import history
from fanogan_mtl.tracking.schema import ComparisonRun


@dataclass(frozen=True)
class ComparisonResult:
    """One comparison's AUROC, in [0, 1].

    Attributes
    ----------
    planned : PlannedComparison
    run_id : str
    auroc : dict
        Budget to mean over classes and seeds.
    std_over_seeds : dict
        Budget to deviation; empty with one seed.
    std_over_classes : dict
        Budget to deviation; empty with one class.
    by_class : dict
        Class to mean over seeds, at the last budget.
    validation_auroc : float
        The mean on validation data at the budget where it is best.
    tested : Tested
        How many test rows the figures rest on.
    marks : mapping
        See `marks`; empty where nothing is to be said.
    """

    planned: PlannedComparison
    run_id: str
    auroc: dict[int, float]
    std_over_seeds: dict[int, float]
    std_over_classes: dict[int, float]
    by_class: dict[str, float]
    validation_auroc: float
    tested: Tested
    marks: Marks = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key by which winners are chosen, the greatest wins: fewest marks, then the validation AUROC."""
        return rank(self.marks, self.validation_auroc)


def read_result(tracking: Tracking, planned: PlannedComparison, run_id: str) -> ComparisonResult | None:
    """Read a comparison's result; None if none of its cells has finished."""
    auroc = history(tracking, run_id, "auroc")
    if not auroc:
        return None
    by_position = history(tracking, run_id, "auroc_by_class")
    run = ComparisonRun(tracking.client.get_run(run_id))
    return ComparisonResult(
        planned,
        run_id,
        auroc,
        history(tracking, run_id, "auroc_std_over_seeds"),
        history(tracking, run_id, "auroc_std_over_classes"),
        {planned.dataset.classes[position]: value for position, value in by_position.items()},
        max(history(tracking, run_id, "validation_auroc").values()),
        Tested(*(int(run.metric(each.name)) for each in fields(Tested))),
        run.marks,
    )


def read_results(
    tracking: Tracking, comparisons: Sequence[PlannedComparison], run_ids: dict[str, str]
) -> dict[str, ComparisonResult]:
    """Read all results there are, by comparison key."""
    results = {}
    for planned in comparisons:
        key = planned.comparison.key
        result = read_result(tracking, planned, run_ids[key]) if key in run_ids else None
        if result:
            results[key] = result
    return results
