"""Deep SVDD: Ruff et al. 2018, *Deep one-class classification*, in PyOD's layout.

A network f without biases is trained on normal rows to map them near a centre c, the mean of its outputs before
training; the squared distance is minimised and is the score:

    A(x) = |f(x) - c|^2

With `autoencoder` (the study's setting, PyOD's `use_ae`) f(x) is the reconstruction, and its mean squared error to x is
minimised as well. Without, f(x) is the code, as in the paper.

Otherwise than its authors and PyOD:

- No pretraining as an autoencoder, which Ruff et al. start from: it made the ranking worse.
- A centre coordinate of exactly 0 is moved to 0.1 as well; PyOD leaves it at 0, which a network of zero weights
  reaches.
- The state after the last epoch counts. PyOD goes back to the epoch of the lowest loss.
- Rows are scaled to [0, 1] as a whole, not standardised pixel by pixel. PyOD's second weight penalty (1e-6 times the
  norms) is left out; Adam's stays.
- Batch norm has no weights of its own: a learned shift could map every row to c.

What it reaches, and what each part of `TUNED` is worth: `docs/detectors.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.detectors.checks import POSITIVE, POSITIVES, Each
from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing
from fanogan_mtl.detectors.networks.layers import Dense, Linear, by_autograd, minimise

TUNED: dict[str, object] = {
    "learning_rate": 1e-3,
    "latent_dim": 64,
    "hidden_widths": [256],
    "autoencoder": False,
    "batch_norm": True,
    "preprocessing": "gcn",
}
"""Found on validation data of the sample sets; `docs/detectors.md` says what each is worth."""

NEAREST_TO_ZERO = 0.1  # Ruff's: a centre coordinate at 0 is met by zero weights


class Hypersphere(nn.Module):
    """Network without biases and the centre its outputs are drawn to; on preprocessed rows."""

    center: Tensor

    def __init__(self, n_features: int, detector: DeepSVDD) -> None:
        super().__init__()
        hidden, code = list(detector.hidden_widths), detector.latent_dim
        self.preprocessing = Preprocessing(detector.preprocessing)
        self.encoder = Dense([n_features, *hidden], torch.relu, bias=False, batch_norm=detector.batch_norm)
        self.code = Linear(hidden[-1], code, bias=False)
        self.decoder: Dense | None = None
        if detector.autoencoder:
            self.decoder = Dense([code, *reversed(hidden)], torch.relu, bias=False, dropout=detector.dropout)
            self.output = Linear(hidden[0], n_features, bias=False)
        self.register_buffer("center", torch.zeros(n_features if detector.autoencoder else code))

    def forward(self, rows: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Outputs whose distance to `center` counts: reconstructions (n, d) with an autoencoder, else codes."""
        code: Tensor = self.code(self.encoder(rows))
        if self.decoder is None:
            return code
        made: Tensor = self.output(self.decoder(code.relu(), noise))
        return made.sigmoid()

    def place_center(self, rows: Tensor) -> None:
        """Put the centre at the mean output of rows (n, d), no coordinate nearer to 0 than `NEAREST_TO_ZERO`."""
        self.eval()
        with torch.no_grad():
            mean = self(rows).mean(dim=0)
        away = torch.where(mean < 0, -NEAREST_TO_ZERO, NEAREST_TO_ZERO)
        self.center.copy_(torch.where(mean.abs() < NEAREST_TO_ZERO, away, mean))


class DeepSVDD(DeepDetector):
    """Network trained to map normal rows near one point; scores by the squared distance to it.
    Ruff et al. 2018; with an autoencoder as in PyOD.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Adam's.
    latent_dim : int
        Width of the code.
    hidden_widths : sequence of int
        Hidden layers of the encoder, input side first; the decoder mirrors them.
    autoencoder : bool
        As PyOD's `use_ae`: a decoder follows, and distance and reconstruction error of its output are minimised
        together. Without it, the distance of the code is minimised, as in the paper.
    batch_norm : bool
        Batch norm (without weights) in the encoder's hidden layers.
    dropout : float in [0, 1)
        After each hidden layer of the decoder, in training.
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
        "autoencoder": ["boolean"],
        "batch_norm": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    network_: Hypersphere

    def __init__(
        self,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
        latent_dim: int = 32,
        hidden_widths: Sequence[int] = (64,),
        autoencoder: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.2,
        weight_decay: float = 1e-6,
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
        self.autoencoder = autoencoder
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.preprocessing = preprocessing
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        super().check_parameters()
        if self.batch_norm and self.batch_size == 1:
            raise ValueError("batch_size must be at least 2 with batch_norm: one row has no batch statistics")

    def _build(self, n_features: int) -> Hypersphere:
        return Hypersphere(n_features, self)

    def _train(self, rows: Tensor, budgets: Sequence[int]) -> Iterator[int]:
        self.network_.place_center(rows)
        return minimise(self, by_autograd(self.network_, self._loss), rows, budgets)

    def _loss(self, rows: Tensor, noise: torch.Generator) -> Tensor:
        outputs: Tensor = self.network_(rows, noise)
        distance = (outputs - self.network_.center).square().sum(dim=1).mean()
        return distance + functional.mse_loss(outputs, rows) if self.autoencoder else distance

    def _score(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.network_(rows)
        return (outputs - self.network_.center).square().sum(dim=1)
