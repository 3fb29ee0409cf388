"""Residual networks: He et al. 2016, *Deep residual learning for image recognition*; torchvision's, adapted.

The stem takes one channel: a 7x7 convolution of stride 2, norm, ReLU and max pool (the study's block 0) bring 28x28 to
7x7. The four stages end at 1x1, where torchvision's average pool changes nothing; it keeps other image sizes at the
same number of features. `finetuned` has ResNet18 from ImageNet's weights.

| extractor | weights | trained on | features |
|---|---|---|---|
| `ResNet18`, `ResNet50` | random | labels of the joint set | 512, 2048 |
| `ResNet18Untrained` | random | nothing: the study's control | 512 |
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from fanogan_mtl.extractors.base import Extractor, Sample
from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.networks import NetworkExtractor

if TYPE_CHECKING:
    from torchvision.models import ResNet


class ResNet18(NetworkExtractor):
    """ResNet18 from random weights: grey images to 512 features."""

    own_epochs: ClassVar[int] = 5
    own_batch_size: ClassVar[int] = 32

    def _build(self, n_classes: int) -> Network:
        return grey_network("resnet18", n_classes)


class ResNet50(NetworkExtractor):
    """ResNet50 from random weights: grey images to 2048 features."""

    own_epochs: ClassVar[int] = 8

    def _build(self, n_classes: int) -> Network:
        return grey_network("resnet50", n_classes)


class ResNet18Untrained(Extractor):
    """ResNet18 with its random weights: what the architecture alone is worth.

    Parameters
    ----------
    n_components : int, optional
        So many principal components of the features instead of the features.
    random_state : int
    device : {"auto", "cpu", "cuda"}
    """

    uses_labels: ClassVar[bool] = False
    version: ClassVar[int] = 3

    def __init__(self, n_components: int | None = None, random_state: int = 0, device: str = "auto") -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.device = device

    def _build(self, n_classes: int) -> Network:
        return grey_network("resnet18", 1)

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        self.network_.normalisation.learn(sample.images[sample.training])


def grey_network(name: str, n_classes: int) -> Network:
    """One of torchvision's networks with a stem for one channel."""
    from torchvision import models  # takes a second, and a served model has its network as a graph

    network: ResNet = getattr(models, name)(num_classes=n_classes)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
    classifier = network.fc
    return Network(_headless(network), classifier)


def _headless(network: ResNet) -> ResNet:
    network.fc = nn.Identity()
    for module in network.layer4.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.__class__ = _LastConv2d
    return network


class _LastConv2d(nn.Conv2d):
    """A 3x3 convolution of the last stage, where 28x28 images have become 2x2 and 1x1.

    There its output is one pixel, and most of the kernel lies on the padding: it is a product of matrices. The same
    sum, in a tenth of the time on a processor.
    """

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        if max(height, width) > self.stride[0]:
            return super().forward(input)
        kernel = self.weight[:, :, 1 : 1 + height, 1 : 1 + width]
        return nn.functional.linear(input.flatten(1), kernel.flatten(1))[:, :, None, None]
