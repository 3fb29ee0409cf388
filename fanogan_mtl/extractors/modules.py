"""What every extractor's network is made of: normalisation, backbone, head, pooling, projection; and what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Generator, Tensor, nn

PreparedPixels = NDArray[np.uint8]

MOST_BY_COVARIANCE = 8_192
"""Features whose covariance, 0.5 GB, is formed to find principal components; maps have thirty thousand."""


class Normalisation(nn.Module):
    """Zero mean and unit variance by one mean and one deviation per channel, of values in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def learn(self, images: PreparedPixels) -> None:
        """Learn mean and deviation from images (n, h, w), over all pixels."""
        share = np.bincount(images.reshape(-1), minlength=256) / images.size  # exact, and in no time
        values = np.arange(256) / 255
        mean = float(share @ values)
        self.mean.fill_(mean)
        self.std.fill_(max(float(share @ (values - mean) ** 2) ** 0.5, 1e-3))

    def forward(self, images: Tensor) -> Tensor:
        """Scale uint8 images (n, channels, h, w) to float32."""
        return (images.float() / 255 - self.mean) / self.std


class Network(nn.Module):
    """Everything that an extractor learns.

    Parameters
    ----------
    backbone : maps normalised images (n, channels, h, w) to features (n, d), or to what `pooling` makes features of
    head : what training adds on top (a classifier, a decoder); dropped at the end
    channels : int

    Attributes
    ----------
    pooling, projection : modules
        What is done to the backbone's output, one after the other; nothing unless an extractor sets them.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, channels: int = 1) -> None:
        super().__init__()
        self.normalisation = Normalisation(channels)
        self.backbone = backbone
        self.head = head
        self.pooling: nn.Module = nn.Identity()
        self.projection: nn.Module = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """The head's output for uint8 images (n, channels, h, w)."""
        output: Tensor = self.head(self.backbone(self.normalisation(images)))
        return output

    def features(self, images: Tensor) -> Tensor:
        """Features (n, d) of uint8 images (n, channels, h, w), after pooling and projection if there are any."""
        made: Tensor = self.projection(self.pooling(self.backbone(self.normalisation(images))))
        return made


class Projection(nn.Module):
    """Principal components of features, in decreasing order of variance, not whitened.

    Its buffers: `mean` (d,), `components` (k, d), `explained_variance` (k,) and `total_variance` (of all d together).
    """

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    total_variance: Tensor

    def __init__(self, n_features: int, n_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("components", torch.zeros(n_components, n_features))
        self.register_buffer("explained_variance", torch.zeros(n_components))
        self.register_buffer("total_variance", torch.zeros(()))

    def learn(self, features: NDArray[np.float32]) -> None:
        """Learn from features (n, d), by scikit-learn."""
        n_components = len(self.components)
        if n_components > min(features.shape):
            raise ValueError(
                f"n_components={n_components} is more than the {features.shape[1]} features of {len(features)} images"
                " allow; choose less"
            )
        solver = "covariance_eigh" if features.shape[1] <= MOST_BY_COVARIANCE else "full"
        pca = PCA(n_components, svd_solver=solver).fit(features.astype(np.float64))
        self.mean.copy_(torch.from_numpy(pca.mean_))
        self.components.copy_(torch.from_numpy(pca.components_))
        self.explained_variance.copy_(torch.from_numpy(pca.explained_variance_))
        self.total_variance.fill_(float(features.astype(np.float64).var(axis=0, ddof=1).sum()))

    def forward(self, features: Tensor) -> Tensor:
        """Project features (n, d) to (n, n_components)."""
        return (features - self.mean) @ self.components.T


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


def to_tensor(images: PreparedPixels) -> Tensor:
    """Turn images (n, h, w[, channels]) into a tensor (n, channels, h, w), uint8."""
    tensor = torch.from_numpy(np.array(images))
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor.unsqueeze(1)
