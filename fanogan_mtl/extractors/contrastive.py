"""Features without any label that don't change where an image is turned, moved, bent or lit otherwise: SimCLR.

Chen et al. 2020, *A simple framework for contrastive learning of visual representations*: two random views of each
image are brought together, and away from the views of all other images of the batch (NT-Xent, with a projection head
that is dropped at the end). The backbone is a small residual network (He et al. 2016). Its features have unit length,
as those that the views are compared by, and are the mean over an image as it is and shifted a little to its four
corners, which is nearer to what all its views have in common (Tack et al. 2020, *CSI*, average scores over views so).

Views are of the kind that leaves a digit what it is: affine (Chen et al. crop and resize instead), elastic (Simard et
al. 2003, *Best practices for convolutional neural networks applied to visual document analysis*), contrast and
brightness, one erased square (DeVries and Taylor 2017, *Improved regularization of convolutional neural networks with
cutout*) and noise. Nothing is mirrored unless `flips` says so: a mirrored digit is no digit. With `lighting="any"` a
view keeps nothing of an image's brightness, contrast and polarity either, by which images on grounds of their own are
told apart more easily than by what they show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Generator, Tensor, nn
from torch.nn import functional

from fanogan_mtl.extractors.base import Sample
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.modules import Network, Objective, PreparedPixels
from fanogan_mtl.extractors.networks import NetworkExtractor

SMALLEST, LARGE = 16, 64  # the stem's stride is 2 up to a large image, 4 up to twice its size, and so on
TEMPERATURE = 0.2
OWN_EPOCHS = 20
OWN_BATCHES = {"own": 900, "any": 1800}  # by lighting; at least so many of both, unless `epochs` says otherwise
N_COMPARED = 128  # what the projection head gives

SCALE, SHEAR, SHIFT = 0.25, 0.15, 0.2  # the most that a view is scaled, sheared and shifted, in shares of the image
BEND, BEND_POINTS = 0.06, 5  # standard deviation of the elastic displacement of so many points a side
CONTRAST, BRIGHTNESS = 0.4, 0.1
SHIFTED = 0.1  # features are averaged over shifts by this share of the image: 3 pixels of 28
ERASED = 4  # the erased square has a side of one in so many pixels
NOISE = 0.04

MEANS = (60, 195)  # a relit view's mean level is between them
_DEVIATIONS = (12, 90)  # its standard deviation is between them, and otherwise log-normal about its own
SLOPE, GRAIN = 30, 25  # the most, in levels, of the smooth light and of the noise that are added to it
NEGATIVES = 0.05  # a larger share of them in the training images lets views have any light
LOOKED_AT = 1000  # training images, to find that share


def views(
    images: Tensor, random: Generator, rotation: float = 17.0, flips: bool = False, lighting: str = "own"
) -> Tensor:
    """Two random views of each image.

    Parameters
    ----------
    images : uint8 tensor of shape (n, channels, h, w)
    random : torch.Generator
        On the CPU. All draws come from it.
    rotation : float
        The most that a view is turned, in degrees.
    flips : bool
        Whether half of the views are mirrored, left to right.
    lighting : {"own", "any"}
        Whether a view's light is near its image's, or may be any.

    Returns
    -------
    uint8 tensor of shape (2 n, channels, h, w): first one view of every image, then the other.
    """
    number, size = 2 * len(images), images.shape[-2:]

    def drawn(most: float, *shape: int) -> Tensor:
        return most * (2 * torch.rand(number, *shape, generator=random) - 1).to(images.device)

    angle, shear = drawn(math.radians(rotation)), drawn(SHEAR)
    scale = 1 + drawn(SCALE, 2)
    turned = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).reshape(-1, 2, 2)
    turned[:, 0] += shear[:, None] * turned[:, 1]
    if flips:
        scale[:, 0] *= drawn(1).sign()
    theta = torch.cat([turned * scale[:, None], drawn(2 * SHIFT, 2)[..., None]], dim=2)
    bent = BEND * torch.randn(number, 2, BEND_POINTS, BEND_POINTS, generator=random).to(images.device)
    bent = functional.interpolate(bent, size=size, mode="bicubic", align_corners=True)
    grid = functional.affine_grid(theta, [number, 1, *size], align_corners=False) + bent.permute(0, 2, 3, 1)
    made = functional.grid_sample(images.float().repeat(2, 1, 1, 1), grid, padding_mode="border", align_corners=False)
    middle = made.mean(dim=(1, 2, 3), keepdim=True)
    made = middle + (made - middle) * (1 + drawn(CONTRAST, 1, 1, 1)) + 255 * drawn(BRIGHTNESS, 1, 1, 1)
    if lighting == "any":
        made = _relit(made, random)
        middle = made.mean(dim=(1, 2, 3), keepdim=True)
    made = torch.where(_square(size, number, random).to(images.device), middle, made)
    made += 255 * NOISE * torch.randn(made.shape, generator=random).to(images.device)
    return made.round_().clamp_(0, 255).to(torch.uint8)


def _relit(made: Tensor, random: Generator) -> Tensor:
    """Views in any light: of a random mean and deviation, half negatives, some blurred, grainy or on a slope."""
    number, size = len(made), made.shape[-2:]

    def share() -> Tensor:
        return torch.rand(number, 1, 1, 1, generator=random).to(made.device)

    slope = torch.randn(number, 1, 4, 4, generator=random).to(made.device)
    slope = functional.interpolate(slope, size=size, mode="bicubic", align_corners=True)
    made = made + SLOPE * share() * slope
    deviation, mean = torch.std_mean(made, dim=(1, 2, 3), keepdim=True)
    factor = (0.7 * torch.randn(number, 1, 1, 1, generator=random)).exp().to(made.device)
    wanted = (deviation * factor).clamp(*_DEVIATIONS) * torch.where(share() < 0.5, -1, 1)
    lowest, highest = MEANS
    made = (made - mean) / deviation.clamp(min=4) * wanted + lowest + (highest - lowest) * share()
    blurred = made
    for _ in range(2):
        blurred = functional.avg_pool2d(functional.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, 1)
    made = made + share() * (blurred - made)
    return made + GRAIN * share() * torch.randn(made.shape, generator=random).to(made.device)


def share_of_negatives(images: PreparedPixels) -> float:
    """Share of images (n, h, w[, 3]) whose levels are skewed otherwise than most images' are, at most a half."""
    some = images[:: -(-len(images) // LOOKED_AT)]
    skewed = np.array([np.mean((image - image.mean()) ** 3) < 0 for image in some])
    return float(min(skewed.mean(), 1 - skewed.mean()))


def _square(size: Sequence[int], number: int, random: Generator) -> Tensor:
    """Where a square inside the image is, another one for each of so many images: bool (number, 1, h, w)."""
    side = min(size) // ERASED
    inside = []
    for length in size:
        start = torch.randint(length - side + 1, (number, 1), generator=random)
        inside.append((torch.arange(length) >= start) & (torch.arange(length) < start + side))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def nt_xent(compared: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Normalised temperature-scaled cross entropy of each image: how badly its two views are told to belong together.

    Parameters
    ----------
    compared : tensor of shape (2 n, d)
        Views in the order of `views`, of any length.

    Returns
    -------
    tensor of shape (n,): mean over its two views of the cross entropy of finding the other among all other 2 n - 1.
    """
    unit = functional.normalize(compared.float(), dim=1)
    number = len(unit) // 2
    similar = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    other = torch.arange(2 * number, device=unit.device).roll(number)
    return functional.cross_entropy(similar, other, reduction="none").reshape(2, number).mean(dim=0)


class Contrastive(NetworkExtractor):
    """SimCLR on a small residual network: images to 384 features of unit length.

    Parameters
    ----------
    image_size : int
        Height and width in pixels.
    colour : {"grey", "rgb"}
    rotation : float
        The most that a view is turned, in degrees.
    flips : bool
        Whether half of the views are mirrored, left to right.
    lighting : {"auto", "own", "any"}
        Whether a view's brightness, contrast and polarity are near its image's, or may be any. `auto` is `any` where
        more than one in twenty training images is the negative of the others: light on dark, or dark on light.
    epochs : int, optional
        At most so many; None is 20, or as many as have 900 batches, 1,800 in any light: which matters for few images.
    batch_size, learning_rate, weight_decay, patience, n_components, random_state, device
        As `NetworkExtractor`'s.
    """

    version: ClassVar[int] = 4
    own_batch_size: ClassVar[int] = 256
    uses_labels: ClassVar[bool] = False
    _constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkExtractor._constraints,
        "image_size": [Interval(Integral, SMALLEST, None, closed="left")],
        "colour": [StrOptions({"grey", "rgb"})],
        "rotation": [Interval(Real, 0, 180, closed="both")],
        "flips": ["boolean"],
        "lighting": [StrOptions({"auto", "own", "any"})],
    }

    def __init__(
        self,
        image_size: int = 28,
        colour: Literal["grey", "rgb"] = "grey",
        rotation: float = 17.0,
        flips: bool = False,
        lighting: Literal["auto", "own", "any"] = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.0,
        patience: int | None = None,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(epochs, batch_size, learning_rate, weight_decay, patience, n_components, random_state, device)
        self.image_size = image_size
        self.colour = colour
        self.rotation = rotation
        self.flips = flips
        self.lighting = lighting

    @property
    def input_spec(self) -> InputSpec:
        """The images that it takes."""
        return InputSpec(self.image_size, self.colour)

    @property
    def common_scale(self) -> bool:
        """Always: one deviation for all features keeps the angles between them, up to their mean."""
        return True

    def settled_parameters(self) -> dict[str, Any]:
        """The parameters; epochs stay None, for their number depends on that of the images."""
        return {**super().settled_parameters(), "epochs": self.epochs}

    def _epochs(self, n_batches: int) -> int:
        return self.epochs or max(OWN_EPOCHS, math.ceil(OWN_BATCHES[self.lighting_] / n_batches))

    def _build(self, n_classes: int) -> Network:
        channels = 3 if self.colour == "rgb" else 1
        stride = 2 * math.ceil(self.image_size / LARGE)
        stem = nn.Conv2d(channels, 24, 2 * stride + 1, stride, padding=stride, bias=False)
        backbone = nn.Sequential(
            stem, nn.BatchNorm2d(24), nn.ReLU(),  # (n, 24, 14, 14)
            _Block(24, 24, stride=1),  # (n, 24, 14, 14)
            _Block(24, 48, stride=2),  # (n, 48, 7, 7)
            _Block(48, 96, stride=2),  # (n, 96, 4, 4)
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),  # (n, 384)
        )  # fmt: skip
        head = nn.Sequential(nn.Linear(384, 256), nn.ReLU(), nn.Linear(256, N_COMPARED))
        network = _Shifted(backbone.to(memory_format=torch.channels_last), head, channels)
        network.pooling = _UnitLength()
        return network

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        self.lighting_ = self.lighting
        if self.lighting == "auto":
            self.lighting_ = "any" if share_of_negatives(sample.images[sample.training]) > NEGATIVES else "own"
        super()._learn(sample, checkpoints)

    def _objective(self) -> Objective:
        draw = partial(views, rotation=self.rotation, flips=self.flips, lighting=self.lighting_)
        return Objective(_contrast, "contrast", "min", draw)


def _contrast(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of a batch of views, and each image's."""
    losses = nt_xent(network(images))
    return losses.mean(), losses


class _Block(nn.Module):
    """Two convolutions and a way around them: (n, i, h, w) to (n, o, h / stride, w / stride), rounded up."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        narrowed = [nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(channels_in, channels, 1, bias=False)]
        self.around = nn.Sequential(*narrowed, nn.BatchNorm2d(channels)) if stride > 1 else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.convolutions(images) + self.around(images))


class _Shifted(Network):
    """A network whose features are the mean over an image and its four shifts, of unit length again."""

    def features(self, images: Tensor) -> Tensor:
        """Features (n, d) of uint8 images (n, channels, h, w)."""
        height, width = images.shape[-2:]
        by = round(SHIFTED * height)
        wider = functional.pad(images.float(), (by, by, by, by), mode="replicate")
        places = ((by, by), (0, 0), (0, 2 * by), (2 * by, 0), (2 * by, 2 * by))
        shifted = torch.cat([wider[..., top : top + height, left : left + width] for top, left in places])
        made = self.pooling(self.backbone(self.normalisation(shifted)))
        mean: Tensor = self.projection(self.pooling(made.reshape(len(places), -1, made.shape[1]).mean(dim=0)))
        return mean


class _UnitLength(nn.Module):
    """Divides each row by its length."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(features, dim=1)
