"""An exported file decides as its model does, and holds every detector that it says it can."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, extractor_preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.export import graph
from fanogan_mtl.export.check import Agreement, agreement
from fanogan_mtl.export.graph import check_exportable, onnx_file
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from tests.serving.served_heads import held_out, quick_detector

RANDOM = np.random.default_rng(0)
TRAINING = RANDOM.integers(256, size=(40, 28, 28), dtype=np.uint8)
SHALLOW: list[tuple[str, dict[str, Any]]] = [
    ("pca", {"n_components": 5}),
    ("knn", {"method": "median", "n_neighbors": 4}),
    ("knn", {"method": "mean"}),
    ("knn", {}),
    ("mahalanobis", {}),
]
DEEP = [(name, {}) for name in ("fanogan", "vae", "deep_svdd", "dagmm")]


def heads_of(
    key: str | None, extractor: Extractor | None, detectors: Sequence[tuple[str, dict[str, Any]]], own: Preparation
) -> list[Head]:
    prepared = prepare(TRAINING, own if extractor is None else extractor_preparation(own, extractor.input_spec))
    rows = pixel_rows(prepared) if extractor is None else extractor.transform(prepared)
    heads = []
    for at, (name, parameters) in enumerate(detectors):
        detector = make_detector(name, **parameters) if parameters else quick_detector(name)
        fitted = (detector if extractor is None else Hybrid(detector)).fit(rows)
        heads.append(Head(HeadSpec(f"{key}/{at}", name, 0, 1, own, held_out(fitted), key), fitted))
    return heads


@pytest.fixture(scope="module")
def model() -> Model:
    few = make_extractor("pca", n_components=8).fit(TRAINING)
    many = make_extractor("resnet18_untrained").fit(TRAINING)
    frozen = make_extractor("efficientnet_lite0", grid=1)
    frozen.fit(prepare(TRAINING, extractor_preparation(Preparation(), frozen.input_spec)))
    heads = [
        *heads_of(None, None, [*DEEP, *SHALLOW], Preparation(28)),
        *heads_of("few", few, [("mahalanobis", {}), ("dagmm", {}), ("knn", {})], Preparation(28)),
        *heads_of("many", many, SHALLOW, Preparation(28, crop=0.8, contrast=1.3, sharpness=1.7)),
        *heads_of("frozen", frozen, SHALLOW[:1], Preparation(28)),
        *heads_of(None, None, SHALLOW[:1], Preparation(20, "rgb")),
    ]
    order = RANDOM.permutation(len(heads))
    return Model(tuple(heads[at] for at in order), {"few": few, "many": many, "frozen": frozen})


@pytest.fixture(scope="module")
def content(model: Model) -> bytes:
    return onnx_file(model, model.heads)


def test_scores_and_decisions_are_the_models_for_images_of_any_size(model: Model, content: bytes) -> None:
    sides = [(28, 28), (32, 32), (90, 41), (7, 5)]
    images = [RANDOM.integers(256, size=(*side, 3)[: 2 + at % 2], dtype=np.uint8) for at, side in enumerate(sides * 3)]
    with one_thread():
        found = agreement(model, model.heads, content, [*images, TRAINING[0]])
    assert (found.images, found.left_out, found.decisions) == (13, 0, 0)
    assert found.difference < 1e-4


def test_a_batch_scores_as_its_images_do(model: Model, content: bytes) -> None:
    session = onnxruntime.InferenceSession(content)
    images = RANDOM.integers(256, size=(5, 30, 33, 3), dtype=np.uint8)
    scores, verdicts = session.run(None, {"images": images})
    assert scores.shape == verdicts.shape == (5, len(model.heads))
    assert (scores.dtype, verdicts.dtype) == (np.float64, np.bool_)
    alone = np.concatenate([session.run(["score"], {"images": image[None]})[0] for image in images])
    np.testing.assert_allclose(scores, alone, rtol=1e-4)


def test_the_file_says_what_its_columns_are(model: Model, content: bytes) -> None:
    properties = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    described = json.loads(properties["heads"])
    assert [each["head"] for each in described] == [head.spec.name for head in model.heads]
    assert [each["threshold"] for each in described] == [head.threshold for head in model.heads]


def test_one_head_alone(model: Model) -> None:
    (head,) = (head for head in model.heads if head.spec.name == "few/0")
    with one_thread():
        found = agreement(model, [head], onnx_file(model, [head]), TRAINING)
    assert (found.images, found.decisions) == (40, 0)


def test_the_image_that_set_the_threshold_is_not_counted_as_another_decision(model: Model) -> None:
    (head,) = (head for head in model.heads if head.spec.name == "few/0")

    def lowered(share: float) -> Head:
        own = head.spec.calibration
        lower = replace(own, normal_scores=tuple((1 - share) * score for score in own.normal_scores))
        return replace(head, spec=replace(head.spec, calibration=lower))

    with one_thread():
        slightly, much = (
            agreement(model, [head], onnx_file(model, [lowered(share)]), TRAINING).decisions for share in (1e-5, 0.5)
        )
    assert slightly == 0
    assert much > 0


def test_a_graph_of_another_version_is_brought_to_the_file_s(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "OPSET", 21)
    (head,) = (head for head in model.heads if head.spec.name == "many/0")
    content = onnx_file(model, [head])
    assert onnx.load_from_string(content).opset_import[0].version == 21
    with one_thread():
        found = agreement(model, [head], content, TRAINING)
    assert (found.images, found.decisions) == (40, 0)


def test_what_can_not_be_exported_is_named(model: Model) -> None:
    forest = heads_of(None, None, [("iforest", {})], Preparation(28))
    with pytest.raises(UserError, match=r"^head None/0: its detector iforest can't be exported .*option heads$"):
        check_exportable(model, [*model.heads, *forest])
    with pytest.raises(UserError, match="iforest can't be exported"):
        onnx_file(model, forest)
    tiled = make_extractor("efficientnet_lite0_maps", input_size=256, grid=16, tiles=2)
    spec = HeadSpec("large/0", "pca", 0, 1, Preparation(448), model.heads[0].spec.calibration, "tiled")
    with pytest.raises(UserError, match=r"^head large/0: an extractor that cuts images into tiles can't be exported$"):
        check_exportable(Model((), {"tiled": tiled}), [Head(spec, make_detector("pca"))])


def test_more_than_a_file_holds_is_one_line(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match="more than the 2 GB of one ONNX file: choose fewer"):
        onnx_file(model, heads_of(None, None, SHALLOW[:1], Preparation(28)))


def test_what_differs_is_counted(model: Model) -> None:
    one, other = heads_of(None, None, [("pca", {"n_components": 3}), ("pca", {"n_components": 20})], Preparation(28))
    deep = np.full((28, 28), 300, np.uint16)
    found = agreement(model, [other], onnx_file(model, [one]), [*TRAINING, deep])
    assert (found.images, found.left_out) == (40, 1)
    assert found.difference > 0.1
    assert 0 < found.decisions <= 40
    assert f"{found.decisions} of 40 decisions differ" in found.told(1)
    assert "(1 left out: of 16 bits, or without a score)" in found.told(1)
    assert "no decision differs" in Agreement(2, 0, 1e-7, 0).told(3)
    assert Agreement().told(3) == "3 heads, unchecked: give images by the option input"
