"""Features from which an image can be made again, without any label: principal components, and an autoencoder's code.

Principal components of the pixels are the study's shallow extractor (Pearson 1901; scikit-learn's PCA): learned from at
most `base.MOST_FOR_COMPONENTS` images of the joint set, not whitened. The autoencoder is its further work, an
unsupervised extractor: Masci et al. 2011, *Stacked convolutional auto-encoders for hierarchical feature extraction*;
here with strided convolutions and batch norm, trained as a whole to reproduce the joint images (mean squared error of
normalised pixels).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from fanogan_mtl.extractors.base import POSITIVE, Extractor, Sample
from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.networks import NetworkExtractor

N_FEATURES = 128  # of the autoencoder


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
    runs_as_graph: ClassVar[bool] = False  # one product of matrices gains nothing
    _constraints: ClassVar[dict[str, list[Any]]] = {**Extractor._constraints, "n_components": [POSITIVE]}

    def __init__(self, n_components: int = 150, random_state: int = 0, device: str = "auto") -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.device = device

    def _build(self, n_classes: int) -> Network:
        return Network(nn.Flatten(), nn.Identity())

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        self.network_.normalisation.learn(sample.images[sample.training])


class Autoencoder(NetworkExtractor):
    """Convolutional encoder, 28x28 grey images to 128 features, trained with a decoder."""

    own_epochs: ClassVar[int] = 10
    uses_labels: ClassVar[bool] = False

    def _build(self, n_classes: int) -> Network:
        encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),  # (n, 32, 14, 14)
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU(),  # (n, 64, 7, 7)
            nn.Flatten(), nn.Linear(64 * 7 * 7, N_FEATURES),
        )  # fmt: skip
        decoder = nn.Sequential(
            nn.Linear(N_FEATURES, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),  # (n, 32, 14, 14)
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),  # (n, 1, 28, 28)
        )  # fmt: skip
        return Network(encoder, decoder)
