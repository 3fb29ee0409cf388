"""Turns the text of options into checked values; a mistake is refused in one line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import click

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.detectors.registry import check_parameters, detector_class, named_settings, takes
from fanogan_mtl.errors import UserError
from fanogan_mtl.sweep.cluster import Cluster, check_cluster

EXAMPLE = '{"fanogan": {"latent_dim": 32}, "vae": "tuned"}'
STUDY = "study:"

FindStudy = Callable[[str], tuple[str, Mapping[str, Any]]]  # name of a study -> its detector, and its best setting


@dataclass(frozen=True)
class DetectorChoice:
    """A detector as a person chose it.

    Attributes
    ----------
    name : str
        Of the registry, or `pyod:ClassName`.
    setting : str
        `default`, a named setting such as `tuned`, a study's as `study:NAME`, or `custom` where single parameters were
        given.
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
    return None if text == absent else parse_count(option, text, minimum, f", or {absent}")


def parse_count(option: str, text: str, minimum: int, otherwise: str = "") -> int:
    """Read one whole number of at least `minimum`."""
    numbers = parse_integers(option, text, minimum)
    if len(numbers) > 1:
        raise UserError(f"{option} {text!r}: one whole number, please{otherwise}")
    return numbers[0]


def parse_rates(option: str, text: str) -> tuple[float, ...]:
    """Read comma-separated shares between 0 and 1, none twice, in their order."""
    try:
        rates = tuple(float(word) for word in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < 1 for rate in rates):
        raise UserError(f"{option} {text!r}: shares between 0 and 1, please, such as 0.01 for one in a hundred")
    if len(set(rates)) < len(rates):
        raise UserError(f"{option} {text!r}: a share is there twice")
    return rates


def parse_rate(option: str, text: str) -> float:
    """Read one share between 0 and 1."""
    rates = parse_rates(option, text)
    if len(rates) > 1:
        raise UserError(f"{option} {text!r}: one share, please")
    return rates[0]


def parse_seconds(option: str, text: str) -> float | None:
    """Read a positive number of seconds, or `none`."""
    if text == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise UserError(f"{option} {text!r}: a number of seconds over 0, please, or none")
    return seconds


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
    """Read the number of worker processes; `auto` is one per core that this process, or its container, may use."""
    if number := parse_integer("workers", text, 1, "auto"):
        return number
    from joblib import cpu_count

    return int(cpu_count())


def parse_scheduler(text: str, data_dir: Path) -> Cluster | None:
    """Read the address of a Dask scheduler, and check that its cluster can be used; `none` is this machine alone."""
    if text == "none":
        return None

    def waiting() -> None:
        click.echo(f"scheduler {text} has no worker yet: waiting for the first", err=True)

    return check_cluster(text, data_dir, waiting)


def parse_data_dir(text: str) -> Path:
    """Read the folder of prepared data (`auto`: the user's cache), and check that it can be written."""
    folder = default_data_dir() if text == "auto" else Path(text).expanduser().resolve()
    try:
        try_writing(folder)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"data_dir {str(folder)!r} can't be written ({reason}): choose another folder") from None
    return folder


def try_writing(folder: Path) -> None:
    """Make a folder, and write a file into it and remove it; raises `OSError` where that can't be done."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".writable-{os.getpid()}"
    probe.touch()
    probe.unlink()


def parse_output(text: str, suffixes: Sequence[str]) -> Path:
    """Read where a file goes, by the ends that its name may have; its folder is made, and tried."""
    output = Path(text).expanduser().absolute()
    if output.suffix.lower() not in suffixes:
        raise UserError(f"output {text!r}: a name that ends in {' or '.join(suffixes)}, please")
    if output.is_dir():
        raise UserError(f"output {text!r} is a folder: give the name of a file")
    try:
        try_writing(output.parent)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"output {text!r}: {str(output.parent)!r} is no folder: choose another place") from None
    except OSError as error:
        raise UserError(f"output {text!r} can't be written ({error.strerror}): choose another place") from None
    return output


def parse_folder(option: str, text: str) -> Path | None:
    """Read where files go; None for `none`. The folder is made, and tried."""
    if text == "none":
        return None
    folder = Path(text).expanduser().absolute()
    try:
        try_writing(folder)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{option} {text!r} is a file: give the name of a folder") from None
    except OSError as error:
        raise UserError(f"{option} {text!r} can't be written ({error.strerror}): choose another place") from None
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
    classes = tuple(word.strip() for word in normalize("NFC", text).split(","))  # as folders' names are composed
    for each in classes:
        if each not in known:
            there = f"but of {', '.join(known)}"
            raise UserError(f"classes {text!r}: {dataset!r} has no training images of class {each!r}, {there}")
    if len(set(classes)) < len(classes):
        raise UserError(f"classes {text!r}: a class is there twice")
    return classes


def parse_detectors(
    detectors: str,
    detector_params: str = "none",
    common: Mapping[str, str] | None = None,
    find_study: FindStudy | None = None,
) -> list[DetectorChoice]:
    """Read which detectors, each with its parameters, and check every value.

    Parameters
    ----------
    detectors : str
        Names separated by commas.
    detector_params : str
        `none`; a named setting for all that have it (`tuned`); a study's best setting (`study:NAME`); or a JSON object
        such as `{"fanogan": {"latent_dim": 32}, "vae": "tuned"}`.
    common : mapping, optional
        Parameters for every detector that takes them (`batch_size`, `latent_dim`, `kappa`), as text; `default` leaves a
        detector's own.
    find_study : callable, optional
        Looks up a search.

    Raises
    ------
    UserError
        For an unknown detector, setting, study or parameter, or a value out of range.
    """
    names = [name.strip() for name in detectors.split(",")]
    for name in names:
        detector_class(name)
    if len(set(names)) < len(names):
        raise UserError(f"detectors {detectors!r}: a detector is there twice")
    given = _detector_params(detector_params, names, find_study)
    shared = {option: _number(option, text) for option, text in (common or {}).items() if text != "default"}
    for option in shared:
        if not any(takes(name, option) for name in names):
            raise UserError(f"{option}: none of the detectors {', '.join(names)} takes it")
    return [_choice(name, *given.get(name, ("custom", {})), shared) for name in names]


def _choice(name: str, setting: str, given: Mapping[str, Any], shared: Mapping[str, Any]) -> DetectorChoice:
    own = {option: value for option, value in shared.items() if takes(name, option)}
    parameters = {**given, **own}
    for reserved, option in (("epochs", "epochs"), ("random_state", "seeds"), ("device", "device")):
        if reserved in parameters:
            raise UserError(f"detector_params of {name!r}: {reserved} is set by the option {option}")
    check_parameters(name, parameters)
    return DetectorChoice(name, ("custom" if own else setting) if parameters else "default", parameters)


def _detector_params(
    text: str, names: Sequence[str], find_study: FindStudy | None
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """For each detector that is given parameters, the setting's name (`custom` if it has none) and what is in it."""
    if text == "none":
        return {}
    if text.startswith(STUDY):
        detector, parameters = _studied(text, find_study)
        if detector not in names:
            raise UserError(f"{text} tuned {detector}, which is not among the detectors {', '.join(names)}")
        return {detector: (text, parameters)}
    if text.isidentifier():
        having = {name: (text, settings[text]) for name in names if text in (settings := named_settings(name))}
        if not having:
            raise UserError(f"detector_params {text!r}: none of {', '.join(names)} has a setting of that name")
        return dict(having)
    return {
        name: _setting(name, value, names, find_study)
        for name, value in parse_object("detector_params", text, EXAMPLE).items()
    }


def _setting(
    name: str, value: object, names: Sequence[str], find_study: FindStudy | None
) -> tuple[str, Mapping[str, Any]]:
    if name not in names:
        raise UserError(f"detector_params names {name!r}, which is not among the detectors {', '.join(names)}")
    if isinstance(value, dict):
        return "custom", value
    if not isinstance(value, str):
        raise UserError(
            f"detector_params of {name!r}: an object of parameters or a setting's name; write it like {EXAMPLE}"
        )
    if value.startswith(STUDY):
        detector, parameters = _studied(value, find_study)
        if detector != name:
            raise UserError(f"detector_params: {value} tuned {detector}, not {name}")
        return value, parameters
    if value not in named_settings(name):
        known = ", ".join(named_settings(name)) or "none"
        raise UserError(f"detector_params: {name!r} has no setting {value!r}; it has: {known}")
    return value, named_settings(name)[value]


def _studied(text: str, find_study: FindStudy | None) -> tuple[str, Mapping[str, Any]]:
    if find_study is None:
        raise UserError(f"detector_params {text!r}: studies aren't looked up here")
    return find_study(text.removeprefix(STUDY))


def _number(option: str, text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise UserError(f"{option} {text!r}: a number, please, or default") from None
    if not math.isfinite(number):
        raise UserError(f"{option} {text!r}: a finite number, please")
    return int(number) if option != "kappa" and number.is_integer() else number
