"""One image and many over HTTP, against another version and against ONNX Runtime alone.

    python -m bench.serving [BASELINE]

Heads are knn and pca, half and half, on the features of an untrained ResNet18 and on pixels. Requests are PNG images of
28x28 in base64, from one client. All figures are the least of two rounds, those of an answer the median of a round.
BASELINE is a checkout of another version, which runs in turn; the ratio is its time over this one's.
Against ONNX Runtime: the same heads, exported, called in process on decoded images, without MLflow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.versions import measured, show
from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.heads import HeadSpec, read_model
from tests.serving.served_heads import Server, encoded, log_heads, payload, served, write_heads

TRAINING_IMAGES = 500
PREPARATIONS = (Preparation(28), Preparation(28, crop=0.9), Preparation(28, contrast=1.5, sharpness=2.0))
CALIBRATION = Calibration(1.0, 1.0, 1.0, 0.0, tuple(float(score) for score in range(600)))  # as MNIST's heads have
KINDS = {
    "shared": "30 heads on ResNet18, one preparation; milliseconds",
    "features": "30 heads on ResNet18, three preparations; milliseconds",
    "pixels": "30 heads on pixels, three preparations; milliseconds",
}
MEASURE = """
import sys
from bench.serving import print_figures
print_figures(*sys.argv[1:])
"""


def some_images() -> NDArray[np.uint8]:
    """Noise to train on and to ask with."""
    return np.random.default_rng(0).integers(0, 256, (TRAINING_IMAGES, 28, 28), dtype=np.uint8)


def write_model_of(folder: Path, kind: str, images: NDArray[np.uint8]) -> None:
    """Write a model of thirty heads, ten a preparation."""
    extractor = None if kind == "pixels" else make_extractor("resnet18_untrained").fit(images[:64])
    heads: list[tuple[HeadSpec, Any]] = []
    for at, preparation in enumerate(PREPARATIONS[:1] * 3 if kind == "shared" else PREPARATIONS):
        prepared = prepare(images, preparation)
        rows = pixel_rows(prepared) if extractor is None else extractor.transform(prepared)
        for number in range(10):
            name = ("knn", "pca")[number % 2]
            detector = make_detector(name, **({"n_components": 20} if name == "pca" else {}))
            spec = HeadSpec(f"{at}/{number}", name, 0, 1, preparation, CALIBRATION, extractor and "shared")
            heads.append((spec, (detector if extractor is None else Hybrid(detector)).fit(rows)))
    write_heads(folder, heads, {} if extractor is None else {"shared": extractor})


def write_logged(folder: Path, kind: str) -> str:
    """Write such a model and log it; its address."""
    with one_thread():
        write_model_of(folder / "model", kind, some_images())
    return log_heads(folder, folder / "model", some_images()[:2])


def median_time(function: Callable[[], object], turns: int) -> float:
    """Milliseconds of a call, the median after two that don't count."""
    taken = []
    for _ in range(turns + 2):
        start = time.perf_counter()
        function()
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken[2:]))


def print_figures(kind: str, temporary: str) -> None:
    """Measure one model of this version and print its figures, milliseconds, as JSON."""
    folder = Path(temporary)
    texts = [encoded(image) for image in some_images()[:256]]
    location = write_logged(folder, kind)

    def asked(server: Server, number: int, **parameters: Any) -> None:
        status, text = server.post(payload(texts[:number], **parameters))
        assert status == 200, text

    start = time.perf_counter()
    with served(location, folder) as server:
        figures = {"start of the server": 1000 * (time.perf_counter() - start)}
        start = time.perf_counter()
        asked(server, 1)
        figures["first answer"] = 1000 * (time.perf_counter() - start)
        figures["an image, all heads"] = median_time(lambda: asked(server, 1), 100)
        figures["an image, one head"] = median_time(lambda: asked(server, 1, heads="0/0"), 100)
        figures["256 images, all heads"] = median_time(lambda: asked(server, 256), 8)
    print(json.dumps(figures))


def exported_times(kind: str) -> dict[str, float]:
    """Milliseconds of the same heads in ONNX Runtime alone, on one thread."""
    import onnxruntime

    from fanogan_mtl.export.graph import onnx_file

    images = np.repeat(some_images()[..., None], 3, axis=3)
    with TemporaryDirectory() as temporary:
        with one_thread():
            write_model_of(Path(temporary), kind, some_images())
        model = read_model(Path(temporary))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_file(model, model.heads), options)
    return {
        f"{number} image{'s' * (number > 1)}, all heads": median_time(
            lambda number=number: session.run(None, {"images": images[:number]}), 20
        )
        for number in (1, 256)
    }


def main() -> None:
    for kind, title in KINDS.items():
        show(title, measured(MEASURE, kind))
        if kind != "features":
            show("  ONNX Runtime alone, in process", {"this": exported_times(kind)})


if __name__ == "__main__":
    main()
