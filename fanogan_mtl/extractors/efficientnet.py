"""EfficientNet-Lite0: Tan and Le 2019, *EfficientNet: rethinking model scaling for convolutional neural networks*.

TensorFlow's variant for small devices: no squeeze-and-excitation, ReLU6 in place of swish. The weights were trained on
ImageNet with TensorFlow and came to PyTorch afterwards, so the network pads, normalises and scales its input as
TensorFlow does. A state dict fits other ways of padding as well, and then gives other, worse features.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = 127 / 255, 128 / 255  # of pixels in [0, 1]: the weights want (level - 127) / 128


@dataclass(frozen=True)
class Stage:
    """Blocks that follow each other: their number, and what each of them is like."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Of all EfficientNets; `stride` is the first block's, the others have 1."""


class EfficientNetLite0(nn.Module):
    """The network, with the names of the published state dict (less their leading underscores)."""

    def __init__(self, n_classes: int = 1000) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, 32, 3, 2)
        self.bn0 = _norm(32)
        self.blocks = nn.Sequential()
        channels = 32
        for stage in STAGES:
            for position in range(stage.blocks):
                stride = stage.stride if position == 0 else 1
                self.blocks.append(_Block(channels, stage.channels, stage.kernel, stride, stage.expansion))
                channels = stage.channels
        self.conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self.bn1 = _norm(1280)
        self.fc: nn.Module = nn.Linear(1280, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, n_classes) of scaled RGB images (n, 3, h, w)."""
        maps = self.blocks(functional.relu6(self.bn0(self.conv_stem(images))))
        maps = functional.relu6(self.bn1(self.conv_head(maps)))
        logits: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    """Inverted residual block (Sandler et al. 2018): wider, depthwise, narrow again."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand_conv, self.bn0 = None, None
        if expansion > 1:
            self.expand_conv, self.bn0 = nn.Conv2d(channels_in, wide, 1, bias=False), _norm(wide)
        self.depthwise_conv, self.bn1 = SameConv2d(wide, wide, kernel, stride, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = nn.Conv2d(wide, channels, 1, bias=False), _norm(channels)
        self.residual = stride == 1 and channels_in == channels

    def forward(self, maps: Tensor) -> Tensor:
        wide = maps
        if self.expand_conv is not None and self.bn0 is not None:
            wide = functional.relu6(self.bn0(self.expand_conv(maps)))
        wide = functional.relu6(self.bn1(self.depthwise_conv(wide)))
        narrow: Tensor = self.bn2(self.project_conv(wide))
        return maps + narrow if self.residual else narrow


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, which puts the odd pixel to the right and below."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels_in, channels, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (n, channels, h / stride, w / stride), rounded up."""
        bottom_right = [self._padding(size) for size in (input.shape[3], input.shape[2])]
        sides = [side for total in bottom_right for side in (total // 2, total - total // 2)]
        return super().forward(functional.pad(input, sides))

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
