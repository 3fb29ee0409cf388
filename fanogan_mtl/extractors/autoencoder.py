"""A convolutional autoencoder: features without any label (the study's further work: an unsupervised extractor).

Masci et al. 2011, *Stacked convolutional auto-encoders for hierarchical feature extraction*; here with strided
convolutions and batch norm, trained as a whole to reproduce the joint images (mean squared error of normalised pixels).
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.networks import NetworkExtractor

N_FEATURES = 128


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
