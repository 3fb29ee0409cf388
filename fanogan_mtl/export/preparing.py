"""The preparation of images as a PyTorch module of operations that ONNX has.

ONNX's own `Resize` works on floats and gives other pixels (measured: one in five is another level). Here images are
resized in whole numbers as `fanogan_mtl.data.images.resampling` says, with weights that the graph itself makes of the
image's size, in products of matrices in double precision.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.data.images.levels import GREY_WEIGHTS
from fanogan_mtl.data.images.resampling import LUMA, MOST_BITS, WEIGHT_LIMIT
from fanogan_mtl.data.transforms import EnlargedPreparation, Preparation


class Preparing(nn.Module):
    """Does what `fanogan_mtl.data.transforms.prepare` does with 8-bit RGB images, to the bit."""

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images (n, size, size[, 3]) of images (n, height, width, 3), uint8."""
        preparation = self.preparation
        planes = images.permute(0, 3, 1, 2)
        made = _prepared(planes, preparation)
        if isinstance(preparation, EnlargedPreparation):
            own = _prepared(planes, preparation.own)
            enlarged = _prepared(own, Preparation(preparation.image_size, preparation.colour))
            sides = torch.stack([_places(planes[0, 0, :, 0])[-1], _places(planes[0, 0, 0, :])[-1]]) + 1
            small = sides.max() * preparation.crop <= 2 * preparation.own.image_size
            made = torch.where(small, enlarged, made)
        return made.squeeze(1) if preparation.colour == "grey" else made.permute(0, 2, 3, 1)


def _prepared(planes: Tensor, preparation: Preparation) -> Tensor:
    """Images (n, 1 or 3, size, size) of images (n, 1 or 3, height, width), uint8."""
    if preparation.colour != "rgb" and planes.shape[1] == 3:
        planes = _grey(planes)
    planes = _resized(planes, preparation.image_size, preparation.crop)
    if preparation.contrast != 1:
        planes = _contrasted(planes, preparation.contrast)
    if preparation.sharpness != 1:
        planes = _sharpened(planes, preparation.sharpness)
    return planes if preparation.colour == "grey" else planes.expand(-1, 3, -1, -1)


def _contrasted(planes: Tensor, factor: float) -> Tensor:
    """As torchvision's `adjust_contrast`."""
    grey = planes.float()
    if planes.shape[1] == 3:
        red, green, blue = grey.unbind(dim=1)
        grey = _sum(_sum(red * LUMA[0], LUMA[1], green), LUMA[2], blue).floor()[:, None]
    mean = grey.mean(dim=(1, 2, 3), keepdim=True)
    return _sum(planes.float() * factor, 1 - factor, mean).clamp(0, 255).to(torch.uint8)


def _sharpened(planes: Tensor, factor: float) -> Tensor:
    """As torchvision's `adjust_sharpness`: all but the pixels at the border."""
    channels, height, width = planes.shape[1:]
    if min(height, width) <= 2:
        return planes
    kernel = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]).div(13).expand(channels, 1, 3, 3)
    inner = planes[..., 1:-1, 1:-1].float()
    blurred = functional.conv2d(planes.float(), kernel, groups=channels).round()
    made = _sum(inner, 1 - factor, blurred - inner).clamp(0, 255).to(torch.uint8)
    middle = torch.cat([planes[:, :, 1:-1, :1], made, planes[:, :, 1:-1, -1:]], dim=3)
    return torch.cat([planes[:, :, :1], middle, planes[:, :, -1:]], dim=2)


def _sum(first: Tensor, factor: float, second: Tensor) -> Tensor:
    """`first + factor * second` of float32, rounded once."""
    return (first.double() + float(np.float32(factor)) * second.double()).float()


def _grey(planes: Tensor) -> Tensor:
    weights = torch.tensor(GREY_WEIGHTS, dtype=torch.int32)[:, None, None]
    weighted: Tensor = (planes.int() * weights).sum(dim=1, keepdim=True, dtype=torch.int32)
    return ((weighted + 2**15) // 2**16).to(torch.uint8)


def _resized(planes: Tensor, size: int, share: float) -> Tensor:
    """The part around the centre, bilinear and antialiased: columns first, then rows."""
    of_rows, of_columns = (
        _weights(side, size, share) for side in (_places(planes[0, 0, :, 0]), _places(planes[0, 0, 0, :]))
    )
    columns = _eight_bits(planes.double() @ of_columns[0].T, of_columns[1])
    return _eight_bits(of_rows[0] @ columns, of_rows[1]).to(torch.uint8)


def _places(line: Tensor) -> Tensor:
    """0, 1, 2, ... for the pixels of a line: its length as a tensor, whatever it is."""
    return torch.arange(line.shape[0], dtype=torch.float64)


def _weights(places: Tensor, size: int, share: float) -> tuple[Tensor, Tensor]:
    """How much each pixel of a line counts for each new one, (size, length), and what stands for 1."""
    length = places[-1] + 1
    kept = torch.clamp(torch.round(length * share), min=1.0)
    places = places - torch.round((length - kept) / 2)
    scale = kept / size
    reach = torch.clamp(scale, min=1.0)
    centres = (scale * (torch.arange(size, dtype=torch.float64) + 0.5))[:, None]
    first = torch.clamp(torch.trunc(centres - reach + 0.5), min=0.0)
    behind = torch.minimum(torch.trunc(centres + reach + 0.5), kept)
    inside = (places >= first) & (places < behind)
    shares = torch.clamp(1 - torch.abs((places - centres + 0.5) / reach), min=0.0) * inside
    shares = shares / shares.sum(dim=1, keepdim=True)
    doubled = torch.floor(0.5 + shares.max() * 2.0 ** torch.arange(1, MOST_BITS + 1, dtype=torch.float64))
    one = 2.0 ** (doubled < WEIGHT_LIMIT).sum().double()
    return torch.floor(0.5 + shares * one), one


def _eight_bits(sums: Tensor, one: Tensor) -> Tensor:
    return torch.clamp(torch.floor((sums + one / 2) / one), 0, 255)
