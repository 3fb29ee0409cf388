"""Networks that were trained on ImageNet, by name: how each is made, and how it wants its pixels scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torchvision
from torch import nn

from fanogan_mtl.extractors import efficientnet

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Architecture:
    """One network.

    Attributes
    ----------
    make : callable
        Makes it with random weights.
    mean, std : three floats
        Of its training pixels in [0, 1], by channel.
    download : torchvision's weights, or None
        None where the weights come with a package.
    leaves : tuple of classes
        Modules that `torch.fx` must not look into, as what they do depends on their input's size.
    """

    make: Callable[[], nn.Module]
    mean: RGB
    std: RGB
    download: Any = None
    leaves: tuple[type[nn.Module], ...] = ()


LITE0 = "efficientnet_lite0"


@cache
def architecture(name: str) -> Architecture:
    """Find a network: `efficientnet_lite0`, or a classifier of `torchvision.models`.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name == LITE0:
        mean, std = efficientnet.MEAN, efficientnet.STD
        return Architecture(efficientnet.EfficientNetLite0, (mean,) * 3, (std,) * 3, leaves=(efficientnet.SameConv2d,))
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ValueError(f"network {name!r} is unknown; one of: {', '.join([LITE0, *known])}")
    weights = torchvision.models.get_model_weights(name)
    entry = getattr(weights, "IMAGENET1K_V1", None) or next(iter(weights))
    scaling = entry.transforms()
    make = torchvision.models.get_model_builder(name)
    return Architecture(make, tuple(scaling.mean), tuple(scaling.std), entry)
