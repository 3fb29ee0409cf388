"""Summaries over many cells: the mean, and the deviations over seeds and over classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Summary:
    """One metric over classes and seeds, in the metric's unit. Deviations are sample deviations (n - 1).

    Attributes
    ----------
    mean : mean over classes of the mean over seeds
    std_over_seeds : deviation over seeds of the mean over classes, of the seeds that have every class; None below two
    std_over_classes : deviation over classes of the mean over seeds; None for one class
    by_class : class -> mean over seeds, in the order given
    """

    mean: float
    std_over_seeds: float | None
    std_over_classes: float | None
    by_class: dict[str, float]


def summarise(values: Mapping[tuple[str, int], float]) -> Summary:
    """Summarise one metric of a comparison.

    Parameters
    ----------
    values : (class, seed) -> value; a failed cell is left out

    Raises
    ------
    ValueError
        For no value at all.
    """
    if not values:
        raise ValueError("nothing to summarise: no cell has a value")
    classes = list(dict.fromkeys(name for name, _ in values))
    seeds = sorted({seed for _, seed in values})
    by_class = {name: fmean(values[name, seed] for seed in seeds if (name, seed) in values) for name in classes}
    complete = [seed for seed in seeds if all((name, seed) in values for name in classes)]
    return Summary(
        mean=fmean(by_class.values()),
        std_over_seeds=_deviation([fmean(values[name, seed] for name in classes) for seed in complete]),
        std_over_classes=_deviation(list(by_class.values())),
        by_class=by_class,
    )


def percent(mean: float, std: float | None = None) -> str:
    """Text for a table: `87.4 ± 1.2` in percent with one decimal, or `87.4` without a deviation."""
    return f"{100 * mean:.1f}" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f}"


def _deviation(values: list[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None
