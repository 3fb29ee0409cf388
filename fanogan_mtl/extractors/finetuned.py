"""Networks that start from ImageNet's weights and are trained on the labels of the joint set: the study's ImageNet row.

The first convolution is summed over RGB, for grey images. The study's question, whether such a start is worth more than
random weights, is answered with `ResNet18ImageNet` against `ResNet18`, and without a download by EfficientNet-Lite0.

| extractor | network | images | features |
|---|---|---|---|
| `ResNet18ImageNet` | torchvision's ResNet18, with a stem for 28×28 | as they come | 512 |
| `EfficientNetLite0FineTuned` | EfficientNet-Lite0 to the end of its convolutions | doubled to 56×56 | 1280 |
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.extractors.base import Sample
from fanogan_mtl.extractors.efficientnet import EfficientNetLite0, SameConv2d
from fanogan_mtl.extractors.imagenet import LITE0, imagenet_weights
from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.networks import NetworkExtractor
from fanogan_mtl.extractors.resnet import grey_network


class FineTuned(NetworkExtractor):
    """A network that starts from ImageNet's weights.

    Parameters
    ----------
    weights : str, optional
        File with a state dict of the network; None takes the package's, or torchvision's own download.
    epochs, batch_size, learning_rate, weight_decay, patience, n_components, random_state, device
        As `NetworkExtractor`'s.
    """

    own_epochs: ClassVar[int] = 5
    own_batch_size: ClassVar[int] = 32
    _constraints: ClassVar[dict[str, list[Any]]] = {**NetworkExtractor._constraints, "weights": [str, None]}

    def __init__(
        self,
        weights: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        patience: int | None = 5,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(epochs, batch_size, learning_rate, weight_decay, patience, n_components, random_state, device)
        self.weights = weights

    @abstractmethod
    def _start(self) -> dict[str, Tensor]:
        """ImageNet's weights by the names of the backbone, the first convolution's summed over RGB."""

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        self.network_.backbone.load_state_dict(self._start())
        super()._learn(sample, checkpoints)


class ResNet18ImageNet(FineTuned):
    """ResNet18: grey images to 512 features; parameters as `FineTuned`'s."""

    def _build(self, n_classes: int) -> Network:
        return grey_network("resnet18", n_classes)

    def _start(self) -> dict[str, Tensor]:
        state = imagenet_weights("resnet18", self.weights)
        state["conv1.weight"] = state["conv1.weight"].sum(dim=1, keepdim=True)
        return {key: value for key, value in state.items() if key[:3] != "fc."}


class EfficientNetLite0FineTuned(FineTuned):
    """EfficientNet-Lite0: grey images to 1280 features; parameters as `FineTuned`'s."""

    def _build(self, n_classes: int) -> Network:
        network = EfficientNetLite0(n_classes)
        network.conv_stem = SameConv2d(1, 32, 3, 2)
        head, network.fc = network.fc, nn.Identity()
        backbone = nn.Sequential(_Doubled(), network.to(memory_format=torch.channels_last))  # twice as fast
        return Network(backbone, head)

    def _start(self) -> dict[str, Tensor]:
        state = imagenet_weights(LITE0, self.weights)
        state["conv_stem.weight"] = state["conv_stem.weight"].sum(dim=1, keepdim=True)
        return {f"1.{key}": value for key, value in state.items() if key[:3] != "fc."}


class _Doubled(nn.Module):
    """Twice as high and wide: the network halves its images five times, which leaves nothing of 28×28."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)
