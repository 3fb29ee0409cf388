"""LeNet-5: LeCun et al. 1998, *Gradient-based learning applied to document recognition*, as the study changed it.

| extractor | layers, by the size of their images | features |
|---|---|---|
| `LeNet5` | conv 5x5 (6, 28), average pool, conv 5x5 (16, 10), average pool, conv 5x5 (144, 1); Tanh | 144 |
| `LeNet5Small` | conv 3x3 (32, 28), average pool, conv 3x3 (64, 14), average pool, conv 3x3 (128, 7), to 4 | 2048 |

Features are what the convolutions give, *before* the two fully connected layers, as in the study; its further work
names 3x3 kernels with padding for richer features (`lenet5_3x3`, with batch norm). Images are 28x28.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.networks import NetworkExtractor


class LeNet5(NetworkExtractor):
    """LeNet-5 with its third convolution widened to 144: 28x28 grey images to 144 features."""

    def _build(self, n_classes: int) -> Network:
        backbone = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),  # (n, 6, 14, 14)
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),  # (n, 16, 5, 5)
            nn.Conv2d(16, 144, 5), nn.Tanh(), nn.Flatten(),  # (n, 144)
        )  # fmt: skip
        return Network(backbone, _classifier(144, n_classes))


class LeNet5Small(NetworkExtractor):
    """LeNet with 3x3 kernels and padding: 28x28 grey images to 2048 features."""

    own_epochs: ClassVar[int] = 8

    def _build(self, n_classes: int) -> Network:
        backbone = nn.Sequential(
            *_block(1, 32), nn.AvgPool2d(2),  # (n, 32, 14, 14)
            *_block(32, 64), nn.AvgPool2d(2),  # (n, 64, 7, 7)
            *_block(64, 128), nn.AdaptiveAvgPool2d(4), nn.Flatten(),  # (n, 2048)
        )  # fmt: skip
        return Network(backbone, _classifier(2048, n_classes))


def _block(channels_in: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]


def _classifier(n_features: int, n_classes: int) -> nn.Sequential:
    """LeNet-5's two fully connected layers."""
    return nn.Sequential(nn.Linear(n_features, 84), nn.Tanh(), nn.Linear(84, n_classes))
