"""Extractors by name. Nothing heavy is imported until an extractor's class is asked for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fanogan_mtl.errors import UserError

if TYPE_CHECKING:
    from fanogan_mtl.extractors.base import Extractor


@dataclass(frozen=True)
class ExtractorKind:
    """What is known of an extractor before its class is imported.

    Attributes
    ----------
    path : str
        Module in this package and class, as `lenet:LeNet5`.
    description : str
        What it is, in one line of Markdown for `docs/extractors.md`.
    sees : str
        What it learns from, of the domains that it is given; the domains' names follow in sentences.
    weights_of : str or None
        The network whose weights its parameter `weights` takes, where parameters stand in braces; None takes none.
    """

    path: str
    description: str
    sees: str = "training images and class labels"
    weights_of: str | None = None


TIMM = "timm:"
"""What the name of one of timm's networks begins with."""

REGISTRY: dict[str, ExtractorKind] = {
    "autoencoder": ExtractorKind(
        "reconstruction:Autoencoder",
        "two strided convolutions and a dense layer, trained with a decoder; 420,544 weights, 128 features",
        sees="training images, without their labels,",
    ),
    "contrastive": ExtractorKind(
        "contrastive:Contrastive",
        "a small residual network that learns by SimCLR to tell two random views of an image from those of others; "
        "173,256 weights, 384 features of unit length",
        sees="training images, without their labels,",
    ),
    "efficientnet_lite0": ExtractorKind(
        "frozen:FrozenEfficientNetLite0",
        "EfficientNet-Lite0 with ImageNet's weights, which come with the installation; the output of its block 10 on a "
        "3×3 grid, of images at 112×112; 0.7 million weights, 1008 features",
        sees="ImageNet, and at most the principal components of training images",
        weights_of="efficientnet_lite0",
    ),
    "efficientnet_lite0_finetuned": ExtractorKind(
        "finetuned:EfficientNetLite0FineTuned",
        "the whole EfficientNet-Lite0 that starts from ImageNet's weights, which come with the installation, the first "
        "convolution summed over RGB; 3.4 million weights, 1280 features",
        sees="ImageNet, then training images and class labels",
        weights_of="efficientnet_lite0",
    ),
    "efficientnet_lite0_maps": ExtractorKind(
        "frozen:FrozenEfficientNetLite0Maps",
        "the same network for detectors of patches (`padim`, `patchcore`): its blocks 4 and 10 on a 14×14 grid, of "
        "images at 224×224; 0.7 million weights, 29,792 features",
        sees="ImageNet, and at most the principal components of training images",
        weights_of="efficientnet_lite0",
    ),
    "frozen": ExtractorKind(
        "frozen:FrozenNetwork",
        "a layer of any classifier of torchvision or timm (`network`, `layer`, `grid`) with ImageNet's weights",
        sees="ImageNet, and at most the principal components of training images",
        weights_of="{network}",
    ),
    "lenet5": ExtractorKind(
        "lenet:LeNet5",
        "LeNet-5, third convolution widened to 144, average pooling, tanh; features before both dense layers; 60,316 "
        "weights, 144 features",
    ),
    "lenet5_3x3": ExtractorKind(
        "lenet:LeNet5Small",
        "the same idea with 3×3 kernels, padding, batch norm and ReLU (the study's further work); 93,120 weights, 2048 "
        "features",
    ),
    "pca": ExtractorKind(
        "reconstruction:PrincipalComponents",
        "principal components of the pixels, not whitened; 150 features",
        sees="training images, without their labels,",
    ),
    "resnet18": ExtractorKind(
        "resnet:ResNet18",
        "torchvision's, its stem (7×7, stride 2, max pool) for one channel; 11.2 million weights, 512 features",
    ),
    "resnet18_frozen": ExtractorKind(
        "frozen:ResNet18Frozen",
        "torchvision's with ImageNet's weights as they come, on the original images at 224×224 RGB; 11.2 million "
        "weights, 512 features",
        sees="ImageNet, and at most the principal components of training images",
        weights_of="resnet18",
    ),
    "resnet18_imagenet": ExtractorKind(
        "finetuned:ResNet18ImageNet",
        "`resnet18` that starts from ImageNet's weights, the first convolution summed over RGB; 11.2 million weights, "
        "512 features",
        sees="ImageNet, then training images and class labels",
        weights_of="resnet18",
    ),
    "resnet18_untrained": ExtractorKind(
        "resnet:ResNet18Untrained",
        "`resnet18` with its random weights: the study's control; 11.2 million weights, 512 features",
        sees="nothing but mean and deviation of the training images",
    ),
    "resnet50": ExtractorKind("resnet:ResNet50", "as `resnet18`; 23.5 million weights, 2048 features"),
}
"""Name of an extractor -> what is known of it."""


def extractor_kind(name: str) -> ExtractorKind:
    """Give what is known of an extractor without importing its class.

    Raises
    ------
    UserError
        For an unknown name.
    """
    if name not in REGISTRY:
        raise UserError(f"unknown extractor {name!r}; one of: {', '.join(sorted(REGISTRY))}")
    return REGISTRY[name]


def extractor_class(name: str) -> type[Extractor]:
    """Import the class of an extractor.

    Raises
    ------
    UserError
        For an unknown name.
    """
    module, _, class_name = extractor_kind(name).path.partition(":")
    found: type[Extractor] = getattr(import_module(f"fanogan_mtl.extractors.{module}"), class_name)
    return found


def make_extractor(name: str, /, **params: Any) -> Extractor:
    """Build an unfitted extractor.

    Raises
    ------
    UserError
        For an unknown extractor or parameter, or a value out of range.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(256, size=(20, 28, 28), dtype=np.uint8)
    >>> extractor = make_extractor("pca", n_components=4).fit(images, np.repeat([0, 1], 10))
    >>> extractor.transform(images[:3]).shape
    (3, 4)
    """
    known = default_parameters(name)
    for parameter in params:
        if parameter not in known:
            raise UserError(f"unknown parameter {parameter!r} of extractor {name}; one of: {', '.join(sorted(known))}")
    extractor = extractor_class(name)(**params)
    try:
        extractor.check_parameters()
    except ValueError as error:
        raise UserError(f"extractor {name}: {str(error).partition(chr(10))[0]}") from error
    return extractor


def default_parameters(name: str) -> dict[str, Any]:
    """Every parameter of an extractor with its default, in the order of the constructor."""
    parameters = list(inspect.signature(extractor_class(name).__init__).parameters.values())[1:]  # without self
    return {parameter.name: parameter.default for parameter in parameters}


def registered_name(extractor: Extractor) -> str:
    """Name under which `extractor_class` finds exactly this extractor's class."""
    path = f"{type(extractor).__module__.rpartition('.')[2]}:{type(extractor).__qualname__}"
    return next(name for name, known in REGISTRY.items() if known.path == path)
