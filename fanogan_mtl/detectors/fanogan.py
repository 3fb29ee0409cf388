"""f-AnoGAN: Schlegl et al. 2019, *f-AnoGAN: Fast unsupervised anomaly detection with generative adversarial networks*.

A WGAN-GP (Gulrajani et al. 2017) learns a generator G and a critic with features f from normal rows; then G and f stay
fixed and an encoder E is trained (the paper's izi_f). It minimises A(x), which is also the score (n pixels, n_d
features):

    A(x) = 1/n |x - G(E(x))|^2 + kappa/n_d |f(x) - f(G(E(x)))|^2

Otherwise than its authors:

- Fully connected networks for small images, as in the study, not convolutional residual ones.
- Rows are standardised by one mean and one deviation, so G's output is linear: a Tanh can't reach values beyond 1. E
  ends without Tanh as well.
- The critic's and E's gradients are made by hand, equal to autograd's up to rounding.
- E is optimised by Adam with its customary settings, 1e-3 and (0.9, 0.999).
- E is trained afresh for each epoch budget, on random streams of its own, so that budgets are nested.
- The score has a second mode, `calibrated`: each term standardised by its training rows before kappa weighs them.

What it reaches, and what each part of `TUNED` is worth: `docs/detectors.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.detectors.checks import POSITIVE, POSITIVES, Each
from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing, generator, shuffled_batches
from fanogan_mtl.detectors.networks.gradients import backward, fill_gradients, forward, times_slope
from fanogan_mtl.detectors.networks.wgan import (
    SLOPE,
    AdversarialSettings,
    Critic,
    adam,
    frozen,
    linear_layers,
    perceptron,
    train_adversarially,
)

TUNED: dict[str, object] = {
    "batch_size": 32,
    "latent_dim": 32,
    "kappa": 0.02,
    "learning_rate": 1e-3,
    "generator_widths": [256, 512],
    "critic_widths": [256, 128],
    "encoder_widths": [256, 128],
    "start_at_mean": True,
}
"""Found on validation data of the sample sets; `docs/detectors.md` says what each is worth."""
FEATURES: dict[str, object] = {
    **TUNED,
    "latent_dim": 128,
    "generator_widths": [512, 1024],
    "critic_widths": [512, 256],
    "encoder_widths": [1024, 512],
}
"""For hundreds of features instead of pixels; found likewise, on those of a frozen network."""


class FAnoGANNetworks(nn.Module):
    """Everything that f-AnoGAN learns; all but `preprocessing` see preprocessed rows."""

    term_mean: Tensor
    term_std: Tensor

    def __init__(
        self, preprocessing: nn.Module, generator: nn.Sequential, critic: Critic, encoder: nn.Sequential
    ) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.generator = generator
        self.critic = critic
        self.encoder = encoder
        self.register_buffer("term_mean", torch.zeros(2, dtype=torch.float64))  # of the training rows' terms
        self.register_buffer("term_std", torch.ones(2, dtype=torch.float64))

    def reconstruct(self, rows: Tensor) -> Tensor:
        """G(E(x)), shape (n, d)."""
        made: Tensor = self.generator(self.encoder(rows))
        return made

    def terms(self, rows: Tensor) -> Tensor:
        """Image term and feature term, shape (n, 2)."""
        made = self.reconstruct(rows)
        both = self.critic.features(torch.cat([rows, made]))
        features, made_features = both[: rows.shape[0]], both[rows.shape[0] :]  # `chunk` and `len` can't be traced
        image = (rows - made).square().mean(dim=1)
        feature = (features - made_features).square().mean(dim=1)
        return torch.stack([image, feature], dim=1)

    def calibrated(self, terms: Tensor) -> Tensor:
        """Terms (n, 2) in standard deviations over the training rows' mean, float64."""
        return (terms.double() - self.term_mean) / self.term_std


class FAnoGAN(DeepDetector):
    """WGAN-GP on normal rows, then an encoder into its latent space; scores by what the reconstruction misses.
    Schlegl et al. 2019, Gulrajani et al. 2017.

    Parameters
    ----------
    epochs : int
        Epochs of generator and critic, and as many of the encoder after them.
    batch_size : int, at least 2
    latent_dim : int
    kappa : float
        Weight of the feature term, in the encoder's loss and in the score.
    learning_rate : float
        Adam's, of generator and critic, with betas (0.5, 0.999).
    critic_steps : int
        Critic steps, each on a batch of its own, for one generator step.
    gradient_penalty : float
        Weight of the critic's penalty.
    generator_widths, critic_widths, encoder_widths : sequence of int
        Hidden layers, input side first.
    encoder_learning_rate : float
        Adam's, of the encoder, with betas (0.9, 0.999).
    weight_decay : float
        Adam's, of all three networks.
    noise : float
        Standard deviation, in preprocessed units, of Gaussian noise on the encoder's input in training.
    start_at_mean : bool
        Let the generator's last bias start at the training rows' mean.
    preprocessing : {"standard", "minmax", "gcn", "none"}
        See `deep.Preprocessing`.
    score : {"paper", "calibrated"}
        `paper`: image term + kappa * feature term. `calibrated`: each term standardised by its training rows first.
    device : {"auto", "cpu", "cuda"}
    random_state : int
    contamination : float in (0, 0.5]
        Share of the training rows above the threshold.
    """

    _constraints: ClassVar[dict[str, list[Any] | Each]] = {
        **DeepDetector._constraints,
        "batch_size": [Interval(Integral, 2, None, closed="left")],  # one row has no batch statistics
        "latent_dim": [POSITIVE],
        "kappa": [Interval(Real, 0, None, closed="left")],
        "critic_steps": [POSITIVE],
        "gradient_penalty": [Interval(Real, 0, None, closed="left")],
        "generator_widths": POSITIVES,
        "critic_widths": POSITIVES,
        "encoder_widths": POSITIVES,
        "encoder_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "start_at_mean": ["boolean"],
        "score": [StrOptions({"paper", "calibrated"})],
    }

    network_: FAnoGANNetworks

    def __init__(
        self,
        epochs: int = 20,
        batch_size: int = 64,
        latent_dim: int = 100,
        kappa: float = 1.0,
        learning_rate: float = 1e-4,
        critic_steps: int = 5,
        gradient_penalty: float = 10.0,
        generator_widths: Sequence[int] = (128, 256, 512, 1024),
        critic_widths: Sequence[int] = (512, 256),
        encoder_widths: Sequence[int] = (512, 256),
        encoder_learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        noise: float = 0.0,
        start_at_mean: bool = False,
        preprocessing: str = "standard",
        score: str = "paper",
        device: str = "auto",
        random_state: int = 0,
        contamination: float = 0.1,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.latent_dim = latent_dim
        self.kappa = kappa
        self.learning_rate = learning_rate
        self.critic_steps = critic_steps
        self.gradient_penalty = gradient_penalty
        self.generator_widths = generator_widths
        self.critic_widths = critic_widths
        self.encoder_widths = encoder_widths
        self.encoder_learning_rate = encoder_learning_rate
        self.weight_decay = weight_decay
        self.noise = noise
        self.start_at_mean = start_at_mean
        self.preprocessing = preprocessing
        self.score = score
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    def decision_terms(self, X: ArrayLike) -> dict[str, NDArray[Any]]:
        """Score rows in both modes and by each term alone, in one pass.

        Returns
        -------
        dict
            `paper`, `calibrated`, `image`, `feature`: float64 arrays of shape (n_samples,).
        """

        def all_four(rows: Tensor) -> Tensor:
            terms = self.network_.terms(self.network_.preprocessing(rows))
            sums = [self._weigh(terms), self._weigh(self.network_.calibrated(terms))]
            return torch.cat([*(each[:, None] for each in sums), terms], dim=1)

        columns = self._in_batches(self._validated(X), all_four).T
        return dict(zip(("paper", "calibrated", "image", "feature"), columns, strict=True))

    def reconstruct(self, X: ArrayLike) -> NDArray[Any]:
        """G(E(x)) of rows, shape (n_samples, n_features), in the units of X."""
        return self._reconstruct(X, lambda rows: self.network_.reconstruct(rows))

    def _build(self, n_features: int) -> FAnoGANNetworks:
        return FAnoGANNetworks(
            Preprocessing(self.preprocessing),
            perceptron([self.latent_dim, *self.generator_widths, n_features], batch_norm=True),
            Critic([n_features, *self.critic_widths]),
            perceptron([n_features, *self.encoder_widths, self.latent_dim]),
        )

    def _train(self, rows: Tensor, budgets: Sequence[int]) -> Iterator[int]:
        networks = self.network_
        untrained_encoder = deepcopy(networks.encoder.state_dict())
        if self.start_at_mean:
            last_layer = networks.generator[-1]
            assert isinstance(last_layer, nn.Linear)
            last_layer.bias.data.copy_(rows.mean(dim=0))
        settings = AdversarialSettings(
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            critic_steps=self.critic_steps,
            gradient_penalty=self.gradient_penalty,
        )
        for budget in train_adversarially(
            networks.generator, networks.critic, rows, budgets, settings, self.random_state
        ):
            networks.encoder.load_state_dict(untrained_encoder)
            self._train_encoder(rows, budget)
            self._calibrate(rows)
            yield budget

    @torch.no_grad()
    def _train_encoder(self, rows: Tensor, epochs: int) -> None:
        """Train the encoder izi_f against the generator and the critic as they stand."""
        networks = self.network_.train()  # the last budget left it in evaluation mode
        order, noise = (generator(self.random_state, f"encoder {purpose}") for purpose in ("order", "noise"))
        optimizer = adam(networks.encoder, self.encoder_learning_rate, self.weight_decay, momentum=0.9)
        fixed_generator = linear_layers(frozen(networks.generator))
        features = networks.critic.features(rows)
        for _ in range(epochs):
            for batch in shuffled_batches(len(rows), self.batch_size, order):
                real, seen = rows[batch], rows[batch]
                if self.noise:
                    seen = real + self.noise * torch.randn(real.shape, generator=noise).to(real.device)
                fill_encoder_gradients(
                    networks.encoder, fixed_generator, networks.critic, seen, real, features[batch], self.kappa
                )
                optimizer.step()

    def _calibrate(self, rows: Tensor) -> None:
        terms = torch.from_numpy(self._in_batches(rows, self.network_.eval().terms))
        spread = terms.std(dim=0, correction=0)
        self.network_.term_mean.copy_(terms.mean(dim=0))
        self.network_.term_std.copy_(torch.where(spread > 0, spread, 1.0))

    def _score(self, rows: Tensor) -> Tensor:
        terms = self.network_.terms(rows)
        return self._weigh(self.network_.calibrated(terms) if self.score == "calibrated" else terms)

    def _weigh(self, terms: Tensor) -> Tensor:
        return terms[:, 0] + self.kappa * terms[:, 1]


def fill_encoder_gradients(
    encoder: nn.Sequential,
    fixed_generator: Sequence[nn.Linear],
    critic: Critic,
    seen: Tensor,
    real: Tensor,
    features: Tensor,
    kappa: float,
) -> None:
    """Fill `.grad` of the encoder's parameters with the gradients of A(x), mean over rows.

    Parameters
    ----------
    fixed_generator : G's layers, batch norm folded in
    seen : (n, d), what E gets
    real : (n, d), what G(E(seen)) should be
    features : (n, n_d), f(real)
    """
    encoder_layers, critic_layers = linear_layers(encoder), linear_layers(critic.hidden)
    coded = forward(encoder_layers, seen, SLOPE)
    made = forward(fixed_generator, coded[-1], SLOPE)
    hidden = forward(critic_layers, made[-1], SLOPE)
    made_features = functional.leaky_relu(hidden[-1], SLOPE)

    signal = times_slope((made_features - features).mul_(2 * kappa / features.numel()), made_features, SLOPE)
    signal = backward(critic_layers, hidden, signal, SLOPE)[0] @ critic_layers[0].weight
    signal += (made[-1] - real).mul_(2 / real.numel())
    signal = backward(fixed_generator, made, signal, SLOPE)[0] @ fixed_generator[0].weight
    fill_gradients(encoder_layers, coded, backward(encoder_layers, coded, signal, SLOPE))
