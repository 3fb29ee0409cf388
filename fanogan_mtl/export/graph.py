"""Preparation, network, scaler and detector of some heads as one ONNX graph."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper, version_converter
from torch import Tensor, nn
from tqdm import tqdm

from fanogan_mtl.errors import UserError
from fanogan_mtl.export.preparing import Preparing
from fanogan_mtl.export.scoring import ScoringModule, exportable
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.frozen import FrozenNetwork
from fanogan_mtl.extractors.graphs.feature_graph import GraphExtractor
from fanogan_mtl.extractors.graphs.tracing import export_graph
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.scoring import Input, input_of

IMAGES, SCORE, IS_ANOMALY = "images", "score", "is_anomaly"
OPSET = 20
LARGEST_FILE = 2**31  # bytes of a protobuf message
_SIDE = 48  # px, of the images that the preparation is traced with; any other size does


def check_exportable(model: Model, heads: Sequence[Head]) -> None:
    """Raise `UserError`, in one line, for the first head that ONNX can't hold."""
    for head in heads:
        if not exportable(head.detector):
            raise UserError(
                f"head {head.spec.name}: its detector {head.spec.detector} can't be exported (pca, knn, mahalanobis, "
                "fanogan, vae, deep_svdd and dagmm can): choose other heads by the option heads"
            )
        extractor = model.extractors[head.spec.extractor] if head.spec.extractor else None
        if isinstance(extractor, FrozenNetwork) and extractor.tiles > 1:
            raise UserError(f"head {head.spec.name}: an extractor that cuts images into tiles can't be exported")


def onnx_file(model: Model, heads: Sequence[Head]) -> bytes:
    """Make the content of an ONNX file of heads, weights included.

    Its input `images` are 8-bit RGB images (n, height, width, 3) of any size, a grey one in three equal channels. Its
    outputs are `score` (n, heads), float64, and `is_anomaly` (n, heads), bool. Its metadata `heads` says in JSON what
    the columns are.

    Raises
    ------
    UserError
        As `check_exportable`, and for more than the 2 GB that a file can have.
    """
    check_exportable(model, heads)
    inputs: dict[Input, list[int]] = {}
    for at, head in enumerate(heads):
        inputs.setdefault(input_of(model, head), []).append(at)
    parts = [
        _of_input(model, of, [heads[at].detector for at in columns], f"input{number}_")
        for number, (of, columns) in enumerate(tqdm(inputs.items(), desc="exporting", unit="input", delay=2))
    ]
    whole = _joined(parts)
    order = np.argsort([at for columns in inputs.values() for at in columns])
    _decide(whole, [part.graph.output[0].name for part in parts], order.tolist(), [head.threshold for head in heads])
    described = [
        {
            "head": head.spec.name,
            "detector": head.spec.detector,
            "threshold": head.threshold,
            "false_alarm_rate": head.spec.false_alarm_rate if head.promises else None,
        }
        for head in heads
    ]
    helper.set_model_props(whole, {"heads": json.dumps(described, allow_nan=False)})
    if whole.ByteSize() >= LARGEST_FILE:
        raise UserError("these heads have more than the 2 GB of one ONNX file: choose fewer by the option heads")
    onnx.checker.check_model(whole, full_check=True)
    content: bytes = whole.SerializeToString()
    return content


def _of_input(model: Model, of: Input, detectors: Sequence[Any], prefix: str) -> onnx.ModelProto:
    """From images to the scores of the detectors on one preparation and extractor."""
    key, preparation = of
    n, height, width = (torch.export.Dim(name) for name in ("n", "height", "width"))
    images = torch.zeros(2, _SIDE, _SIDE + 3, 3, dtype=torch.uint8)
    graph = _traced(Preparing(preparation), images, {0: n, 1: height, 2: width}, "prepared")
    extractor = None if key is None else model.extractors[key]
    size = preparation.image_size
    rows = torch.zeros(2, size, size, *(() if preparation.colour == "grey" else (3,)), dtype=torch.uint8)
    if extractor is not None:
        graph = _behind(graph, _features(extractor))
        rows = torch.zeros(2, extractor.n_features_out_)
    graph = _behind(graph, _traced(ScoringModule(detectors, extractor is None), rows, {0: n}, "scores"))
    return compose.add_prefix(graph, prefix)


def _features(extractor: Extractor | GraphExtractor) -> onnx.ModelProto:
    graph = extractor.graph_
    if graph is None:
        assert isinstance(extractor, Extractor)
        graph = export_graph(extractor.network_.cpu(), extractor.seen_shape)
    loaded = onnx.load_from_string(graph.content)
    if loaded.opset_import[0].version == OPSET:
        return loaded
    return version_converter.convert_version(loaded, OPSET)  # of one that another version of PyTorch made


def _traced(module: nn.Module, example: Tensor, dynamic: dict[int, Any], output: str) -> onnx.ModelProto:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.export.export(
            module.eval(), (example,), dynamic_shapes=(dynamic,)
        )  # refuses a size that is fixed
        program = torch.onnx.export(
            traced, input_names=["rows"], output_names=[output], opset_version=OPSET, verbose=False
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    return proto


def _behind(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """One graph that gives the first one's output to the second."""
    first, second = compose.add_prefix(first, "before_"), compose.add_prefix(second, "then_")
    second.ir_version = first.ir_version
    return compose.merge_models(first, second, [(first.graph.output[0].name, second.graph.input[0].name)])


def _joined(parts: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """The parts beside each other, all on the same images."""
    whole, own = parts[0], {part.graph.input[0].name for part in parts}
    for part in parts[1:]:
        whole = compose.merge_models(whole, part, [])
    for node in whole.graph.node:
        node.input[:] = [IMAGES if name in own else name for name in node.input]
    del whole.graph.input[1:]
    whole.graph.input[0].name = IMAGES
    return whole


def _decide(whole: onnx.ModelProto, scores: Sequence[str], order: Sequence[int], thresholds: Sequence[float]) -> None:
    """Bring the columns of scores into the order of the heads, and hold them against the thresholds."""
    graph = whole.graph
    graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), "order_of_heads"))
    graph.initializer.append(numpy_helper.from_array(np.array([thresholds], np.float64), "thresholds"))
    graph.node.append(helper.make_node("Concat", list(scores), ["unordered_scores"], axis=1))
    graph.node.append(helper.make_node("Gather", ["unordered_scores", "order_of_heads"], [SCORE], axis=1))
    graph.node.append(helper.make_node("Greater", [SCORE, "thresholds"], [IS_ANOMALY]))
    del graph.output[:]
    for name, kind in ((SCORE, TensorProto.DOUBLE), (IS_ANOMALY, TensorProto.BOOL)):
        graph.output.append(helper.make_tensor_value_info(name, kind, ["n", len(thresholds)]))
