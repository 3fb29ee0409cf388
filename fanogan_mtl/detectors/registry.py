"""Detectors by name. Nothing heavy is imported until a detector's class is asked for."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from fanogan_mtl.detectors.parameters import signature, told
from fanogan_mtl.detectors.third_party.caveats import pyod_caveats
from fanogan_mtl.errors import UserError

REQUIRED = inspect.Parameter.empty

REGISTRY: dict[str, str] = {
    "dagmm": "dagmm:DAGMM",
    "deep_svdd": "deep_svdd:DeepSVDD",
    "ecod": "shallow:ECOD",
    "fanogan": "fanogan:FAnoGAN",
    "iforest": "shallow:IForest",
    "knn": "shallow:KNN",
    "lof": "shallow:LOF",
    "mahalanobis": "mahalanobis:Mahalanobis",
    "ocsvm": "shallow:OCSVM",
    "padim": "patches.padim:PaDiM",
    "patchcore": "patches.patchcore:PatchCore",
    "pca": "shallow:PCA",
    "vae": "vae:VAE",
}
"""Name of a detector -> module in this package and class."""

PYOD = "pyod:"
OURS_INSTEAD_OF_PYOD = {"pyod:ECOD": "shallow:ECOD", "pyod:COPOD": "shallow:COPOD"}
"""PyOD's own score a row by the rows it is scored with (see `shallow`)."""

DETECTOR_OBJECTS = {"pyod:LSCP": "detector_list"}
"""Detector -> its parameter that holds other detectors, which a command line can't give."""


def detector_class(name: str) -> type[Any]:
    """Import the class of a detector.

    Parameters
    ----------
    name : a name in `REGISTRY`, or `pyod:ClassName` for any detector of PyOD

    Raises
    ------
    UserError
        For an unknown name, or a PyOD class whose own dependencies are not installed.
    """
    if name.startswith(PYOD) and name not in OURS_INSTEAD_OF_PYOD:
        from fanogan_mtl.detectors.pyod_classes import checked_class

        return checked_class(name.removeprefix(PYOD))
    path = REGISTRY.get(name) or OURS_INSTEAD_OF_PYOD.get(name)
    if path is None:
        raise UserError(f"unknown detector {name!r}; one of: {', '.join(sorted(REGISTRY))}, or pyod:ClassName")
    module, _, class_name = path.partition(":")
    found: type[Any] = getattr(import_module(f"fanogan_mtl.detectors.{module}"), class_name)
    return found


def make_detector(name: str, /, **params: Any) -> Any:
    """Build an unfitted detector.

    Raises
    ------
    UserError
        For an unknown detector or parameter, a required parameter left out, or a value its constructor refuses.

    Examples
    --------
    >>> detector = make_detector("knn", n_neighbors=2).fit([[0.0], [1.0], [2.0], [3.0]])
    >>> [float(score) for score in detector.decision_function([[1.5], [9.0]])]
    [0.5, 7.0]
    """
    known = signature(detector_class(name))
    for parameter in params:
        if parameter not in known:
            raise UserError(f"unknown parameter {parameter!r} of {name}; one of: {', '.join(sorted(known))}")
    if (of_objects := DETECTOR_OBJECTS.get(name)) and not _are_detectors(params.get(of_objects)):
        raise UserError(f"detector {name} takes a list of detector objects, {of_objects!r}: it is for Python only")
    for parameter, described in known.items():
        if described.default is REQUIRED and parameter not in params:
            raise UserError(f"detector {name} needs the parameter {parameter!r}")
    if name.startswith(PYOD) and params.get("device") == "auto":
        params.pop("device")  # PyOD has no word for it: its default chooses
    try:
        return detector_class(name)(**params)
    except (TypeError, ValueError) as error:
        raise UserError(f"detector {name}: {_first_line(error)}{told(params, detector_class(name))}") from error


def check_parameters(name: str, params: dict[str, Any]) -> None:
    """Raise `UserError` in one line for a parameter that is unknown or out of range."""
    detector = make_detector(name, **params)
    try:
        detector.check_parameters()
    except (TypeError, ValueError) as error:
        raise UserError(f"detector {name}: {_first_line(error)}") from error


def default_parameters(name: str) -> dict[str, Any]:
    """Every parameter of a detector that has a default, with it, in the order of the constructor."""
    found = signature(detector_class(name)).items()
    return {key: value.default for key, value in found if value.default is not REQUIRED}


def named_settings(name: str) -> dict[str, dict[str, Any]]:
    """Settings that go by a name: `tuned` and `features`, of which the detector's module has `TUNED` and `FEATURES`."""
    module = vars(import_module(detector_class(name).__module__))
    return {setting: dict(module[setting.upper()]) for setting in ("tuned", "features") if setting.upper() in module}


def needs_torch(name: str) -> bool:
    """Tell whether a saved detector may need PyTorch to score; not known of PyOD's."""
    from fanogan_mtl.detectors.deep import DeepDetector

    return name.startswith(PYOD) or issubclass(detector_class(name), DeepDetector)


def takes(name: str, parameter: str) -> bool:
    """Tell whether a detector has that parameter, as `random_state` or `device`."""
    return parameter in signature(detector_class(name))


def caveats(name: str) -> dict[str, str]:
    """Known faults of a detector, told without importing it.

    Parameters
    ----------
    name : as for `detector_class`

    Returns
    -------
    dict
        Mark -> one sentence for people; empty for a sound detector. The marks: `transductive` (the score of a row
        depends on the rows that it is scored with), `not repeatable`, `unreliable` (it ranks easy anomalies wrongly),
        `unexamined` (a class of PyOD that was not in the survey).
    """
    is_pyods = name.startswith(PYOD) and name not in OURS_INSTEAD_OF_PYOD
    return pyod_caveats(name.removeprefix(PYOD)) if is_pyods else {}


def registered_name(cls: type[Any]) -> str | None:
    """Name under which `detector_class` finds exactly this class; None where there is none."""
    from fanogan_mtl.detectors import pyod_classes

    if cls.__module__ == pyod_classes.__name__:
        return PYOD + cls.__name__
    paths = {f"fanogan_mtl.detectors.{path}": name for name, path in (OURS_INSTEAD_OF_PYOD | REGISTRY).items()}
    return paths.get(f"{cls.__module__}:{cls.__qualname__}")


def _are_detectors(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(hasattr(each, "fit") for each in value)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
