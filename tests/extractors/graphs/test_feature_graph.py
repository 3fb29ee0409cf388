"""Graphs of networks that differ in their weights alone are traced once; every number in them is the network's own."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.frozen import GridPooling
from fanogan_mtl.extractors.graphs.tracing import _Architecture, _blank_graph, export_graph
from fanogan_mtl.extractors.modules import Network

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


class _Maps(nn.Conv2d):
    """Maps of one layer by its name."""

    def forward(self, input: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"layer": super().forward(input)}


def with_norms(seed: int, grid: int = 2) -> Network:
    """A network whose weights, norms and normalisation are another one's for each seed."""
    torch.manual_seed(seed)
    network = Network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), _Maps(4, 3, 1)), nn.Identity())
    network.pooling = GridPooling(["layer"], grid)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2)
    return network.eval()


def traced(make: Callable[[], object]) -> int:
    """How many networks are traced meanwhile."""
    before = _blank_graph.cache_info().misses
    make()
    return _blank_graph.cache_info().misses - before


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_graph_gives_its_own_network_s_features(seed: int) -> None:
    network = with_norms(seed)
    with torch.no_grad():
        expected = network.features(torch.from_numpy(IMAGES)[:, None])
    np.testing.assert_allclose(export_graph(network, (28, 28))(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_a_network_is_traced_once_for_all_weights_and_the_first_one_s_graph_stays_as_it_was() -> None:
    _blank_graph.cache_clear()
    first = export_graph(with_norms(0), (28, 28))
    content, features = first.content, first(IMAGES)
    assert traced(lambda: export_graph(with_norms(1), (28, 28))) == 0
    np.testing.assert_array_equal(first(IMAGES), features)
    assert export_graph(with_norms(0), (28, 28)).content == content


def test_another_grid_size_of_images_or_number_of_weights_is_traced_anew() -> None:
    export_graph(with_norms(0), (28, 28))
    assert traced(lambda: export_graph(with_norms(0, grid=3), (28, 28))) == 1
    assert traced(lambda: export_graph(with_norms(0), (30, 30))) == 1
    assert export_graph(with_norms(0, grid=3), (28, 28))(IMAGES).shape == (5, 27)
    wide = with_norms(0)
    wide.backbone = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), _Maps(6, 3, 1)).eval()
    assert traced(lambda: export_graph(wide, (28, 28))) == 1


def test_traced_networks_keep_no_weights() -> None:
    _blank_graph.cache_clear()
    network = make_extractor("lenet5")._seeded_build(2).eval()
    export_graph(network, (28, 28))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", None)  # so that the kept one answers
        kept = _blank_graph(_Architecture(network, (28, 28)))
    assert all(value.const_value is None for value in kept.graph.initializers.values())
