"""The parameters that results depend on, as JSON for keys, and a comparison's cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fanogan_mtl.detectors.registry import default_parameters
from fanogan_mtl.extractors.registry import make_extractor
from fanogan_mtl.sweep.cell import Cell, Comparison

# Not in the key: the seed is the cell's, the device must not change results, epochs are the budgets.
NOT_RESULT = {"random_state", "device", "epochs"}


def comparison_parameters(detector: str, chosen: Mapping[str, Any]) -> str:
    """All parameters that a detector's result depends on, as JSON: its defaults with the chosen ones over them."""
    defaults = {name: value for name, value in default_parameters(detector).items() if _is_plain(value)}
    parameters = {**defaults, **chosen}
    return json.dumps({name: value for name, value in parameters.items() if name not in NOT_RESULT}, sort_keys=True)


def pretraining_parameters(extractor: str, chosen: Mapping[str, Any]) -> str:
    """All parameters that an extractor depends on, as JSON: its defaults with the chosen ones over them.

    None is replaced by the architecture's own number, where it stands for one.
    """
    parameters = make_extractor(extractor, **chosen).settled_parameters()
    plain = {name: value for name, value in parameters.items() if name not in {"random_state", "device"}}
    return json.dumps(plain, sort_keys=True)


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except TypeError:  # an object that a PyOD detector has as its default: the class's name stands for it
        return False
    return True


def cells_of(comparison: Comparison, classes: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """One cell for every class and seed."""
    return [Cell(comparison, normal_class, seed) for seed in seeds for normal_class in classes]
