"""Reads ImageNet weights, from torchvision's download or from a file."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor

from fanogan_mtl.errors import UserError, one_line

EXAMPLE = "weights=PATH with a state dict of torchvision's {}, as a .pth or .safetensors file"


def imagenet_weights(architecture: str, path: str | None) -> dict[str, Tensor]:
    """State dict of one of torchvision's networks, checked key by key.

    Parameters
    ----------
    architecture : str
        A function of `torchvision.models`, as `resnet18`.
    path : str or None
        A file (`.pth`, `.pt`, `.safetensors`); None for torchvision's own download and cache.

    Raises
    ------
    UserError
        Without a file and without network, for a file that can't be read, and for the first key that doesn't fit or
        holds NaN or infinity.
    """
    with torch.device("meta"):  # neither fills weights nor draws from the global stream
        expected = getattr(torchvision.models, architecture)().state_dict()
    state = _download(architecture) if path is None else _read(Path(path).expanduser(), architecture)
    where = f"the weights of {path or architecture}"
    for key, value in expected.items():
        if key not in state and key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=value.dtype)  # PyTorch before 0.4.1 wrote none, and loads without
        if key not in state:
            raise UserError(f"{where} don't fit {architecture}: {key!r} is missing")
        if state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)}, not {tuple(value.shape)}"
            raise UserError(f"{where} don't fit {architecture}: {key!r} has shape {shapes}")
        if bad := int((~torch.isfinite(state[key])).sum()):
            raise UserError(
                f"{where} are no trained ones: {bad} of {value.numel()} numbers of {key!r} are NaN or infinity"
            )
    for key in state:
        if key not in expected:
            raise UserError(f"{where} don't fit {architecture}: it has no {key!r}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _download(architecture: str) -> dict[str, Tensor]:
    weights = torchvision.models.get_model_weights(architecture)["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, URLError, RuntimeError) as error:
        reason = one_line(error)
        advice = f"give {EXAMPLE.format(architecture)}"
        raise UserError(f"ImageNet's weights of {architecture} can't be downloaded ({reason}): {advice}") from None
    return state


def _read(path: Path, architecture: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format fails in ways of its own
        reason = one_line(error, 120)
        raise UserError(
            f"weights {str(path)!r} can't be read ({reason}): give {EXAMPLE.format(architecture)}"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"weights {str(path)!r} hold no state dict: give {EXAMPLE.format(architecture)}")
    return state
