"""Principal components of the pixels of all domains: the study's shallow extractor (Pearson 1901; scikit-learn's PCA).

Learned from the joint set (at most `base.MOST_FOR_COMPONENTS` images of it), not whitened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from fanogan_mtl.extractors.base import POSITIVE, Extractor, Sample
from fanogan_mtl.extractors.modules import Network


class PrincipalComponents(Extractor):
    """PCA: 28x28 grey images to 150 components. It uses no label.

    Parameters
    ----------
    n_components : int
    random_state : int
        Draws the images.
    device : {"auto", "cpu", "cuda"}
    """

    uses_labels: ClassVar[bool] = False
    _constraints: ClassVar[dict[str, list[Any]]] = {**Extractor._constraints, "n_components": [POSITIVE]}

    def __init__(self, n_components: int = 150, random_state: int = 0, device: str = "auto") -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.device = device

    def _build(self, n_classes: int) -> Network:
        return Network(nn.Flatten(), nn.Identity())

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        self.network_.normalisation.learn(sample.images[sample.training])
