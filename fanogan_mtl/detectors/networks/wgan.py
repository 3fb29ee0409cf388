"""Fully connected WGAN-GP whose critic step needs no autograd: generator, critic, and one training step of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_linear_bn_eval

from fanogan_mtl.detectors.deep import generator as random_stream
from fanogan_mtl.detectors.deep import shuffled_batches
from fanogan_mtl.detectors.networks.gradients import flatten_parameters, times_slope
from fanogan_mtl.detectors.networks.layers import Linear

SLOPE = 0.2  # of every leaky rectifier


@dataclass(frozen=True)
class AdversarialSettings:
    """How a generator and its critic are trained (see `FAnoGAN` for the meaning of each)."""

    batch_size: int
    learning_rate: float
    weight_decay: float
    critic_steps: int
    gradient_penalty: float


def adam(network: nn.Module, learning_rate: float, weight_decay: float, *, momentum: float) -> torch.optim.Optimizer:
    """Adam with that first beta, fused: three times as fast as the loop over parameters."""
    parameters = flatten_parameters(network)
    return torch.optim.Adam([parameters], learning_rate, (momentum, 0.999), weight_decay=weight_decay, fused=True)


def perceptron(widths: Sequence[int], *, batch_norm: bool = False) -> nn.Sequential:
    """Linear layers of those widths (input first), leaky rectifiers between, batch norm from the second layer on."""
    layers: list[nn.Module] = []
    for number, (width_in, width_out) in enumerate(pairwise(widths)):
        layers.append(Linear(width_in, width_out))
        if number < len(widths) - 2:
            if batch_norm and number > 0:
                layers.append(nn.BatchNorm1d(width_out))
            layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers)


def frozen(network: nn.Sequential) -> nn.Sequential:
    """Copy a trained perceptron for evaluation only, batch norm folded into the linear layers."""
    layers: list[nn.Module] = []
    for layer in deepcopy(network).eval().requires_grad_(False):
        if isinstance(layer, nn.BatchNorm1d):
            linear = layers.pop()
            assert isinstance(linear, nn.Linear)
            layer = fuse_linear_bn_eval(linear, layer)
        layers.append(layer)
    return nn.Sequential(*layers)


def linear_layers(layers: Iterable[nn.Module]) -> list[nn.Linear]:
    """Those among the layers that are linear."""
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


class Critic(nn.Module):
    """Perceptron from a row to one number; its last hidden layer is the feature vector f(x)."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(Linear(width_in, width_out) for width_in, width_out in pairwise(widths))
        self.last = nn.Linear(widths[-1], 1)

    def features(self, rows: Tensor) -> Tensor:
        """f(x), shape (n, last width)."""
        for layer in self.hidden:
            rows = functional.leaky_relu(layer(rows), SLOPE)
        return rows

    def forward(self, rows: Tensor) -> Tensor:
        """Values (n,)."""
        values: Tensor = self.last(self.features(rows)).squeeze(1)
        return values


def train_adversarially(
    generator: nn.Module,
    critic: Critic,
    rows: Tensor,
    budgets: Sequence[int],
    settings: AdversarialSettings,
    seed: int,
) -> Iterator[int]:
    """Train generator and critic by WGAN-GP, a generator step every `critic_steps` batches.

    Parameters
    ----------
    rows : (n, d), n >= 2
    budgets : ascending numbers of epochs

    Yields
    ------
    int
        Each budget, once the two are trained for so many epochs.
    """
    latent_dim = generator.get_parameter("0.weight").shape[1]
    order, mixes, latents = (random_stream(seed, purpose) for purpose in ("order", "mixes", "latents"))
    critic_optimizer, generator_optimizer = (
        adam(network, settings.learning_rate, settings.weight_decay, momentum=0.5) for network in (critic, generator)
    )
    critic.requires_grad_(False)  # its gradients are made by hand
    step = count(1)

    def fakes(n_rows: int) -> Tensor:
        fake: Tensor = generator(torch.randn(n_rows, latent_dim, generator=latents).to(rows.device))
        return fake

    for epoch in range(1, budgets[-1] + 1):
        generator.train()  # who holds a budget puts both in evaluation mode
        critic.train()
        for batch in shuffled_batches(len(rows), settings.batch_size, order):
            with torch.no_grad():
                fake = fakes(len(batch))
            mix = torch.rand(len(batch), 1, generator=mixes).to(rows.device)
            fill_critic_gradients(critic, rows[batch], fake, mix, settings.gradient_penalty)
            critic_optimizer.step()
            if next(step) % settings.critic_steps == 0:
                generator_optimizer.zero_grad(set_to_none=False)
                critic(fakes(len(batch))).mean().neg().backward()
                generator_optimizer.step()
        if epoch in budgets:
            yield epoch


@torch.no_grad()
def fill_critic_gradients(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, penalty: float) -> None:
    r"""Overwrite `.grad` of the critic's parameters with the gradients of the WGAN-GP loss (Gulrajani et al. 2017).

    .. math:: \overline{D(fake)} - \overline{D(real)} + penalty \cdot \overline{(\|\nabla D(m)\| - 1)^2},
              \quad m = mix \cdot real + (1 - mix) \cdot fake

    D is piecewise linear: with the slopes s of its rectifiers at m, :math:`\nabla D(m)` is a plain product of matrices,
    :math:`d_l = s_l \odot (d_{l+1} W_{l+1})` down to :math:`\nabla D = d_1 W_1`. To differentiate that product, send
    :math:`t_0 = \partial penalty / \partial \nabla D` forward by :math:`t_l = s_l \odot (W_l t_{l-1})`: the penalty's
    gradient of :math:`W_l` is :math:`d_l^T t_{l-1}`, just as the loss' gradient on real and fake rows is
    :math:`d_l^T a_{l-1}` with the activations a. So t takes the place of a in the mixed rows, and one product serves
    all three kinds of rows.

    Parameters
    ----------
    critic : Critic
    real, fake : (n, d)
    mix : (n, 1), in [0, 1]
    penalty : float
        Weight of the gradient penalty.
    """
    n = len(real)
    layers = linear_layers(critic.hidden)
    inputs = [torch.cat([real, fake, fake])]  # of every layer, (3n, width)
    for number, layer in enumerate(layers):
        if number == 0:  # the first layer of a mixture is the mixture of the first layers
            pair = functional.linear(inputs[0][: 2 * n], layer.weight, layer.bias)
            before = torch.cat([pair, torch.lerp(pair[n:], pair[:n], mix)])
        else:
            before = functional.linear(inputs[-1], layer.weight, layer.bias)
        inputs.append(functional.leaky_relu_(before, SLOPE))

    coefficients = real.new_tensor([-1 / n, 1 / n, 1.0]).repeat_interleave(n)[:, None]
    signals = [times_slope(coefficients * critic.last.weight, inputs[-1], SLOPE)]  # d of every layer, (3n, width)
    for layer, after in zip(layers[:0:-1], inputs[-2:0:-1], strict=True):
        signals.insert(0, times_slope(signals[0] @ layer.weight, after, SLOPE))

    mixed = slice(2 * n, None)
    gradient = signals[0][mixed] @ layers[0].weight  # of D at the mixed rows, (n, d)
    norm = gradient.norm(dim=1, keepdim=True)
    inputs[0][mixed] = gradient * ((2 * penalty / n) * (norm - 1) / norm.clamp_min(1e-12))  # t_0
    for layer, below, above in zip(layers, inputs[:-1], inputs[1:], strict=True):
        above[mixed] = times_slope(below[mixed] @ layer.weight.T, above[mixed], SLOPE)

    for layer, signal, below in zip(layers, signals, inputs[:-1], strict=True):
        torch.mm(signal.T, below, out=layer.weight.grad)
        torch.sum(signal[: 2 * n], dim=0, out=layer.bias.grad)
    torch.mm(coefficients.T, inputs[-1], out=critic.last.weight.grad)
    torch.zeros(1, out=critic.last.bias.grad)  # it cancels out of the loss
