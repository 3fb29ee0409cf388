"""Networks with ImageNet's weights as they come: features of images that need no label and no training.

The output of a *middle* layer, averaged over a coarse grid of positions, is worth more than the last layer, which has
forgotten where things are. Lin et al. 2013 (average pooling), Rippel et al. 2021 (middle layers for anomalies).

| extractor | network | default layer, grid | features |
|---|---|---|---|
| `FrozenEfficientNetLite0` | EfficientNet-Lite0, weights from a package | `blocks.10`, 3×3 | 1008 |
| `FrozenEfficientNetLite0Maps` | the same | `blocks.4` and `blocks.10`, 14×14 | 29,792 |
| `ResNet18Frozen` | torchvision's ResNet18 | `layer4`, 1×1 | 512 |
| `FrozenNetwork` | any classifier of torchvision or timm | to be chosen | channels × grid² |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from fanogan_mtl.extractors.base import POSITIVE, Extractor, Sample
from fanogan_mtl.extractors.imagenet import LITE0, Architecture, architecture, imagenet_weights
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.modules import Network, PreparedPixels

STEP = 32  # px from one position to the next of a network's deepest maps
SURROUNDINGS = 128  # px around a part of a large image: with 64 features beside a seam are off by a tenth


class FrozenNetwork(Extractor):
    """A layer of a network with ImageNet's weights: RGB images to channels × grid² features.

    Parameters
    ----------
    network : str
        `efficientnet_lite0`, a classifier of `torchvision.models`, as `resnet50`, or one of timm's, as `timm:resnet50`,
        where timm is installed.
    layer : str or list of str
        A layer that gives maps, as `layer2` or `layer2.1` of ResNets; features of several follow each other.
    grid : int
        Each map is averaged over grid × grid squares, whose positions are kept; 1 averages whole maps.
    input_size : int
        Height and width in pixels. The images are prepared as the data set says in all but size, small ones enlarged
        (see `EnlargedPreparation`); a grey one has three equal channels.
    tiles : int
        For large images: they are input_size × tiles pixels a side, and cut into tiles × tiles parts that the network
        sees one after the other, each with 128 pixels of its neighbours around it. Positions are grid × tiles a side.
    weights : str, optional
        File with a state dict of that network; None takes the package's or torchvision's own download.
    n_components : int, optional
        So many principal components of the features instead of the features.
    random_state : int
        Draws the images that principal components are learned from.
    device : {"auto", "cpu", "cuda"}
    """

    uses_labels: ClassVar[bool] = False
    _constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._constraints,
        "network": [str],
        "layer": [str, list, tuple],
        "weights": [str, None],
        "grid": [POSITIVE],
        "input_size": [POSITIVE],
        "tiles": [POSITIVE],
    }

    def __init__(
        self,
        network: str = "resnet18",
        layer: str | Sequence[str] = "layer3",
        grid: int = 3,
        input_size: int = 224,
        weights: str | None = None,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
        tiles: int = 1,
    ) -> None:
        self.network = network
        self.layer = layer
        self.grid = grid
        self.input_size = input_size
        self.weights = weights
        self.n_components = n_components
        self.random_state = random_state
        self.device = device
        self.tiles = tiles

    @property
    def input_spec(self) -> InputSpec:
        """The images that it takes."""
        return InputSpec(self.input_size * self.tiles, "own")

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of one image, or of one part with what surrounds it, as the network sees it."""
        side = self.input_spec.image_size if self.tiles == 1 else self.input_size + 2 * SURROUNDINGS
        return (side, side, 3)

    @property
    def positions(self) -> int:
        """Squares a side that the features are apart for; 1 where components have mixed them."""
        return super().positions * self.tiles

    def settled_parameters(self) -> dict[str, Any]:
        """The parameters; without `tiles` where it changes nothing, as results from before there were any are found."""
        parameters = super().settled_parameters()
        return {name: value for name, value in parameters.items() if (name, value) != ("tiles", 1)}

    @property
    def learns(self) -> bool:
        """Only principal components."""
        return self.n_components is not None

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range or doesn't fit the network."""
        super().check_parameters()
        if not self._layers():
            raise ValueError("layer is empty; choose one or several")
        sides = _map_sides(self.network, self._layers(), self.input_size)
        for layer, side in sides.items():
            if self.grid > side:
                raise ValueError(
                    f"grid={self.grid} is more than the {side}x{side} positions of layer {layer!r} at input_size="
                    f"{self.input_size}; choose a smaller grid or larger images"
                )
        if self.tiles > 1:
            if self.n_components is not None:
                raise ValueError("n_components would mix the positions of tiles; leave one of both out")
            joins = not self.input_size % STEP and not self.grid * SURROUNDINGS % self.input_size
            if not joins or (self.tiles - 1) * self.input_size < 2 * SURROUNDINGS:
                raise ValueError(
                    f"tiles: with input_size={self.input_size} and grid={self.grid} parts don't join; choose an "
                    f"input_size that {STEP} divides, {2 * SURROUNDINGS} or more, and a grid whose positions divide "
                    f"{SURROUNDINGS} px"
                )

    def _build(self, n_classes: int) -> Network:
        known = architecture(self.network)
        network = Network(_maps(known, known.make(), self._layers()), nn.Identity(), channels=3)
        network.normalisation.mean.copy_(torch.tensor(known.mean).reshape(3, 1, 1))
        network.normalisation.std.copy_(torch.tensor(known.std).reshape(3, 1, 1))
        network.pooling = GridPooling(self._layers(), self._seen_grid)
        return network

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        state = imagenet_weights(self.network, self.weights)
        wanted = self.network_.backbone.state_dict()
        self.network_.backbone.load_state_dict({name: state[name] for name in wanted})

    def _in_batches(self, images: PreparedPixels, classify: bool = False) -> NDArray[np.float32]:
        """Features (n, channels × positions²), of large images part by part."""
        if self.tiles == 1:
            return super()._in_batches(images, classify)
        windows, kept = self._windows()
        made = []
        for image in images:  # one after the other: its parts are as many as a batch
            parts = super()._in_batches(np.stack([image[rows, columns] for rows in windows for columns in windows]))
            seen = parts.reshape(self.tiles, self.tiles, -1, self._seen_grid, self._seen_grid)
            own = [
                [maps[at][:, rows, columns] for at, columns in enumerate(kept)]
                for maps, rows in zip(seen, kept, strict=True)
            ]
            made.append(np.block(own).ravel())
        return np.stack(made) if made else np.zeros((0, self.n_features_out_), np.float32)

    def _windows(self) -> tuple[list[slice], list[slice]]:
        """What the network sees along a side for each part, and which positions of that are the part's own.

        At the image's edge a part has all of its surroundings on the other side, so that the network meets the edge as
        it does in a whole image.
        """
        seen = self.seen_shape[0]
        starts = np.arange(self.tiles) * self.input_size
        firsts = np.clip(starts - SURROUNDINGS, 0, self.input_spec.image_size - seen)
        own = ((starts - firsts) * self.grid // self.input_size).tolist()
        return [slice(at, at + seen) for at in firsts.tolist()], [slice(at, at + self.grid) for at in own]

    @property
    def _seen_grid(self) -> int:
        """Positions a side of what the network sees at once."""
        return self.grid * self.seen_shape[0] // (self.input_size if self.tiles > 1 else self.seen_shape[0])

    def _layers(self) -> tuple[str, ...]:
        return (self.layer,) if isinstance(self.layer, str) else tuple(self.layer)


class FrozenEfficientNetLite0(FrozenNetwork):
    """EfficientNet-Lite0 with ImageNet's weights, which come with a package: RGB images to 1008 features.

    Parameters
    ----------
    layer, weights, grid, input_size, n_components, random_state, device
        As `FrozenNetwork`'s.
    """

    def __init__(
        self,
        layer: str | Sequence[str] = "blocks.10",
        weights: str | None = None,
        grid: int = 3,
        input_size: int = 112,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(LITE0, layer, grid, input_size, weights, n_components, random_state, device)


class FrozenEfficientNetLite0Maps(FrozenEfficientNetLite0):
    """Maps of two of EfficientNet-Lite0's layers, 152 channels at 14×14 positions, for detectors of patches.

    Parameters
    ----------
    layer, weights, grid, input_size, n_components, random_state, device, tiles
        As `FrozenNetwork`'s.
    """

    def __init__(
        self,
        layer: str | Sequence[str] = ("blocks.4", "blocks.10"),
        weights: str | None = None,
        grid: int = 14,
        input_size: int = 224,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
        tiles: int = 1,
    ) -> None:
        super().__init__(layer, weights, grid, input_size, n_components, random_state, device)
        self.tiles = tiles


class ResNet18Frozen(FrozenNetwork):
    """ResNet18 with ImageNet's weights: RGB images to 512 features of its last layer, or those of another one.

    Parameters
    ----------
    input_size : int
        Height and width to which the *original* images are brought, in pixels.
    weights, layer, grid, n_components, random_state, device
        As `FrozenNetwork`'s.
    """

    def __init__(
        self,
        weights: str | None = None,
        input_size: int = 224,
        layer: str | Sequence[str] = "layer4",
        grid: int = 1,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__("resnet18", layer, grid, input_size, weights, n_components, random_state, device)

    @property
    def input_spec(self) -> InputSpec:
        """The images that it takes."""
        return InputSpec(self.input_size, "rgb", original=True)


class GridPooling(nn.Module):
    """Averages maps over squares that keep their positions.

    Parameters
    ----------
    layers : sequence of str
        Whose features follow each other in this order; a traced network gives them in its own.
    grid : int
        Squares a side; where they don't divide a map's side they overlap by a pixel.
    """

    def __init__(self, layers: Sequence[str], grid: int) -> None:
        super().__init__()
        self.layers, self.grid = tuple(layers), grid

    def extra_repr(self) -> str:
        """What decides its graph; see `feature_graph`."""
        return f"{self.layers}, grid={self.grid}"

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Features (n, sum of channels × grid²) of maps (n, channels, h, w) by layer."""
        return torch.cat([adaptive_avg_pool2d(maps[layer], self.grid).flatten(1) for layer in self.layers], dim=1)


def _maps(known: Architecture, network: nn.Module, layers: Sequence[str]) -> nn.Module:
    """The part of a network that leads to some layers; it gives their maps by name."""
    from torchvision.models.feature_extraction import create_feature_extractor  # as in `architecture`

    found: nn.Module = create_feature_extractor(
        network.eval(), {layer: layer for layer in layers}, tracer_kwargs=known.tracing
    )
    return found


@cache
def _map_sides(name: str, layers: tuple[str, ...], input_size: int) -> dict[str, int]:
    """Positions a side of each layer's maps.

    Raises
    ------
    ValueError
        For an unknown network or layer, and for images that are too small for the network.
    """
    known = architecture(name)
    with torch.device("meta"):
        network = known.make()
        images = torch.zeros(1, 3, input_size, input_size)
    there = _layers_of(known, network)
    for layer in layers:
        if layer not in there:
            named = ", ".join(each for each in there if each.count(".") < 2)
            raise ValueError(f"{name} has no layer {layer!r}; it has {named}, and their parts")
    try:
        shapes = {layer: maps.shape for layer, maps in _maps(known, network, layers)(images).items()}
    except RuntimeError:  # a kernel that is larger than what is left of the image
        raise ValueError(f"input_size={input_size} is too small for {name}; choose larger images") from None
    for layer, shape in shapes.items():
        if len(shape) != 4:
            raise ValueError(f"layer {layer!r} of {name} gives no maps, but values of shape {tuple(shape[1:])}")
    return {layer: min(shape[2:]) for layer, shape in shapes.items()}


def _layers_of(known: Architecture, network: nn.Module) -> list[str]:
    """A network's layers, and the parts of which they are made."""
    from torchvision.models.feature_extraction import get_graph_node_names

    nodes, _ = get_graph_node_names(network.eval(), known.tracing, suppress_diff_warning=True)
    parts = [node.split(".") for node in nodes[1:]]
    return list(dict.fromkeys(".".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)))
