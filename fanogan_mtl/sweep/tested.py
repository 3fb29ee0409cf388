"""Counts the test rows that a comparison's figures rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fanogan_mtl.sweep.result import DoneCell


@dataclass(frozen=True)
class Tested:
    """Smallest and greatest numbers of test rows among cells.

    Attributes
    ----------
    n_normal_min, n_normal_max, n_anomalies_min, n_anomalies_max : int
    n_class_min : int
        The fewest of one class, normal or anomalous, in any cell.
    """

    n_normal_min: int
    n_normal_max: int
    n_anomalies_min: int
    n_anomalies_max: int
    n_class_min: int

    @property
    def normal(self) -> str:
        """Normal rows, for people: `36 to 40`."""
        return _range(self.n_normal_min, self.n_normal_max)

    @property
    def anomalous(self) -> str:
        """Anomalous rows, for people."""
        return _range(self.n_anomalies_min, self.n_anomalies_max)

    def text(self, unit: str) -> str:
        """For people: `36 to 40 normal and 324 to 360 anomalous images`, and the smallest class where it is smaller."""
        text = f"{self.normal} normal and {self.anomalous} anomalous {unit}"
        if self.n_class_min < min(self.n_normal_min, self.n_anomalies_min):
            text += f", {self.n_class_min:,} of the smallest class"
        return text


def rows_tested(cells: Iterable[DoneCell]) -> Tested:
    """Count the test rows of cells, at least one."""
    results = [cell.result for cell in cells]
    anomalies = [int(result.anomaly.sum()) for result in results]
    normal = [len(result.anomaly) - n for result, n in zip(results, anomalies, strict=True)]
    smallest = min(min(result.counts.values(), default=0) for result in results)
    return Tested(min(normal), max(normal), min(anomalies), max(anomalies), smallest)


def together(several: Iterable[Tested]) -> Tested:
    """Join the counts of several comparisons, at least one."""
    several = list(several)
    return Tested(
        min(each.n_normal_min for each in several),
        max(each.n_normal_max for each in several),
        min(each.n_anomalies_min for each in several),
        max(each.n_anomalies_max for each in several),
        min(each.n_class_min for each in several),
    )


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
