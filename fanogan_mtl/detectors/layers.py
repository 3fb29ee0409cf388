"""Fully connected layers and the training loop that VAE, Deep SVDD and DAGMM share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from numbers import Integral

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn
from torch.nn import functional

from fanogan_mtl.detectors.deep import DeepDetector, Each, generator, shuffled_batches

POSITIVE = Interval(Integral, 1, None, closed="left")
WIDTHS = Each(POSITIVE)
NARROW = 16  # in a product of fewer columns, a row's last bits may depend on its place in the batch (2 to 11, measured)


class Linear(nn.Linear):
    """Linear layer that, in evaluation, gives a row the same bits wherever in the batch it stands."""

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
        """Map rows (n, first width) to (n, last width); without `noise` nothing is dropped."""
        masks = self._masks(len(rows), noise) if noise is not None and self.dropout else None
        for number, (linear, norm) in enumerate(zip(self.linear, self.norm, strict=True)):
            rows = self.activation(norm(linear(rows)))
            if masks is not None:
                rows = rows * masks[number].to(rows.device)
        return rows

    def _masks(self, n_rows: int, noise: torch.Generator) -> tuple[Tensor, ...]:
        """Dropout's factors for every layer's outputs, in one draw: one a layer costs three times as much."""
        kept = torch.rand(n_rows, sum(self.widths), generator=noise) >= self.dropout
        return torch.split(kept.float().div_(1 - self.dropout), self.widths, dim=1)


def minimise(
    detector: DeepDetector, loss: Callable[[Tensor, torch.Generator], Tensor], rows: Tensor, budgets: Sequence[int]
) -> Iterator[int]:
    """Train `detector.network_` with Adam; yield each budget (ascending) once the network is at it.

    Parameters
    ----------
    detector : its network, batch size, learning rate, weight decay and seed are used
    loss : of a batch of rows (n, d), with a random stream for what it draws
    rows : preprocessed training rows (n, d)
    budgets : epochs to stop at
    """
    network, seed = detector.network_, detector.random_state
    order, noise = generator(seed, "order"), generator(seed, "noise")
    optimizer = torch.optim.Adam(
        network.parameters(), detector.learning_rate, weight_decay=detector.weight_decay, fused=True
    )
    for epoch in range(1, budgets[-1] + 1):
        network.train()  # whoever holds a budget may have scored with it
        for batch in shuffled_batches(len(rows), detector.batch_size, order):
            optimizer.zero_grad()
            loss(rows[batch], noise).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch in budgets:
            yield epoch
