"""Makes the ONNX graph of a fitted network's features."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from fanogan_mtl.extractors.graphs.feature_graph import FeatureGraph
from fanogan_mtl.extractors.modules import Network


def export_graph(network: Network, shape: tuple[int, ...]) -> FeatureGraph:
    """Make the graph of a network that is in evaluation mode and on the processor.

    Parameters
    ----------
    network : Network
        Whose `features` the graph makes.
    shape : tuple of int
        Shape of one image, (height, width[, 3]).
    """
    import onnx_ir
    from onnxscript.optimizer import optimize_ir

    model = _blank_graph(_Architecture(network, shape)).clone()
    state = network.state_dict(prefix="network.")
    for name, value in model.graph.initializers.items():
        value.const_value = onnx_ir.tensor(state[name].numpy(), name=name)
    optimize_ir(model)  # norms become part of the convolutions before them
    return FeatureGraph(onnx_ir.to_proto(model).SerializeToString())


class _Architecture:
    """A network but for its weights, and the shape of its images; equal for networks whose graphs are equal."""

    def __init__(self, network: Network, shape: tuple[int, ...]) -> None:
        self.network, self.shape = network, shape
        weights = network.state_dict()
        self._known = repr(network), shape, tuple((name, weights[name].shape) for name in weights)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Architecture) and self._known == other._known

    def __hash__(self) -> int:
        return hash(self._known)


@lru_cache(maxsize=16)
def _blank_graph(architecture: _Architecture) -> Any:
    """The graph of an architecture without weights: tracing a network takes seconds, filling in weights does not."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _FeaturesOfArrays(architecture.network).eval(),
            (torch.zeros(2, *architecture.shape, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            optimize=False,
            verbose=False,
        )
    assert program is not None
    del architecture.network
    for value in program.model.graph.initializers.values():
        value.const_value = None
    return program.model


class _FeaturesOfArrays(nn.Module):
    """A network's features, of images as arrays hold them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.features(images.permute(0, 3, 1, 2) if images.ndim == 4 else images.unsqueeze(1))
