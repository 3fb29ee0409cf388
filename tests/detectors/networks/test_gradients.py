from itertools import pairwise

import pytest
import torch
from torch import nn

from fanogan_mtl.detectors.networks.gradients import ALIGNMENT, backward, fill_gradients, flatten_parameters, forward

STREAM = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("widths", [[5, 3], [7, 6, 5, 4], [30, 16, 1, 8]], ids=str)
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("dropout", [False, True])
def test_gradients_equal_autograd_s(widths, slope, dropout):
    layers = [nn.Linear(*pair, dtype=torch.float64) for pair in pairwise(widths)]
    rows = torch.randn(9, widths[0], dtype=torch.float64, generator=STREAM, requires_grad=True)
    target = torch.randn(9, widths[-1], dtype=torch.float64, generator=STREAM)
    masks = [2.0 * (torch.rand(9, width, generator=STREAM) < 0.5).double() for width in widths[1:-1]] if dropout else ()

    made = rows
    for number, layer in enumerate(layers[:-1]):
        made = nn.functional.leaky_relu(layer(made), slope)
        made = made * masks[number] if dropout else made
    made = layers[-1](made)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    expected = torch.autograd.grad((made - target).square().sum(), [rows, *parameters])

    flatten_parameters(nn.ModuleList(layers))
    with torch.no_grad():
        values = forward(layers, rows, slope, masks)
        signals = backward(layers, values, 2 * (values[-1] - target), slope, masks)
        fill_gradients(layers, values, signals)
    torch.testing.assert_close(values[-1], made.detach())
    torch.testing.assert_close(signals[0] @ layers[0].weight.detach(), expected[0])
    for parameter, gradient in zip(parameters, expected[1:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


class TestFlattenParameters:
    def test_network_keeps_its_values_and_learns_through_the_whole(self):
        unbiased = nn.Linear(5, 3, bias=False)  # batch norm leaves a bias no gradient
        network = nn.Sequential(unbiased, nn.BatchNorm1d(3), nn.Linear(3, 2))
        before = {key: value.clone() for key, value in network.state_dict().items()}
        whole = flatten_parameters(network)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        network(torch.randn(4, 5, generator=STREAM)).square().sum().backward()
        moved = {key: parameter - 0.1 * parameter.grad for key, parameter in network.named_parameters()}
        torch.optim.SGD([whole], 0.1).step()
        for key, parameter in network.named_parameters():
            torch.testing.assert_close(parameter, moved[key])
            assert not torch.equal(parameter, before[key])

    def test_every_parameter_is_aligned(self):
        network = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 1))
        flatten_parameters(network)
        starts = [parameter.data_ptr() for parameter in network.parameters()]
        assert {(start - starts[0]) % (4 * ALIGNMENT) for start in starts} == {0}
