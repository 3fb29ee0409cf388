"""Extractors that fit in seconds, and the small images they fit on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import resnet18

from fanogan_mtl.extractors import REGISTRY, make_extractor
from fanogan_mtl.extractors.base import Extractor

Images = NDArray[np.uint8]
NAMES = sorted(REGISTRY)
LABELS = np.array(["a", "b", "c"])[np.arange(36) % 3]
DOMAINS = np.array(["small", "large"])[(np.arange(36) < 24).astype(int)]
FROM_A_FILE = ("resnet18_frozen", "resnet18_imagenet")
TRAINED = ("autoencoder", "lenet5", "lenet5_3x3", "resnet18", "resnet18_imagenet", "resnet50")
_OWN: dict[str, dict[str, Any]] = {"pca": {"n_components": 5}, "resnet18_frozen": {"input_size": 32}}


def quick(name: str, weights_file: Path, **params: Any) -> Extractor:
    """Make an extractor that trains for one epoch at most."""
    quickly = {**_OWN.get(name, {}), "device": "cpu"}
    if name in FROM_A_FILE:
        quickly["weights"] = str(weights_file)
    if name in TRAINED:
        quickly["epochs"] = 1
    return make_extractor(name, **{**quickly, **params})


def images_for(name: str, number: int = 36, seed: int = 0) -> Images:
    """Random images of the shape that the extractor takes, read-only."""
    shape = (32, 32, 3) if name == "resnet18_frozen" else (28, 28)
    images = np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)
    images.flags.writeable = False
    return images


def weights_like_imagenet() -> dict[str, torch.Tensor]:
    """State dict of torchvision's ResNet18, other than any that an extractor starts from."""
    return dict(_weights())


@cache
def _weights() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        state: dict[str, torch.Tensor] = resnet18().state_dict()
        for key in state:
            if key.endswith(("running_mean", "bn1.bias")):
                state[key] = 0.1 * torch.randn_like(state[key])
    return state
