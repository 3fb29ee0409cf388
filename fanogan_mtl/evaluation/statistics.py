"""Cells of one comparison, summarised over classes and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """A metric over classes and seeds.

    Attributes
    ----------
    mean : float
        Over all cells.
    std_over_seeds : float or None
        Deviation (n - 1) over seeds of the mean over classes; None with one seed.
    std_over_classes : float or None
        Deviation (n - 1) over classes of the mean over seeds; None with one class.
    by_class : dict
        Class to mean over seeds.
    """

    mean: float
    std_over_seeds: float | None
    std_over_classes: float | None
    by_class: dict[str, float]


def summarise(values: Mapping[tuple[str, int], float]) -> Summary:
    """Summarise values by (class, seed)."""
    classes = list(dict.fromkeys(name for name, _ in values))
    seeds = sorted({seed for _, seed in values})
    by_class = {each: float(np.mean([value for (name, _), value in values.items() if name == each])) for each in classes}
    by_seed = [np.mean([value for (_, seed), value in values.items() if seed == each]) for each in seeds]
    return Summary(
        mean=float(np.mean(list(values.values()))),
        std_over_seeds=float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else None,
        std_over_classes=float(np.std(list(by_class.values()), ddof=1)) if len(classes) > 1 else None,
        by_class=by_class,
    )


def percent(mean: float, std: float | None = None) -> str:
    """Write a share in percent, as `91.3 ± 0.4`."""
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
