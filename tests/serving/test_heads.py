"""A model folder: its heads and its preparation come back as they were."""

from pathlib import Path

import numpy as np

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.persistence import save_detector
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.persistence import save_extractor
from fanogan_mtl.hybrid import Hybrid, save_hybrid
from fanogan_mtl.serving.heads import HeadSpec, extractor_folder, head_folder, read_model, score, write_model


def test_a_model_folder_gives_back_heads_in_order_and_prepares_as_in_training(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    preparation = Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0)
    rows = pixel_rows(prepare(raw, preparation))
    detectors = [make_detector("pca", n_components=3).fit(rows), make_detector("knn").fit(rows)]
    specs = [HeadSpec("street/0", "pca", 0, 20), HeadSpec("street/1", "knn", 1, 50)]
    for position, detector in enumerate(detectors):
        save_detector(detector, head_folder(tmp_path, position))
    write_model(tmp_path, specs, preparation)
    scored = list(score(read_model(tmp_path), raw))
    assert [spec for spec, _, _ in scored] == specs
    for (_, scores, threshold), detector in zip(scored, detectors, strict=True):
        np.testing.assert_array_equal(scores, detector.decision_function(rows))
        assert threshold == detector.threshold_


def test_a_pools_model_takes_prepared_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    detector = make_detector("knn").fit(pixel_rows(images))
    save_detector(detector, head_folder(tmp_path, 0))
    write_model(tmp_path, [HeadSpec("pool/0", "knn", 0, 20)], None)
    ((_, scores, _),) = score(read_model(tmp_path), images[:5])
    np.testing.assert_array_equal(scores, detector.decision_function(pixel_rows(images[:5])))


def test_heads_on_features_score_as_the_whole_pipeline_does(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (80, 28, 28), dtype=np.uint8)
    extractor = make_extractor("pca", n_components=8).fit(images)
    extractor_folder(tmp_path, "abc").mkdir(parents=True)
    save_extractor(extractor, extractor_folder(tmp_path, "abc"))
    heads = [Hybrid(make_detector(name)).fit(extractor.transform(images)) for name in ("knn", "vae")]
    specs = [HeadSpec(f"digits/{position}", "knn", 0, 20, "abc") for position in range(2)]
    for position, head in enumerate(heads):
        save_hybrid(head, head_folder(tmp_path, position))
    write_model(tmp_path, specs, None)
    for (_, scores, threshold), head in zip(score(read_model(tmp_path), images[:7]), heads, strict=True):
        np.testing.assert_array_equal(scores, head.decision_function(extractor.transform(images[:7])))
        assert threshold == head.threshold_
