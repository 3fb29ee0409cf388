"""Extractors by name. Nothing heavy is imported until an extractor's class is asked for."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fanogan_mtl.errors import UserError

if TYPE_CHECKING:
    from fanogan_mtl.extractors.base import Extractor

REGISTRY: dict[str, str] = {
    "autoencoder": "autoencoder:Autoencoder",
    "lenet5": "lenet:LeNet5",
    "lenet5_3x3": "lenet:LeNet5Small",
    "pca": "principal_components:PrincipalComponents",
    "resnet18": "resnet:ResNet18",
    "resnet18_frozen": "resnet:ResNet18Frozen",
    "resnet18_imagenet": "resnet:ResNet18ImageNet",
    "resnet18_untrained": "resnet:ResNet18Untrained",
    "resnet50": "resnet:ResNet50",
}
"""Name of an extractor -> module in this package and class."""


def extractor_class(name: str) -> type[Extractor]:
    """Import the class of an extractor.

    Raises
    ------
    UserError
        For an unknown name.
    """
    path = REGISTRY.get(name)
    if path is None:
        raise UserError(f"unknown extractor {name!r}; one of: {', '.join(sorted(REGISTRY))}")
    module, _, class_name = path.partition(":")
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


def takes_originals(name: str) -> bool:
    """Tell whether an extractor takes the original images, not the data set's prepared ones."""
    return make_extractor(name).input_spec.original


def registered_name(extractor: Extractor) -> str:
    """Name under which `extractor_class` finds exactly this extractor's class."""
    path = f"{type(extractor).__module__.rpartition('.')[2]}:{type(extractor).__qualname__}"
    return next(name for name, known in REGISTRY.items() if known == path)
