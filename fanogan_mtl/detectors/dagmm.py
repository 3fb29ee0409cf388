"""DAGMM: Zong et al. 2018, *Deep autoencoding Gaussian mixture model for unsupervised anomaly detection*.

An autoencoder gives z: its code, the relative Euclidean distance and the cosine similarity of x and its reconstruction
x'. An estimation network gives z's memberships in K components, from which mixture weights phi, means mu and
covariances S of a batch follow. All are trained together on normal rows, to minimise

    mean |x - x'|^2 + energy_weight * mean E(z) + covariance_weight * sum of 1 / S_kjj
    E(z) = -log sum_k phi_k N(z; mu_k, S_k)

The score is E(z) under the mixture of all training rows.

Otherwise than its authors:

- The mixture that scores is fitted once more, to all training rows without dropout, at the end of each epoch budget.
- Energies are computed in float64 by Cholesky factors, and every variance has a floor of 1e-6. A component
  with one row has no inverse otherwise.
- Rows are scaled to [0, 1] and the decoder ends with a sigmoid. The learning rate is 1e-3 instead of 1e-4, with which
  20 epochs are too few.

What it reaches, and what each part of `TUNED` is worth: `docs/detectors.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.detectors.checks import POSITIVE, POSITIVES, Each
from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing
from fanogan_mtl.detectors.networks.layers import Dense, Linear, by_autograd, minimise

TUNED: dict[str, object] = {
    "latent_dim": 32,
    "hidden_widths": [256, 64],
    "n_components": 4,
    "covariance_weight": 0.0005,
    "output_activation": "linear",
}
"""Found on validation data of the sample sets; `docs/detectors.md` says what each is worth."""

VARIANCE_FLOOR = 1e-6  # added to every variance: a component may have one row, or rows that are all the same
SMALLEST = 1e-12  # stands for 0 where a share is divided by or its logarithm taken

Mixture = tuple[Tensor, Tensor, Tensor]
"""Weights (k,), means (k, d) and covariances (k, d, d) of a Gaussian mixture, float64."""


class DAGMMNetworks(nn.Module):
    """Compression network, estimation network and the training rows' mixture; on preprocessed rows."""

    mixture_weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(self, n_features: int, detector: DAGMM) -> None:
        super().__init__()
        hidden, latent, components = list(detector.hidden_widths), detector.latent_dim, detector.n_components
        estimation = list(detector.estimation_widths)
        self.preprocessing = Preprocessing(detector.preprocessing)
        self.encoder = Dense([n_features, *hidden], torch.tanh)
        self.code = Linear(hidden[-1], latent)
        self.decoder = Dense([latent, *reversed(hidden)], torch.tanh)
        self.output = Linear(hidden[0], n_features)
        self.sigmoid = detector.output_activation == "sigmoid"
        self.estimation = Dense([latent + 2, *estimation], torch.tanh, dropout=detector.dropout)
        self.memberships = Linear(estimation[-1], components)
        dim = latent + 2
        self.register_buffer("mixture_weights", torch.full((components,), 1 / components, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(components, dim, dtype=torch.float64))
        self.register_buffer("covariances", torch.eye(dim, dtype=torch.float64).repeat(components, 1, 1))

    def compress(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mixture's input z (n, latent_dim + 2) and reconstructions (n, d) of rows (n, d).

        z is the code, the relative Euclidean distance and the cosine similarity of row and reconstruction.
        """
        code = self.code(self.encoder(rows))
        made: Tensor = self.output(self.decoder(code))
        if self.sigmoid:
            made = made.sigmoid()
        distance = (rows - made).norm(dim=1) / rows.norm(dim=1).clamp_min(1e-3)  # a black image has no norm
        similarity = functional.cosine_similarity(rows, made, dim=1)
        return torch.cat([code, torch.stack([distance, similarity], dim=1)], dim=1), made

    def estimate(self, z: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Memberships (n, k) in the components, each row's sum 1."""
        return torch.softmax(self.memberships(self.estimation(z, noise)), dim=1)

    def mixture(self) -> Mixture:
        """Training rows' mixture, as the score uses it."""
        return self.mixture_weights, self.means, self.covariances


class DAGMM(DeepDetector):
    """Autoencoder and Gaussian mixture trained together; scores by the negative log likelihood under the mixture.
    Zong et al. 2018.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Adam's.
    latent_dim : int
        Width of the code; the mixture has two dimensions more.
    hidden_widths : sequence of int
        Hidden layers of the encoder, input side first; the decoder mirrors them.
    estimation_widths : sequence of int
        Hidden layers of the estimation network.
    dropout : float in [0, 1)
        In the estimation network, in training.
    n_components : int
        Gaussians in the mixture.
    energy_weight, covariance_weight : float
        Weights in the loss of the mean energy and of the penalty on small variances.
    output_activation : {"sigmoid", "linear"}
        `sigmoid` needs rows in [0, 1], as `preprocessing="minmax"` gives.
    weight_decay : float
        Adam's.
    preprocessing : {"standard", "minmax", "gcn", "none"}
        See `deep.Preprocessing`.
    device : {"auto", "cpu", "cuda"}
    random_state : int
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    _constraints: ClassVar[dict[str, list[Any] | Each]] = {
        **DeepDetector._constraints,
        "latent_dim": [POSITIVE],
        "hidden_widths": POSITIVES,
        "estimation_widths": POSITIVES,
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_components": [POSITIVE],
        "energy_weight": [Interval(Real, 0, None, closed="left")],
        "covariance_weight": [Interval(Real, 0, None, closed="left")],
        "output_activation": [StrOptions({"sigmoid", "linear"})],
    }

    network_: DAGMMNetworks

    def __init__(
        self,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        latent_dim: int = 1,
        hidden_widths: Sequence[int] = (60, 30, 10),
        estimation_widths: Sequence[int] = (10,),
        dropout: float = 0.5,
        n_components: int = 10,
        energy_weight: float = 0.1,
        covariance_weight: float = 0.005,
        output_activation: str = "sigmoid",
        weight_decay: float = 0.0,
        preprocessing: str = "minmax",
        device: str = "auto",
        random_state: int = 0,
        contamination: float = 0.1,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.latent_dim = latent_dim
        self.hidden_widths = hidden_widths
        self.estimation_widths = estimation_widths
        self.dropout = dropout
        self.n_components = n_components
        self.energy_weight = energy_weight
        self.covariance_weight = covariance_weight
        self.output_activation = output_activation
        self.weight_decay = weight_decay
        self.preprocessing = preprocessing
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    def reconstruct(self, X: ArrayLike) -> NDArray[Any]:
        """Decode the codes of rows: (n_samples, n_features), in the units of X."""
        return self._reconstruct(X, lambda rows: self.network_.compress(rows)[1])

    def _build(self, n_features: int) -> DAGMMNetworks:
        return DAGMMNetworks(n_features, self)

    def _train(self, rows: Tensor, budgets: Sequence[int]) -> Iterator[int]:
        for budget in minimise(self, by_autograd(self.network_, self._loss), rows, budgets):
            self._keep_mixture(rows)
            yield budget

    def _loss(self, rows: Tensor, noise: torch.Generator) -> Tensor:
        z, made = self.network_.compress(rows)
        mixture = fit_mixture(z, self.network_.estimate(z, noise))
        error = (rows - made).square().sum(dim=1).mean()
        penalty = mixture[2].diagonal(dim1=1, dim2=2).reciprocal().sum()
        return error + self.energy_weight * sample_energy(z, mixture).mean() + self.covariance_weight * penalty

    def _keep_mixture(self, rows: Tensor) -> None:
        network = self.network_.eval()
        with torch.no_grad():
            z, _ = network.compress(rows)
            fitted = fit_mixture(z, network.estimate(z))
        for kept, value in zip(network.mixture(), fitted, strict=True):
            kept.copy_(value)

    def _score(self, rows: Tensor) -> Tensor:
        return sample_energy(self.network_.compress(rows)[0], self.network_.mixture())


def fit_mixture(z: Tensor, memberships: Tensor) -> Mixture:
    """Fit a Gaussian mixture to rows z (n, d) whose memberships (n, k) are known (the paper's equation 5)."""
    z, memberships = z.double(), memberships.double()
    sizes = memberships.sum(dim=0).clamp_min(SMALLEST)
    means = memberships.T @ z / sizes[:, None]
    away = (z - means[:, None]) * (memberships.T / sizes[:, None]).sqrt()[:, :, None]  # (k, n, d)
    floor = VARIANCE_FLOOR * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return sizes / len(z), means, away.mT @ away + floor


def sample_energy(z: Tensor, mixture: Mixture) -> Tensor:
    """Negative log likelihood (n,) in nats of rows z (n, d) under a mixture (equation 6), float64."""
    weights, means, covariances = mixture
    factors, failed = torch.linalg.cholesky_ex(covariances)
    factors = factors.masked_fill((failed != 0)[:, None, None], math.nan)  # a training that diverged is refused later
    away = (z.double() - means[:, None]).mT  # (k, d, n)
    whitened = torch.linalg.solve_triangular(factors, away, upper=False)
    log_roots = factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    log_normaliser = log_roots + 0.5 * z.shape[1] * math.log(2 * math.pi)
    log_densities = -0.5 * whitened.square().sum(dim=1) - log_normaliser[:, None]  # (k, n)
    return -torch.logsumexp(weights.clamp_min(SMALLEST).log()[:, None] + log_densities, dim=0)
