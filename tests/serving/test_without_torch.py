"""A model whose heads need no PyTorch is loaded and answers without it, with the bits of the sweep."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from served_heads import encoded, held_out, write_heads

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, extractor_preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.registry import needs_torch
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.graphs.feature_graph import GraphExtractor
from fanogan_mtl.extractors.persistence import load_features, save_extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.heads import HeadSpec

CODE = """
import json, sys
from pathlib import Path
import pandas as pd
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.serving.heads import read_model
from fanogan_mtl.serving.requests import answer, warm_up
folder, texts = Path(sys.argv[1]), json.loads(sys.argv[2])
with one_thread(with_torch=False):
    model = read_model(folder)
    warm_up(model)
    table = answer(model, pd.DataFrame({"image": texts}), {"explain": True})
print(json.dumps([*table["score"], sorted({"torch", "torchvision", "lightning"} & set(sys.modules))]))
"""
IMAGES = np.random.default_rng(0).integers(256, size=(40, 33, 31), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def scores(folder: Path) -> list[float]:
    """Write the model, and give what training's own objects make of two images."""
    preparation = Preparation(28, crop=0.9, contrast=1.5, sharpness=2.0)
    extractor = make_extractor("efficientnet_lite0")
    prepared = prepare(IMAGES, extractor_preparation(preparation, extractor.input_spec))
    with one_thread():
        features, pixels = extractor.fit(prepared).transform(prepared), pixel_rows(prepare(IMAGES, preparation))
        heads, columns = [], []
        for at, (name, rows) in enumerate([("knn", features), ("mahalanobis", features), ("pca", pixels)]):
            detector = make_detector(name)
            fitted = (detector if rows is pixels else Hybrid(detector)).fit(rows)
            key = None if rows is pixels else "of"
            heads.append((HeadSpec(f"a/{at}", name, 0, 1, preparation, held_out(fitted), key), fitted))
            columns.append(fitted.decision_function(rows[:2]))
    write_heads(folder, heads, {"of": extractor})
    return np.stack(columns, axis=1).ravel().tolist()


def test_scores_have_the_same_bits_and_torch_is_not_imported(folder: Path, scores: list[float]) -> None:
    texts = json.dumps([encoded(image) for image in IMAGES[:2]])
    run = subprocess.run([sys.executable, "-c", CODE, folder, texts], capture_output=True, text=True, check=True)
    *found, imported = json.loads(run.stdout)
    assert imported == []
    assert found == scores


def test_a_graph_takes_and_gives_what_its_extractor_does(tmp_path: Path) -> None:
    images = IMAGES[:, :28, :28]
    extractor = make_extractor("resnet18_untrained").fit(images)
    save_extractor(extractor, tmp_path)
    loaded = load_features(tmp_path)
    assert isinstance(loaded, GraphExtractor)
    assert (loaded.input_spec, loaded.positions) == (extractor.input_spec, extractor.positions)
    np.testing.assert_array_equal(loaded.transform(images), extractor.transform(images))
    assert loaded.transform(images[:0]).shape == (0, loaded.n_features_out_)
    with pytest.raises(ValueError, match=r"^this extractor takes uint8 images \(n, 28, 28\), not uint8 of shape"):
        loaded.transform(IMAGES)


def test_an_extractor_that_is_more_than_its_graph_is_loaded_whole(tmp_path: Path) -> None:
    for name, parameters in (("pca", {"n_components": 3}), ("efficientnet_lite0", {})):
        extractor = make_extractor(name, **parameters)
        size = extractor.input_spec.image_size
        shape = (4, size, size, 3)[: len(extractor.input_spec.shape) + 1]
        extractor.fit(np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8))
        extractor.graph_ = None
        (tmp_path / name).mkdir()
        save_extractor(extractor, tmp_path / name)
        assert not isinstance(load_features(tmp_path / name), GraphExtractor)


def test_which_detectors_may_need_torch() -> None:
    names = ("pca", "knn", "mahalanobis", "iforest", "padim", "patchcore", "fanogan", "vae", "pyod:GMM")
    assert [name for name in names if needs_torch(name)] == ["fanogan", "vae", "pyod:GMM"]
