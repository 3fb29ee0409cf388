"""Any PyOD detector by class name, checked by `CheckedDetector` and corrected by `third_party.mended`.

Each class is an attribute of this module (`pyod_classes.GMM`), made on demand, so that pickle and skops find it by
name. Faults that remain are in `third_party.caveats`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fanogan_mtl.detectors.checked import CheckedDetector, seed_of
from fanogan_mtl.detectors.third_party import mended as pyod_mended
from fanogan_mtl.detectors.third_party.own_numbers import own_numbers
from fanogan_mtl.errors import UserError

FOR_OTHER_INPUT = ("base", "pyg_", "ts_", "audio_", "embedding", "devnet", "xgbod")
"""Starts of file names in PyOD whose classes don't learn from rows of numbers alone: graphs, series, text, labels."""
SEED = inspect.Parameter("random_state", inspect.Parameter.KEYWORD_ONLY, default=0)


@cache
def checked_class(name: str) -> type[Any]:
    """Make the checked class of a PyOD detector.

    Parameters
    ----------
    name : class name in `pyod.models`, as `GMM`

    Raises
    ------
    UserError
        Where PyOD has no such detector for rows of numbers, or it needs a package that is not installed.
    """
    modules = pyod_modules()
    if name not in modules:
        raise UserError(f"unknown detector 'pyod:{name}'; PyOD has: {', '.join(sorted(modules))}")
    try:
        original = getattr(import_module(f"pyod.models.{modules[name]}"), name)
    except ImportError as error:
        raise UserError(f"detector pyod:{name} can't be imported: {str(error).partition(chr(10))[0]}") from error
    bases = (pyod_mended.MENDED.get(name, CheckedDetector), original)
    own = {"__module__": __name__, "__doc__": original.__doc__, "__init__": _seeded_init(original)}
    return type(name, bases, {**own, "draws_to_score": True})


def __getattr__(name: str) -> type[Any]:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return checked_class(name)
    except UserError as error:
        raise AttributeError(str(error)) from error


@cache
def pyod_modules() -> dict[str, str]:
    """PyOD's detectors for rows of numbers: class name -> module, read from the files without importing them."""
    package = find_spec("pyod.models")
    assert package is not None
    assert package.submodule_search_locations is not None
    found: dict[str, str] = {}
    for file in sorted(Path(package.submodule_search_locations[0]).glob("[a-z]*.py")):
        if not file.stem.startswith(FOR_OTHER_INPUT):
            for name in re.findall(r"^class (\w+)\(Base\w*Detector\)", file.read_text(encoding="utf-8"), re.MULTILINE):
                found.setdefault(name, file.stem)
    return found


def _seeded_init(original: type[Any]) -> Callable[..., None]:
    """The constructor with random numbers of its own, and with `random_state` where a torch model has none."""
    signature = inspect.signature(original.__init__)
    unseeded = SEED.name not in signature.parameters and hasattr(inspect.getmodule(original), "torch")

    @wraps(original.__init__)
    def __init__(self: Any, *args: Any, **params: Any) -> None:
        if unseeded:
            self.random_state = params.pop(SEED.name, SEED.default)
        else:
            self.random_state = params.get(SEED.name)  # some constructors draw before they store it
        with own_numbers(seed_of(self)):
            original.__init__(self, *args, **params)

    if unseeded:
        __init__.__signature__ = signature.replace(parameters=[*signature.parameters.values(), SEED])  # type: ignore[attr-defined]
    return __init__
