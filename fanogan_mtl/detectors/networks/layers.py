"""Fully connected layers and the training loop that VAE, Deep SVDD and DAGMM share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.detectors.deep import DeepDetector, generator, shuffled_batches
from fanogan_mtl.detectors.networks.gradients import flatten_parameters

NARROW = 16  # in a product of fewer columns, a row's last bits may depend on its place in the batch (2 to 11, measured)


class Linear(nn.Linear):
    """Linear layer whose output for a row is, in evaluation, the same bits at any place in the batch."""

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (n, in_features) to (n, out_features)."""
        missing = NARROW - self.out_features
        if self.training or missing <= 0:
            return super().forward(rows)
        weight = functional.pad(self.weight, (0, 0, 0, missing))
        bias = None if self.bias is None else functional.pad(self.bias, (0, missing))
        return functional.linear(rows, weight, bias)[:, : self.out_features].contiguous()


class Dense(nn.Module):
    """Linear layers of those widths (input first), each followed by batch norm, activation and dropout.

    Batch norm has no weights of its own: a learned shift would let Deep SVDD map every row to its centre.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Callable[[Tensor], Tensor],
        *,
        bias: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear = nn.ModuleList([Linear(width_in, out, bias=bias) for width_in, out in pairwise(widths)])
        self.norm = nn.ModuleList(
            [nn.BatchNorm1d(out, affine=False) if batch_norm else nn.Identity() for out in widths[1:]]
        )
        self.widths = list(widths[1:])
        self.activation = activation
        self.dropout = dropout

    def forward(self, rows: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Map rows (n, first width) to (n, last width); there is no dropout without `noise`."""
        masks = self.masks(len(rows), noise) if noise is not None else ()
        for number, (linear, norm) in enumerate(zip(self.linear, self.norm, strict=True)):
            rows = self.activation(norm(linear(rows)))
            if masks:
                rows = rows * masks[number]
        return rows

    def masks(self, n_rows: int, noise: torch.Generator) -> tuple[Tensor, ...]:
        """Dropout's factors for every layer's outputs, none without dropout.

        Drawn at once: layer by layer costs three times as much.
        """
        if not self.dropout:
            return ()
        kept = torch.rand(n_rows, sum(self.widths), generator=noise) >= self.dropout
        device = next(self.parameters()).device
        return torch.split(kept.to(device, torch.float32).div_(1 - self.dropout), self.widths, dim=1)


def by_autograd(
    network: nn.Module, loss: Callable[[Tensor, torch.Generator], Tensor]
) -> Callable[[Tensor, torch.Generator], None]:
    """Make the `fill_gradients` of `minimise` from a loss."""

    def fill_gradients(rows: Tensor, noise: torch.Generator) -> None:
        network.zero_grad(set_to_none=False)
        loss(rows, noise).backward()  # type: ignore[no-untyped-call]

    return fill_gradients


def minimise(
    detector: DeepDetector,
    fill_gradients: Callable[[Tensor, torch.Generator], None],
    rows: Tensor,
    budgets: Sequence[int],
) -> Iterator[int]:
    """Train `detector.network_` with Adam; yield each budget (ascending) once the network is at it.

    Parameters
    ----------
    detector : its network, batch size, learning rate, weight decay and seed are used
    fill_gradients : fills `.grad` of the parameters for a batch of rows (n, d), with a random stream for what it draws
    rows : preprocessed training rows (n, d)
    budgets : epochs to stop at
    """
    network, seed = detector.network_, detector.random_state
    order, noise = generator(seed, "order"), generator(seed, "noise")
    parameters = flatten_parameters(network)
    optimizer = torch.optim.Adam([parameters], detector.learning_rate, weight_decay=detector.weight_decay, fused=True)
    for epoch in range(1, budgets[-1] + 1):
        network.train()  # whoever holds a budget may have scored with it
        for batch in shuffled_batches(len(rows), detector.batch_size, order):
            fill_gradients(rows.index_select(0, batch), noise)
            optimizer.step()
        if epoch in budgets:
            yield epoch
