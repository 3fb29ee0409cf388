"""Extractors that fit in seconds, and the small images they fit on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fanogan_mtl.extractors import REGISTRY, make_extractor
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.imagenet import LITE0, architecture, imagenet_weights
from fanogan_mtl.extractors.registry import default_parameters

Images = NDArray[np.uint8]
NAMES = sorted(REGISTRY)
LABELS = np.array(["a", "b", "c"])[np.arange(36) % 3]
DOMAINS = np.array(["small", "large"])[(np.arange(36) < 24).astype(int)]
TRAINED = tuple(name for name in NAMES if "epochs" in default_parameters(name))
SHRINKING = tuple(name for name in NAMES if "n_components" in default_parameters(name))


def quick(name: str, weights_file: Path, **params: Any) -> Extractor:
    """Make an extractor that trains for one epoch at most; `weights_file` is ResNet18's, others lie beside it."""
    own = _small(name)
    if weights_of := REGISTRY[name].weights_of:
        network = weights_of.format(**{**default_parameters(name), **params})
        own["weights"] = str(weights_file.with_name(f"{network}.pth"))
        if not Path(own["weights"]).exists():
            torch.save(weights_like_imagenet(network), own["weights"])
    return make_extractor(name, **{**own, **params})


def _small(name: str) -> dict[str, Any]:
    """Parameters with which an extractor is quick, of those that it has."""
    defaults = default_parameters(name)
    wanted = {"device": "cpu", "epochs": 1, "input_size": 32, "grid": 1}
    if defaults.get("n_components") is not None:
        wanted["n_components"] = 5
    return {parameter: value for parameter, value in wanted.items() if parameter in defaults}


def images_for(name: str, number: int = 36, seed: int = 0) -> Images:
    """Random images of the shape that the extractor takes, read-only."""
    shape = make_extractor(name, **_small(name)).input_spec.shape
    images = np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)
    images.flags.writeable = False
    return images


def weights_like_imagenet(network: str = "resnet18") -> dict[str, torch.Tensor]:
    """State dict of a network, other than any that an extractor starts from."""
    return dict(_weights(network))


@cache
def _weights(network: str) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        # random weights of Lite0 let nothing through
        random: dict[str, torch.Tensor] = architecture(network).make().state_dict()
        state = imagenet_weights(LITE0, None) if network == LITE0 else random
        for key in state:
            if key.endswith(("running_mean", "bn1.bias")):
                state[key] = 0.1 * torch.randn_like(state[key])
    return state
