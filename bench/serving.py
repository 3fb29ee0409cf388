"""MLflow's server against the same pipeline in process, and thirty heads against one.

    python -m bench.serving

Heads are knn and pca, half and half, on the features of an untrained ResNet18 and on pixels.
Requests are PNG images of 28x28 in base64, from one client. The ratio is time over HTTP over time in process, on the
same decoded payload, so what it shows is MLflow's own share.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.heads import HeadSpec, Model, read_model
from fanogan_mtl.serving.requests import answer
from tests.serving.served_heads import Server, log_heads, payload, served, write_heads

TRAINING_IMAGES = 500
PREPARATIONS = (Preparation(28), Preparation(28, crop=0.9), Preparation(28, contrast=1.5, sharpness=2.0))
CALIBRATION = Calibration(1.0, 1.0, 1.0, 0.0, tuple(float(score) for score in range(600)))  # as MNIST's heads have
KINDS = {
    "shared": "30 heads on one extractor, one preparation",
    "features": "30 heads on one extractor, three preparations",
    "pixels": "30 heads on pixels, three preparations",
}


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


def latencies(function: Callable[[], object], turns: int) -> NDArray[np.float64]:
    """Milliseconds of each call, after two that don't count."""
    taken = []
    for _ in range(turns + 2):
        start = time.perf_counter()
        function()
        taken.append(1000 * (time.perf_counter() - start))
    return np.array(taken[2:])


def report(kind: str, server: Server, model: Model, images: list[str]) -> None:
    """Print the figures of one model."""

    def in_process(number: int) -> object:
        with one_thread():
            table = answer(model, pd.DataFrame({"image": images[:number]}), {})
        return json.dumps(table.to_dict("records"))

    def over_http(number: int, **parameters: Any) -> object:
        status, text = server.post(payload(images[:number], **parameters))
        assert status == 200, text
        return text

    print(KINDS[kind])
    for number, turns in ((1, 100), (256, 12)):
        http = latencies(lambda number=number: over_http(number), turns)
        process = latencies(lambda number=number: in_process(number), turns)
        one = latencies(lambda number=number: over_http(number, heads="0/0"), turns)
        median = np.median(http)
        print(
            f"  {number:3} images: p50 {median:.0f} ms, p99 {np.quantile(http, 0.99):.0f} ms, "
            f"{1000 * number / median:.0f} images/s; in process p50 {np.median(process):.0f} ms, "
            f"ratio {median / np.median(process):.2f}; one head {np.median(one):.0f} ms, "
            f"all heads {median / np.median(one):.2f} times as much"
        )


def main() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (TRAINING_IMAGES, 28, 28), dtype=np.uint8)
    texts = []
    for image in images[:256]:
        file = BytesIO()
        Image.fromarray(image).save(file, "PNG")
        texts.append(b64encode(file.getvalue()).decode("ascii"))
    for kind in KINDS:
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            with one_thread():
                write_model_of(folder / "model", kind, images)
            location = log_heads(folder, folder / "model", images[:2])
            with served(location, folder) as server:
                report(kind, server, read_model(folder / "model"), texts)


if __name__ == "__main__":
    main()
