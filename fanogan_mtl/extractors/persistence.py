"""Fitted extractors on disk, without pickle: `extractor.json`, `weights.safetensors`, and for some `features.onnx`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.graphs.feature_graph import FeatureGraph, GraphExtractor
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.registry import TIMM, make_extractor, registered_name

if TYPE_CHECKING:
    from fanogan_mtl.extractors.base import Extractor

FORMAT = 1
DESCRIPTION = "extractor.json"
WEIGHTS = "weights.safetensors"
GRAPH = "features.onnx"


def save_extractor(extractor: Extractor, folder: Path, facts: dict[str, Any] | None = None) -> None:
    """Write a fitted extractor into a folder that exists.

    Parameters
    ----------
    facts : dict, optional
        Further facts, as JSON values, that `read_description` gives back.
    """
    import torch
    from safetensors.torch import save_file

    check_is_fitted(extractor, "network_")
    state = extractor.network_.state_dict()
    save_file(
        {key: value.cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()},
        folder / WEIGHTS,
    )
    if extractor.graph_ is not None:
        (folder / GRAPH).write_bytes(extractor.graph_.content)
    description = {
        "format": FORMAT,
        "extractor": registered_name(extractor),
        "version": extractor.version,
        "params": {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in extractor.get_params(deep=False).items()
        },
        "classes": np.asarray(extractor.classes_).tolist(),
        "n_features_out": extractor.n_features_out_,
        "best_epoch": extractor.best_epoch_,
        "history": extractor.history_,
        **(facts or {}),
    }
    if extractor.graph_ is not None and extractor.seen_shape == extractor.input_spec.shape:  # it needs nothing else
        description["graph"] = {"input_spec": asdict(extractor.input_spec), "positions": extractor.positions}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=False), encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """Read what `save_extractor` wrote beside the weights.

    Raises
    ------
    UserError
        Where there is no saved extractor, or one of a newer format.
    """
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no saved extractor ({DESCRIPTION} is missing)") from error
    if description["format"] != FORMAT:
        raise UserError(f"{folder / DESCRIPTION} has format {description['format']}, this version reads {FORMAT}")
    return description


def needed_packages(folder: Path) -> tuple[str, ...]:
    """Packages that a saved extractor's features need, beside those that all need."""
    if runs_alone(folder):
        return ()
    network = read_description(folder)["params"].get("network", "")
    return ("torch", "torchvision", *([TIMM.rstrip(":")] if network.startswith(TIMM) else ()))


def runs_alone(folder: Path) -> bool:
    """Whether a saved extractor's features are made by its graph alone, without PyTorch."""
    return "graph" in read_description(folder)


def load_features(folder: Path) -> Extractor | GraphExtractor:
    """Read a saved extractor for its features only: they have the bits of `load_extractor`'s on a processor."""
    description = read_description(folder)
    if not (about := description.get("graph")):
        return load_extractor(folder)
    graph = FeatureGraph(folder / GRAPH)
    return GraphExtractor(graph, InputSpec(**about["input_spec"]), description["n_features_out"], about["positions"])


def load_extractor(folder: Path, device: str = "auto") -> Extractor:
    """Read an extractor that `save_extractor` wrote; it gives the same bits, in any process."""
    from safetensors.torch import load_file

    description = read_description(folder)
    extractor = make_extractor(description["extractor"], **{**description["params"], "device": device})
    extractor.classes_ = np.array(description["classes"])
    extractor.n_features_out_ = description["n_features_out"]
    extractor.best_epoch_, extractor.history_ = description["best_epoch"], description["history"]
    extractor.state_ = load_file(folder / WEIGHTS)
    earlier = description.get("version") != extractor.version  # whose network made other features, as its graph does
    by_graph = (folder / GRAPH).exists() and (earlier or extractor._device().type == "cpu")
    extractor.graph_ = FeatureGraph((folder / GRAPH).read_bytes()) if by_graph else None
    return extractor
