"""Gradients of perceptrons by hand: with small matrices, half of autograd's time is its own bookkeeping.

A perceptron here is a list of linear layers with a leaky rectifier after each but the last (slope 0: a plain one), and
after the rectifier, where there are masks, a product with its mask (dropout). The three steps are `forward`, `backward`
and `fill_gradients`; the gradient with regard to the rows, where it is needed, is `signals[0] @ layers[0].weight`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

ALIGNMENT = 16  # values of 4 bytes; products of matrices that start elsewhere may have other last bits


def forward(layers: Sequence[nn.Linear], rows: Tensor, slope: float, masks: Sequence[Tensor] = ()) -> list[Tensor]:
    """Give the input of every layer, and last the output.

    Parameters
    ----------
    rows : (n, in_features of the first layer)
    slope : of the rectifiers, at least 0
    masks : for each layer but the last, (n, out_features); none for no dropout
    """
    values = [rows]
    for number, layer in enumerate(layers[:-1]):
        after = functional.leaky_relu_(functional.linear(values[-1], layer.weight, layer.bias), slope)
        values.append(after.mul_(masks[number]) if masks else after)
    return [*values, functional.linear(values[-1], layers[-1].weight, layers[-1].bias)]


def backward(
    layers: Sequence[nn.Linear], values: Sequence[Tensor], signal: Tensor, slope: float, masks: Sequence[Tensor] = ()
) -> list[Tensor]:
    """Give the gradient with regard to each layer's output (before the rectifier), from the last layer's.

    Parameters
    ----------
    values : as `forward` gave them
    signal : (n, out_features of the last layer)
    slope, masks : as in `forward`
    """
    signals = [signal]
    for number in range(len(layers) - 1, 0, -1):
        signal = signals[0] @ layers[number].weight
        if masks:
            signal.mul_(masks[number - 1])
        signals.insert(0, times_slope(signal, values[number], slope))
    return signals


def fill_gradients(layers: Sequence[nn.Linear], values: Sequence[Tensor], signals: Sequence[Tensor]) -> None:
    """Overwrite `.grad` of the layers' weights and biases (see `flatten_parameters`, which makes it)."""
    for layer, below, signal in zip(layers, values, signals, strict=False):  # values has the output, too
        torch.mm(signal.T, below, out=layer.weight.grad)
        torch.sum(signal, dim=0, out=layer.bias.grad)


def flatten_parameters(network: nn.Module) -> nn.Parameter:
    """Move all parameters, and gradients of zero, into one stretch of memory; give that as one parameter to optimise.

    A step of Adam over many small tensors takes twice as long, and gradients in new memory each time miss the caches.
    """
    parameters = list(network.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    padded = [size + -size % ALIGNMENT for size in sizes]
    starts = np.cumsum([0, *padded])
    whole = nn.Parameter(parameters[0].new_zeros(starts[-1]))
    whole.grad = torch.zeros_like(whole)
    for parameter, start, size in zip(parameters, starts[:-1], sizes, strict=True):
        part = slice(start, start + size)
        whole.data[part] = parameter.data.flatten()
        parameter.data = whole.data[part].view_as(parameter)
        parameter.grad = whole.grad[part].view_as(parameter)
    return whole


def times_slope(signal: Tensor, after: Tensor, slope: float) -> Tensor:
    """Multiply by the slope of a leaky rectifier, which follows from the sign of its output."""
    product: Tensor = torch.ops.aten.leaky_relu_backward(signal, after, slope, True)  # a fifth of the time of `where`
    return product
