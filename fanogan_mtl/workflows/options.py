"""What a person types, checked at the edge: text in, values out, one line for a mistake."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.detectors.registry import check_parameters, detector_class, named_settings, takes
from fanogan_mtl.errors import UserError

EXAMPLE = '{"fanogan": {"latent_dim": 32}, "vae": "tuned"}'


@dataclass(frozen=True)
class DetectorChoice:
    """A detector as a person chose it.

    Attributes
    ----------
    name : str
        Of the registry, or `pyod:ClassName`.
    setting : str
        `default`, a named setting such as `tuned`, or `custom` where single parameters were given.
    parameters : dict
        What differs from the detector's defaults.
    """

    name: str
    setting: str
    parameters: Mapping[str, Any]


def parse_integers(option: str, text: str, minimum: int) -> tuple[int, ...]:
    """Read a comma-separated list of whole numbers, each at least `minimum`, none twice; sorted."""
    words = [word.strip() for word in text.split(",")]
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        raise UserError(f"{option} {text!r}: whole numbers separated by commas, please, such as 0 or 0,1,2") from None
    if min(numbers) < minimum:
        raise UserError(f"{option} {text!r}: {min(numbers)} is too small, the least is {minimum}")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{option} {text!r}: a number is there twice")
    return tuple(sorted(numbers))


def parse_integer(option: str, text: str, minimum: int, absent: str) -> int | None:
    """Read one whole number of at least `minimum`, or the word that means none."""
    if text == absent:
        return None
    numbers = parse_integers(option, text, minimum)
    if len(numbers) > 1:
        raise UserError(f"{option} {text!r}: one whole number, please, or {absent}")
    return numbers[0]


def parse_flag(option: str, text: str) -> bool:
    """Read `true` or `false`."""
    return parse_choice(option, text, ("true", "false")) == "true"


def parse_choice(option: str, text: str, choices: Sequence[str]) -> str:
    """Read one of several words."""
    if text not in choices:
        raise UserError(f"{option} {text!r}: one of {', '.join(choices)}, please")
    return text


def parse_device(text: str) -> str:
    """Read `auto`, `cpu` or `cuda`; `cuda` must be there."""
    if parse_choice("device", text, ("auto", "cpu", "cuda")) == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("device 'cuda': PyTorch finds no CUDA device here; use auto or cpu")
    return text


def parse_workers(text: str) -> int:
    """Read the number of worker processes; `auto` is one a core."""
    return parse_integer("workers", text, 1, "auto") or len(os.sched_getaffinity(0))


def parse_data_dir(text: str) -> Path:
    """Read the folder of prepared data (`auto`: the user's cache), and see that it can be written."""
    folder = default_data_dir() if text == "auto" else Path(text).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"data_dir {str(folder)!r} can't be written ({reason}): choose another folder") from None
    return folder


def parse_object(option: str, text: str, example: str) -> dict[str, Any]:
    """Read a JSON object; `none` is an empty one."""
    if text == "none":
        return {}
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{option} is not JSON ({error}): write it like {example}") from None
    if not isinstance(given, dict):
        raise UserError(f"{option} {text!r} is not a JSON object: write it like {example}")
    return given


def parse_classes(text: str, known: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Read a comma-separated list of classes of a data set; `all` for every one."""
    if text == "all":
        return tuple(known)
    classes = tuple(word.strip() for word in text.split(","))
    for each in classes:
        if each not in known:
            there = f"but of {', '.join(known)}"
            raise UserError(f"classes {text!r}: {dataset!r} has no training images of class {each!r}, {there}")
    if len(set(classes)) < len(classes):
        raise UserError(f"classes {text!r}: a class is there twice")
    return classes


def parse_detectors(
    detectors: str, detector_params: str = "none", common: Mapping[str, str] | None = None
) -> list[DetectorChoice]:
    """Read which detectors, each with its parameters, and check every value.

    Parameters
    ----------
    detectors : str
        Names separated by commas.
    detector_params : str
        `none`; a named setting for all that have it (`tuned`); or a JSON object such as
        `{"fanogan": {"latent_dim": 32}, "vae": "tuned"}`.
    common : mapping, optional
        Parameters for every detector that takes them (`batch_size`, `latent_dim`, `kappa`), as text; `default` leaves a
        detector's own.

    Raises
    ------
    UserError
        For an unknown detector, setting or parameter, or a value out of range.
    """
    names = [name.strip() for name in detectors.split(",")]
    for name in names:
        detector_class(name)
    if len(set(names)) < len(names):
        raise UserError(f"detectors {detectors!r}: a detector is there twice")
    given = _detector_params(detector_params, names)
    shared = {option: _number(option, text) for option, text in (common or {}).items() if text != "default"}
    for option in shared:
        if not any(takes(name, option) for name in names):
            raise UserError(f"{option}: none of the detectors {', '.join(names)} takes it")
    return [_choice(name, given.get(name, {}), shared) for name in names]


def _choice(name: str, given: str | Mapping[str, Any], shared: Mapping[str, Any]) -> DetectorChoice:
    named = isinstance(given, str)
    parameters = dict(named_settings(name)[given]) if isinstance(given, str) else dict(given)
    parameters |= {option: value for option, value in shared.items() if takes(name, option)}
    for reserved, option in (("epochs", "epochs"), ("random_state", "seeds"), ("device", "device")):
        if reserved in parameters:
            raise UserError(f"detector_params of {name!r}: {reserved} is set by the option {option}")
    check_parameters(name, parameters)
    plain = named and not any(takes(name, option) for option in shared)
    return DetectorChoice(name, str(given) if plain else "custom" if parameters else "default", parameters)


def _detector_params(text: str, names: Sequence[str]) -> dict[str, str | Mapping[str, Any]]:
    if text == "none":
        return {}
    if text.isidentifier():
        having = {name: text for name in names if text in named_settings(name)}
        if not having:
            raise UserError(f"detector_params {text!r}: none of {', '.join(names)} has a setting of that name")
        return dict(having)
    given = parse_object("detector_params", text, EXAMPLE)
    for name, value in given.items():
        if name not in names:
            raise UserError(f"detector_params names {name!r}, which is not among the detectors {', '.join(names)}")
        if isinstance(value, str) and value not in named_settings(name):
            known = ", ".join(named_settings(name)) or "none"
            raise UserError(f"detector_params: {name!r} has no setting {value!r}; it has: {known}")
        if not isinstance(value, (str, dict)):
            raise UserError(
                f"detector_params of {name!r}: an object of parameters or a setting's name; write it like {EXAMPLE}"
            )
    return given


def _number(option: str, text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise UserError(f"{option} {text!r}: a number, please, or default") from None
    if not math.isfinite(number):
        raise UserError(f"{option} {text!r}: a finite number, please")
    return int(number) if option != "kappa" and number.is_integer() else number
