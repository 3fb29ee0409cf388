"""Fitted detectors on disk, without pickle: nothing in a saved folder can run code when it is loaded.

A folder holds `detector.json` and, for a deep detector, `weights.safetensors` (its network's state and the scores of
its training rows), for one that learns arrays alone `detector.npz`, for the others `detector.skops`, from which only
the types listed here are let in. Arrays are not left to skops as its import takes a second and 60 MB.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fanogan_mtl.detectors.registry import caveats, detector_class, make_detector, registered_name
from fanogan_mtl.detectors.third_party.caveats import UNSERVABLE
from fanogan_mtl.errors import UserError

if TYPE_CHECKING:
    from fanogan_mtl.detectors.checked import CheckedDetector
    from fanogan_mtl.detectors.deep import DeepDetector

FORMAT = 1
DESCRIPTION = "detector.json"
WEIGHTS = "weights.safetensors"
ARRAYS = "detector.npz"
OBJECTS = "detector.skops"

TRUSTED_TYPES = (
    "pyod.models.kpca.PyODKernelPCA",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)
"""Types that a saved shallow detector may hold beside its own class and what skops trusts by itself."""


class UnsavableDetector(UserError):
    """A detector that can only be saved by pickle, or whose score of a single new row means nothing."""


def refuse_unservable(name: str, marks: Mapping[str, str] | None = None) -> None:
    """Raise `UnsavableDetector` for a detector that can be compared, but not put into a model.

    Parameters
    ----------
    name : as for `detector_class`
    marks : mapping, optional
        Those of its comparison: mark -> sentence.
    """
    measured = {mark: f"{name}: {sentence}" for mark, sentence in (marks or {}).items()}
    for mark, sentence in (measured | caveats(name)).items():
        if mark in UNSERVABLE:
            raise UnsavableDetector(f"{sentence.removesuffix('.')}; it can be compared, but not put into a model")


def save_detector(detector: Any, folder: Path) -> None:
    """Write a fitted detector; the folder appears whole or not at all, and replaces an earlier saved detector.

    Raises
    ------
    UnsavableDetector
        For a detector that the registry doesn't know, for one that `refuse_unservable` names, and for those that skops
        can't hold, as PyOD's torch models.
    UserError
        Where the folder holds something else than a saved detector.
    sklearn.exceptions.NotFittedError
    """
    check_is_fitted(detector, "decision_scores_")
    if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION).exists():
        raise UserError(f"{folder} holds other files: choose a new folder for the detector")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        written = Path(temporary) / "detector"
        written.mkdir()
        _write(detector, written)
        if folder.exists():
            shutil.rmtree(folder)
        written.rename(folder)


def load_detector(folder: Path) -> Any:
    """Read a detector that `save_detector` wrote; it scores the same bits, in any process.

    A detector trained with `device="cuda"` is loaded with `device="cpu"` where there is no such device.

    Raises
    ------
    UserError
        Where there is no saved detector, or one of a newer format.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no saved detector ({DESCRIPTION} is missing)") from error
    if description["format"] != FORMAT:
        raise UserError(f"{folder / DESCRIPTION} has format {description['format']}, this version reads {FORMAT}")
    if (folder / WEIGHTS).exists():
        return _read_deep(description, folder)
    if (folder / ARRAYS).exists():
        return _read_arrays(description, folder)
    return _read_shallow(description, folder)


def _write(detector: Any, folder: Path) -> None:
    from fanogan_mtl.detectors.checked import CheckedDetector

    cls = type(detector)
    name = registered_name(cls)
    if name is None:
        raise UnsavableDetector(f"{cls.__name__} can't be saved: it isn't in the registry of detectors")
    refuse_unservable(name)
    description = {"format": FORMAT, "detector": name}
    if isinstance(detector, CheckedDetector) and detector.learned:
        description |= _write_arrays(detector, folder)
    elif isinstance(detector, CheckedDetector):
        _write_shallow(detector, name, folder)
    elif hasattr(detector, "network_"):
        description |= _write_deep(detector, folder)
    else:
        raise UnsavableDetector(f"{cls.__name__} can't be saved: it is neither a CheckedDetector nor a DeepDetector")
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, allow_nan=False), encoding="utf-8")


def _write_deep(detector: DeepDetector, folder: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file

    state = {f"network.{key}": value for key, value in detector.network_.state_dict().items()}
    state["decision_scores_"] = torch.from_numpy(detector.decision_scores_)
    own_memory = {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    save_file(own_memory, folder / WEIGHTS)
    return {**_facts(detector), "epochs_": detector.epochs_}


def _read_deep(description: dict[str, Any], folder: Path) -> DeepDetector:
    import torch
    from safetensors.torch import load_file

    params = _params(description)
    if params["device"] == "cuda" and not torch.cuda.is_available():
        params["device"] = "cpu"
    detector: DeepDetector = make_detector(description["detector"], **params)
    detector.n_features_in_, detector.epochs_ = description["n_features_in_"], description["epochs_"]
    weights = load_file(folder / WEIGHTS)
    scores = weights.pop("decision_scores_").numpy()
    detector.network_ = detector._seeded_build()
    detector.network_.load_state_dict({key.removeprefix("network."): value for key, value in weights.items()})
    detector.network_.eval()
    _set_scores(detector, scores)
    return detector


def _write_arrays(detector: CheckedDetector, folder: Path) -> dict[str, Any]:
    # not safetensors: it writes columns of a matrix as rows
    arrays = {name: getattr(detector, name) for name in (*detector.learned, "decision_scores_")}
    np.savez_compressed(folder / ARRAYS, **arrays)
    return _facts(detector)


def _read_arrays(description: dict[str, Any], folder: Path) -> CheckedDetector:
    detector: CheckedDetector = make_detector(description["detector"], **_params(description))
    detector.n_features_in_ = description["n_features_in_"]
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        for name in detector.learned:
            setattr(detector, name, arrays[name] if arrays[name].ndim else arrays[name].item())
        _set_scores(detector, arrays["decision_scores_"])
    return detector


def _facts(detector: Any) -> dict[str, Any]:
    """What `detector.json` says of a detector whose arrays lie beside it."""
    params = {key: _to_json(value) for key, value in detector.get_params(deep=False).items()}
    return {"params": params, "n_features_in_": detector.n_features_in_}


def _params(description: dict[str, Any]) -> dict[str, Any]:
    return {key: _from_json(value) for key, value in description["params"].items()}


def _set_scores(detector: Any, scores: NDArray[np.float64]) -> None:
    """Give a detector the scores of its training rows, and what PyOD makes of them: threshold and labels."""
    detector.decision_scores_ = scores
    detector._set_n_classes(None)
    detector._process_decision_scores()


def _write_shallow(detector: Any, name: str, folder: Path) -> None:
    skops = _skops()
    try:
        skops.dump(detector, folder / OBJECTS, compression=ZIP_DEFLATED)
        others = set(skops.get_untrusted_types(file=folder / OBJECTS)) - _trusted(type(detector))
    except OSError:
        raise
    except Exception as error:  # skops names no exception for what it can't hold
        reason = str(error).partition("\n")[0]
        raise UnsavableDetector(f"detector {name} can't be saved without pickle ({reason})") from error
    if others:
        raise UnsavableDetector(f"detector {name} can't be saved: it holds {', '.join(sorted(others))}")


def _read_shallow(description: dict[str, Any], folder: Path) -> Any:
    return _skops().load(folder / OBJECTS, trusted=sorted(_trusted(detector_class(description["detector"]))))


def _skops() -> Any:
    """Import skops, but not PyTorch with it.

    It imports every module of scikit-learn, among them one that imports PyTorch where it is installed, and does without
    where it isn't: a served model need not have it in memory.
    """
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        return import_module("skops.io")
    finally:
        if absent:
            del sys.modules["torch"]


def _trusted(cls: type[Any]) -> set[str]:
    return {*TRUSTED_TYPES, f"{cls.__module__}.{cls.__qualname__}"}


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return {"tuple": [_to_json(item) for item in value]}  # JSON has lists only
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise UnsavableDetector(f"a parameter of type {type(value).__name__} can't be saved: {value!r}")


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_from_json(item) for item in value["tuple"])
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return value
