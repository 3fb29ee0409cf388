"""What the training of a network is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Generator, Tensor

from fanogan_mtl.extractors.base import Network


@dataclass(frozen=True)
class Objective:
    """What a training minimises, and what its best epoch is chosen by.

    Attributes
    ----------
    evaluate : callable
        Network, images, labels -> loss (scalar), value of each image (n,).
    name : str
        What the values' mean is called in the history.
    mode : {"max", "min"}
        Whether the best mean is the highest or the lowest.
    views : callable, optional
        Images, random generator -> what `evaluate` takes in the place of a batch's images. Whatever it draws comes from
        the generator, which is another for each batch of each epoch; for validation it is the same in every epoch.
    """

    evaluate: Callable[[Network, Tensor, Tensor], tuple[Tensor, Tensor]]
    name: str
    mode: Literal["max", "min"]
    views: Callable[[Tensor, Generator], Tensor] | None = None
