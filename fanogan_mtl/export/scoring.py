"""Detectors as PyTorch modules of operations that ONNX has: rows in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fanogan_mtl.detectors.dagmm import DAGMM, SMALLEST
from fanogan_mtl.detectors.deep import DeepDetector
from fanogan_mtl.detectors.mahalanobis import Mahalanobis
from fanogan_mtl.detectors.shallow import KNN, PCA
from fanogan_mtl.hybrid import Hybrid


def exportable(detector: Any) -> bool:
    """Whether `scoring_module` knows a detector, or a hybrid's."""
    return isinstance(_inner(detector), (DeepDetector, PCA, KNN, Mahalanobis))


def scoring_module(detector: Any) -> nn.Module:
    """Make the module that scores rows (n, d), float32, as `decision_function` does; scores are (n,), float64."""
    inner = _inner(detector)
    scoring: nn.Module
    if isinstance(inner, DAGMM):
        scoring = _OfDAGMM(inner)
    elif isinstance(inner, DeepDetector):
        scoring = _OfNetwork(inner)
    elif isinstance(inner, PCA):
        scoring = _OfPCA(inner)
    elif isinstance(inner, KNN):
        scoring = _OfKNN(inner)
    else:
        scoring = _OfMahalanobis(inner)
    return nn.Sequential(_Scaling(detector), scoring) if isinstance(detector, Hybrid) else scoring


class ScoringModule(nn.Module):
    """Scores (n, heads) of heads on the same rows: prepared images, or an extractor's features of them."""

    def __init__(self, detectors: Sequence[Any], of_pixels: bool) -> None:
        super().__init__()
        self.of_pixels = of_pixels
        self.scoring = nn.ModuleList(map(scoring_module, detectors))

    def forward(self, rows: Tensor) -> Tensor:
        """Scores, float64, of prepared images (n, height, width[, 3]), uint8, or of features (n, d), float32."""
        if self.of_pixels:
            rows = rows.flatten(1).float() / 255
        return torch.stack([scoring(rows) for scoring in self.scoring], dim=1)


class _Scaling(nn.Module):
    mean: Tensor
    scale: Tensor

    def __init__(self, hybrid: Hybrid) -> None:
        super().__init__()
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.from_numpy(getattr(hybrid.scaler_, f"{name}_").astype(np.float32)))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / self.scale


class _OfNetwork(nn.Module):
    def __init__(self, detector: DeepDetector) -> None:
        super().__init__()
        self.detector, self.network = detector, detector.network_.eval()

    def forward(self, rows: Tensor) -> Tensor:
        return self.detector._score_raw(rows).double()


class _OfDAGMM(nn.Module):
    """As `fanogan_mtl.detectors.dagmm.sample_energy`; ONNX has no Cholesky factors, so they come inverted."""

    means: Tensor
    whitenings: Tensor
    offsets: Tensor

    def __init__(self, detector: DAGMM) -> None:
        super().__init__()
        self.network = detector.network_.eval()
        weights, means, covariances = (each.numpy() for each in detector.network_.mixture())
        factors = np.linalg.cholesky(covariances)
        log_roots = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        offsets = np.log(np.maximum(weights, SMALLEST)) - log_roots - 0.5 * means.shape[1] * np.log(2 * np.pi)
        _keep(self, means=means, whitenings=np.linalg.inv(factors), offsets=offsets)

    def forward(self, rows: Tensor) -> Tensor:
        z = self.network.compress(self.network.preprocessing(rows))[0].double()
        whitened = self.whitenings @ (z - self.means[:, None]).transpose(1, 2)  # (components, dimensions, n)
        return -torch.logsumexp(self.offsets[:, None] - 0.5 * whitened.square().sum(dim=1), dim=0)


class _OfPCA(nn.Module):
    mean: Tensor
    components: Tensor

    def __init__(self, detector: PCA) -> None:
        super().__init__()
        _keep(self, mean=detector.mean_, components=detector.components_)

    def forward(self, rows: Tensor) -> Tensor:
        centred = rows.double() - self.mean
        return (centred - centred @ self.components.T @ self.components).square().mean(dim=1)


class _OfKNN(nn.Module):
    """Distances by their squares' binomial formula, of centred rows, so that few digits are lost."""

    centre: Tensor
    rows: Tensor
    squares: Tensor

    def __init__(self, detector: KNN) -> None:
        super().__init__()
        self.method, self.n_neighbors = detector.method, detector.n_neighbors
        rows = detector.neigh_._fit_X
        centred = rows - rows.mean(axis=0)
        _keep(self, centre=rows.mean(axis=0), rows=centred, squares=np.square(centred).sum(axis=1))

    def forward(self, rows: Tensor) -> Tensor:
        centred = rows.double() - self.centre
        squared = centred.square().sum(dim=1, keepdim=True) + self.squares - 2 * centred @ self.rows.T
        nearest = torch.topk(squared, self.n_neighbors, largest=False).values.clamp(min=0).sqrt()
        if self.method == "largest":
            return nearest[:, -1]
        middle = nearest[:, (self.n_neighbors - 1) // 2 : self.n_neighbors // 2 + 1]
        return (nearest if self.method == "mean" else middle).mean(dim=1)


class _OfMahalanobis(nn.Module):
    mean: Tensor
    scale: Tensor
    basis: Tensor
    whitening: Tensor

    def __init__(self, detector: Mahalanobis) -> None:
        super().__init__()
        self.rest_variance = detector.rest_variance_
        whitening = np.linalg.inv(detector.factor_)
        _keep(self, mean=detector.mean_, scale=detector.scale_, basis=detector.basis_, whitening=whitening)

    def forward(self, rows: Tensor) -> Tensor:
        inside, outside = (rows.double() - self.mean) / self.scale, torch.zeros((), dtype=torch.float64)
        if len(self.basis):
            away = inside
            inside = away @ self.basis.T
            outside = (away - inside @ self.basis).square().sum(dim=1) / self.rest_variance
        return ((inside @ self.whitening.T).square().sum(dim=1) + outside).sqrt()


def _inner(detector: Any) -> Any:
    return detector.detector if isinstance(detector, Hybrid) else detector


def _keep(module: nn.Module, **arrays: NDArray[Any]) -> None:
    for name, values in arrays.items():
        module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, np.float64)))
