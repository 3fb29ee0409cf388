"""VAE: Kingma and Welling 2014, *Auto-encoding variational Bayes*, with the capacity of Burgess et al. 2018,
*Understanding disentangling in beta-VAE*, in PyOD's layout.

An encoder gives mean and variance of q(z | x), a decoder g makes rows of z; both are trained on normal rows, to
minimise

    |x - g(z)|^2 + beta |KL(q(z | x), N(0, 1)) - capacity|,    z drawn from q(z | x)

and scored by |x - g(mean of q(z | x))|^2.

Otherwise than PyOD:

- The loss has the distance of KL to the capacity, as in Burgess et al. PyOD clamps KL to [0, capacity], so KL above the
  capacity has no gradient (with PyOD's default of 0, none anywhere).
- The score draws no noise; PyOD's differs from call to call.
- Rows are scaled to [0, 1], which the sigmoid can reach, not standardised pixel by pixel.
- A last batch of fewer rows is trained on, too. The score is the squared error, of which PyOD's is the root.

What it reaches, and what each part of `TUNED` is worth: `docs/detectors.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from fanogan_mtl.detectors.checks import POSITIVE, POSITIVES, Each
from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing
from fanogan_mtl.detectors.networks.gradients import backward, fill_gradients, forward
from fanogan_mtl.detectors.networks.layers import Dense, Linear, minimise

TUNED: dict[str, object] = {
    "batch_size": 32,
    "latent_dim": 16,
    "hidden_widths": [512],
    "dropout": 0.0,
    "beta": 1.0,
    "capacity": 0.0,
    "reconstruction_loss": "sum",
    "output_activation": "linear",
    "weight_decay": 0.0,
    "preprocessing": "standard",
}
"""Found on validation data of the sample sets; `docs/detectors.md` says what each is worth."""

LOG_VARIANCE_RANGE = (-30.0, 20.0)  # PyOD's; beyond, its exponential overflows


class VariationalAutoencoder(nn.Module):
    """Encoder to mean and log variance of the latent normal distribution, decoder back; on preprocessed rows."""

    def __init__(self, n_features: int, detector: VAE) -> None:
        super().__init__()
        hidden, dropout = list(detector.hidden_widths), detector.dropout
        self.preprocessing = Preprocessing(detector.preprocessing)
        self.encoder = Dense([n_features, *hidden], torch.relu, dropout=dropout)
        self.latent = Linear(hidden[-1], 2 * detector.latent_dim)
        self.decoder = Dense([detector.latent_dim, *reversed(hidden)], torch.relu, dropout=dropout)
        self.output = Linear(hidden[0], n_features)
        self.sigmoid = detector.output_activation == "sigmoid"

    def reconstruct(self, rows: Tensor) -> Tensor:
        """Decode the latent mean, without noise: (n, d)."""
        mean, _ = self.latent(self.encoder(rows)).chunk(2, dim=1)
        made: Tensor = self.output(self.decoder(mean))
        return made.sigmoid() if self.sigmoid else made

    def layers(self) -> tuple[list[nn.Linear], list[nn.Linear]]:
        """Encoder's and decoder's linear layers; of the encoder's output, the first half is the mean."""
        return [*self.encoder.linear, self.latent], [*self.decoder.linear, self.output]


class VAE(DeepDetector):
    """Variational autoencoder on normal rows; scores by the squared error of the reconstruction.
    Kingma and Welling 2014, Higgins et al. 2017, Burgess et al. 2018.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Adam's.
    latent_dim : int
    hidden_widths : sequence of int
        Hidden layers of the encoder, input side first; the decoder mirrors them.
    dropout : float in [0, 1)
        After each hidden layer, in training.
    beta : float
        Weight of the term that holds the divergence at `capacity`.
    capacity : float
        Divergence KL(q(z | x), N(0, 1)) in nats that the latent code is held to; 0 with beta 1 is the plain VAE.
    reconstruction_loss : {"mean", "sum"}
        Mean or sum of the squared errors over a row's features.
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
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "capacity": [Interval(Real, 0, None, closed="left")],
        "reconstruction_loss": [StrOptions({"mean", "sum"})],
        "output_activation": [StrOptions({"sigmoid", "linear"})],
    }

    network_: VariationalAutoencoder

    def __init__(
        self,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        latent_dim: int = 100,
        hidden_widths: Sequence[int] = (128, 64, 32),
        dropout: float = 0.2,
        beta: float = 0.8,
        capacity: float = 0.2,
        reconstruction_loss: str = "mean",
        output_activation: str = "sigmoid",
        weight_decay: float = 1e-5,
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
        self.dropout = dropout
        self.beta = beta
        self.capacity = capacity
        self.reconstruction_loss = reconstruction_loss
        self.output_activation = output_activation
        self.weight_decay = weight_decay
        self.preprocessing = preprocessing
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    def reconstruct(self, X: ArrayLike) -> NDArray[Any]:
        """Decode the latent means of rows: (n_samples, n_features), in the units of X."""
        return self._reconstruct(X, lambda rows: self.network_.reconstruct(rows))

    def _build(self, n_features: int) -> VariationalAutoencoder:
        return VariationalAutoencoder(n_features, self)

    def _train(self, rows: Tensor, budgets: Sequence[int]) -> Iterator[int]:
        return minimise(self, self._fill_gradients, rows, budgets)

    @torch.no_grad()
    def _fill_gradients(self, rows: Tensor, noise: torch.Generator) -> None:
        """Fill `.grad` with the gradients of the loss; autograd takes twice as long."""
        network, n_rows = self.network_, len(rows)
        encoder, decoder = network.layers()
        encoder_masks = network.encoder.masks(n_rows, noise)
        drawn = torch.randn(n_rows, self.latent_dim, generator=noise).to(rows.device)
        decoder_masks = network.decoder.masks(n_rows, noise)

        encoded = forward(encoder, rows, 0.0, encoder_masks)
        mean, unclamped = encoded[-1].chunk(2, dim=1)
        log_variance = unclamped.clamp(*LOG_VARIANCE_RANGE)
        drawn *= (log_variance / 2).exp()
        decoded = forward(decoder, mean + drawn, 0.0, decoder_masks)
        made = decoded[-1].sigmoid_() if network.sigmoid else decoded[-1]

        signal = (made - rows).mul_(2 / (n_rows if self.reconstruction_loss == "sum" else rows.numel()))
        if network.sigmoid:
            signal = torch.ops.aten.sigmoid_backward(signal, made)
        signals = backward(decoder, decoded, signal, 0.0, decoder_masks)
        fill_gradients(decoder, decoded, signals)

        latent = signals[0] @ decoder[0].weight
        pull = torch.sign(divergence(mean, log_variance) - self.capacity) * (self.beta / n_rows)
        to_log_variance = (latent * drawn + pull * (log_variance.exp() - 1)) / 2 * (log_variance == unclamped)
        signal = torch.cat([latent + pull * mean, to_log_variance], dim=1)
        fill_gradients(encoder, encoded, backward(encoder, encoded, signal, 0.0, encoder_masks))

    def _score(self, rows: Tensor) -> Tensor:
        return (self.network_.reconstruct(rows) - rows).square().sum(dim=1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence in nats of N(mean, exp(log_variance)) from N(0, 1), mean over the rows of two (n, latent_dim)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
