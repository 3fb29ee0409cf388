"""The metrics of a comparison's run and of a cell's: means over cells, deviations, values per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.evaluation.statistics import Summary, summarise
from fanogan_mtl.sweep.result import CellResult, DoneCell
from fanogan_mtl.sweep.tested import rows_tested
from fanogan_mtl.tracking.records import Value
from fanogan_mtl.tracking.schema import CellRun, ComparisonRun


def summaries(cells: Sequence[DoneCell], budget: int) -> dict[str, Summary]:
    """Summarise each metric at one budget over classes and seeds (of single anomalous classes, first over those)."""
    of_all = set.intersection(*(set(cell.result.metrics[budget]) for cell in cells))  # classes may have other masks
    names = [name for name in cells[0].result.metrics[budget] if name in of_all and _unit(name) != "score"]
    groups: dict[tuple[str, int], list[dict[str, float]]] = {}
    for cell in cells:
        groups.setdefault((cell.normal_class, cell.seed), []).append(cell.result.metrics[budget])
    return {
        name: summarise({group: fmean(metrics[name] for metrics in each) for group, each in groups.items()})
        for name in names
    }


def comparison_values(cells: Sequence[DoneCell], classes: Sequence[str]) -> list[Value]:
    """Metrics of a comparison run.

    Means at each budget with `_std_over_seeds` and `_std_over_classes` beside them; `auroc_class_<class>` at each
    budget, and `auroc_by_class`, whose step is the class's position, at the last. How many test rows they rest on, see
    `Tested`.
    """
    values = []
    budgets = sorted(cells[0].result.metrics)
    for budget in budgets:
        for name, summary in summaries(cells, budget).items():
            values.append(Value(name, summary.mean, budget))
            if _unit(name) == "share":
                deviations = {"seeds": summary.std_over_seeds, "classes": summary.std_over_classes}
                values += [
                    Value(f"{name}_std_over_{of}", std, budget) for of, std in deviations.items() if std is not None
                ]
            if name == "auroc":
                values += [Value(f"auroc_class_{each}", mean, budget) for each, mean in summary.by_class.items()]
    last = summaries(cells, budgets[-1])["auroc"].by_class
    values += [Value("auroc_by_class", last[each], classes.index(each)) for each in last]
    return values + [Value(name, count, budgets[-1]) for name, count in asdict(rows_tested(cells)).items()]


def _unit(name: str) -> str:
    """A metric's unit; that of a detector's other score, as `auroc_image`, is AUROC's."""
    return METRICS[name].unit if name in METRICS else "share"


def cell_values(result: CellResult) -> list[Value]:
    """Metrics of a cell run, the budget as step; at the last one how many test rows they rest on."""
    counts = {"n_normal": int((~result.anomaly).sum()), "n_anomalies": int(result.anomaly.sum())}
    last = [Value(name, count, max(result.metrics)) for name, count in counts.items()]
    return last + [
        Value(name, value, budget) for budget, values in result.metrics.items() for name, value in values.items()
    ]


def lacks_metrics(run: ComparisonRun | CellRun) -> bool:
    """Tell whether a run lacks metrics, as it was recorded before they were added."""
    computed = [
        name for name, metric in METRICS.items() if metric.of and metric.unit == "share" and not metric.may_be_absent
    ]
    return run.has_metric("auroc") and not all(map(run.has_metric, computed))


def fewest_tested(cells: Sequence[DoneCell], classes: Sequence[str]) -> dict[str, int]:
    """For each class, normal or anomalous, the smallest number of test rows that a figure of these cells rests on."""
    fewest: dict[str, int] = {}
    for cell in cells:
        for label, count in cell.result.counts.items():
            fewest[classes[label]] = min(count, fewest.get(classes[label], count))
    return fewest


def validation_auroc(cells: Sequence[DoneCell]) -> float:
    """Mean validation AUROC at the budget where it is best: what comparisons are chosen by."""
    return max(summaries(cells, budget)["validation_auroc"].mean for budget in cells[0].result.metrics)


def best_heads(cells: Sequence[DoneCell]) -> dict[str, tuple[DoneCell, int]]:
    """For each class the cell of its smallest seed, and of that the budget with the best validation AUROC.

    Seeds are not chosen among: each holds other normal rows out, the best validation AUROC is of those that happen to
    score low, and a threshold made from them flags more new ones than it promises.
    """
    heads: dict[str, tuple[DoneCell, int]] = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        metrics = cell.result.metrics
        heads.setdefault(
            cell.normal_class, (cell, max(sorted(metrics), key=lambda at: metrics[at]["validation_auroc"]))
        )
    return heads
