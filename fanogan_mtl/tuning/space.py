"""A search space: a range or a list of choices for each parameter of a detector, and of the extractor below it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from fanogan_mtl.detectors.registry import check_parameters, default_parameters
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.words import DetectorChoice, parse_object

if TYPE_CHECKING:
    from optuna import Trial

_EXAMPLE = '{"latent_dim": {"low": 8, "high": 128, "log": true}, "batch_size": [16, 32, 64]}'
OF_EXTRACTOR = ("grid",)  # parameters that say how the extractor's features lie
NESTED = "extractor__"  # what the extractor's own parameters begin with here, as in scikit-learn's pipelines
RESERVED = {"epochs": "epochs", "random_state": "seeds", "device": "device"} | {
    name: f"extractor_params; to search it, write {NESTED}{name}" for name in OF_EXTRACTOR
}
"""Parameter -> option that sets it."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole numbers if both of these are."""

    low: float
    high: float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Tell whether a value could be drawn."""
        kind = int if isinstance(self.low, int) else (int, float)
        return isinstance(value, kind) and not isinstance(value, bool) and self.low <= value <= self.high

    def draw(self, trial: Trial, name: str) -> Any:
        """Let a trial of Optuna's choose."""
        if isinstance(self.low, int):
            return trial.suggest_int(name, self.low, int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def stored(self, value: Any) -> Any:
        """The value as Optuna stores it."""
        return value

    def ends(self) -> list[Any]:
        """Values that a detector must take, if it is to take them all."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Choices:
    """One of several values: numbers, texts, true, false, null, or lists."""

    values: tuple[Any, ...]

    def holds(self, value: object) -> bool:
        """Tell whether a value could be drawn."""
        return any(type(each) is type(value) and each == value for each in self.values)

    def draw(self, trial: Trial, name: str) -> Any:
        """Let a trial of Optuna's choose."""
        by_stored = {self.stored(value): value for value in self.values}
        return by_stored[trial.suggest_categorical(name, list(by_stored))]

    def stored(self, value: Any) -> Any:
        """The value as Optuna stores it, which takes no lists."""
        return json.dumps(value) if isinstance(value, list) else value

    def ends(self) -> list[Any]:
        """Values that a detector must take, if it is to take them all."""
        return list(self.values)


SearchSpace = Mapping[str, Range | Choices]


def parse_search_space(text: str, detector: DetectorChoice, extractor: Mapping[str, Any] | None = None) -> SearchSpace:
    """Read a search space, or make the default one of a detector, less what is chosen already.

    Parameters
    ----------
    text : str
        `default`, or a JSON object.
    detector : DetectorChoice
    extractor : mapping, optional
        What is chosen already of the extractor's parameters; without one the detector sees pixels.

    Raises
    ------
    UserError
        For the first thing that is wrong.
    """
    if text == "default":
        return default_search_space(detector)
    space = {name: _read(name, given) for name, given in parse_object("search_space", text, _EXAMPLE).items()}
    if not space:
        raise UserError(f"search_space {text!r} names no parameter: write it like {_EXAMPLE}")
    for name, values in space.items():
        if name.startswith(NESTED):
            _check_of_extractor(name, values, extractor)
            continue
        if name in RESERVED:
            raise UserError(f"search_space: {name} is set by the option {RESERVED[name]}")
        if name in detector.parameters:
            raise UserError(f"search_space: {name} is fixed at {detector.parameters[name]!r}, so it can't be searched")
        for value in values.ends():
            try:
                check_parameters(detector.name, {**detector.parameters, name: value})
            except UserError as error:
                raise UserError(f"search_space: {error}") from None
    return space


def extractor_settings(space: SearchSpace) -> list[dict[str, Any]]:
    """Every combination of the extractor's parameters that a space holds, by their own names."""
    lists = {name: values.ends() for name, values in of_extractor(space).items()}
    return [dict(zip(lists, chosen, strict=True)) for chosen in product(*lists.values())] if lists else []


def of_extractor(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a setting says of the extractor, by the parameters' own names."""
    return {name.removeprefix(NESTED): value for name, value in parameters.items() if name.startswith(NESTED)}


def of_detector(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a setting says of the detector."""
    return {name: value for name, value in parameters.items() if not name.startswith(NESTED)}


def default_search_space(detector: DetectorChoice) -> SearchSpace:
    """Ranges around a detector's own batch_size, latent_dim, kappa and learning_rate, less what is chosen already."""
    defaults = default_parameters(detector.name)
    own = {name: defaults[name] for name in _AROUND if type(defaults.get(name)) in (int, float)}
    space = {name: _AROUND[name](own[name]) for name in own if name not in detector.parameters}
    if not space:
        fixed = " that is not fixed already" if own else ""
        raise UserError(
            f"search_space: {detector.name} has no {', '.join(_AROUND)}{fixed}; say what to search, as {_EXAMPLE}"
        )
    return space


_AROUND: dict[str, Callable[[Any], Range | Choices]] = {
    "batch_size": lambda own: Choices((own, 2 * own, 4 * own)),  # half of it doubles what a trial costs
    "latent_dim": lambda own: Range(max(1, own // 8), max(8, 2 * own), log=True),
    "kappa": lambda own: Range(own / 100, own * 10, log=True),
    "learning_rate": lambda own: Range(own / 10, own * 20, log=True),
}


def _check_of_extractor(name: str, values: Range | Choices, extractor: Mapping[str, Any] | None) -> None:
    own = name.removeprefix(NESTED)
    if extractor is None:
        raise UserError(f"search_space: {name} needs an extractor: name one as extractors")
    if isinstance(values, Range):
        raise UserError(f"search_space of {name}: a list of choices, please: each is an extractor of its own")
    if own in extractor:
        raise UserError(f"search_space: {name} is fixed at {extractor[own]!r}, so it can't be searched")


def _read(name: str, given: Any) -> Range | Choices:
    if isinstance(given, list) and given:
        known = (bool, int, float, str, list, type(None))
        values = tuple(given)
        texts = [json.dumps(value) for value in values]
        if all(isinstance(value, known) for value in values) and len(set(texts)) == len(texts):
            return Choices(values)
        raise UserError(f"search_space of {name}: different numbers, texts or lists, please; write it like {_EXAMPLE}")
    if not isinstance(given, dict) or not {"low", "high"} <= given.keys() <= {"low", "high", "log"}:
        raise UserError(
            f"search_space of {name}: a list of choices, or low and high, and log if you like; write it like {_EXAMPLE}"
        )
    low, high, log = given["low"], given["high"], given.get("log", False)
    if not all(type(end) in (int, float) and math.isfinite(end) for end in (low, high)) or low >= high:
        raise UserError(f"search_space of {name}: low must be a number below high, not {low!r} and {high!r}")
    if type(log) is not bool or (log and low <= 0):
        raise UserError(f"search_space of {name}: log is true or false, and with true low must be over 0")
    return Range(low, high, log) if type(low) is type(high) else Range(float(low), float(high), log)
