import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.scores.files import _in_order, _threads, score_files
from fanogan_mtl.scores.images import list_images, read_image_file
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from fanogan_mtl.serving.scoring import score_images
from tests.serving.served_heads import held_out

IMAGES = np.random.default_rng(0).integers(256, size=(150, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> Model:
    extractor = make_extractor("resnet18_untrained").fit(IMAGES)
    heads = []
    for at, name in enumerate(["pca", "knn", "ocsvm", "vae"]):
        detector = make_detector(name, **({"epochs": 1} if name == "vae" else {})).fit(pixel_rows(IMAGES))
        heads.append(Head(HeadSpec(f"a/{at}", name, 0, 1, Preparation(28), held_out(detector)), detector))
    hybrid = Hybrid(make_detector("lof")).fit(extractor.transform(IMAGES))
    heads.append(Head(HeadSpec("a/4", "lof", 0, 1, Preparation(28), held_out(hybrid), "of"), hybrid))
    return Model(tuple(heads), {"of": extractor})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(1)
    for number in range(300):
        pixels = random.integers(256, size=(28, 28) if number % 3 else (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    (folder / "150.png").write_bytes(b"no image")
    return folder


def test_threads_give_the_bits_of_one_and_keep_the_order(model: Model, folder: Path) -> None:
    files = list_images(str(folder))
    with one_thread():
        rows = [row for chunk in score_files(model, model.heads, files, {"200.png"}) for row in chunk]
        readable = [read_image_file(path) for name, path in files.items() if name not in ("150.png", "200.png")]
        expected = score_images(model, model.heads, readable)
    assert list(dict.fromkeys(row.path for row in rows)) == list(files)
    assert {row.path for row in rows if row.error} == {"150.png", "200.png"}
    np.testing.assert_array_equal([row.score for row in rows if not row.error], expected.ravel())
    assert [row.head for row in rows if not row.error] == [head.spec.name for head in model.heads] * 298


def test_detectors_that_draw_random_numbers_have_the_process_for_themselves(model: Model) -> None:
    detector = make_detector("pyod:KDE").fit(pixel_rows(IMAGES))
    spec = HeadSpec("a/0", "pyod:KDE", 0, 1, Preparation(28), held_out(detector))
    for drawing in (detector, Hybrid(make_detector("pyod:KDE"))):
        assert _threads([*model.heads, Head(spec, drawing)]) == 1


def test_few_chunks_are_held_and_an_end_is_an_end() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(2) as pool:
        results = _in_order(pool, 2, lambda item: -item, items())
        for number in range(10):
            assert next(results) == -number
            assert len(taken) <= number + 3
        results.close()
    assert len(taken) <= 12


def test_an_error_in_a_thread_is_raised(model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr("fanogan_mtl.scores.files.read_image_file", fails)
    with pytest.raises(MemoryError):
        list(score_files(model, model.heads, list_images(str(folder)), set()))


def test_afterwards_warnings_and_threads_are_as_they_were(model: Model, folder: Path) -> None:
    before, filters = threading.active_count(), list(warnings.filters)
    chunks = score_files(model, model.heads, list_images(str(folder)), set())
    next(chunks)
    chunks.close()
    assert (threading.active_count(), list(warnings.filters)) == (before, filters)
