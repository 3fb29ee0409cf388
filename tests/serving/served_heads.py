"""A model of quick heads, and MLflow's own server that serves it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import psutil
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image

import fanogan_mtl
from fanogan_mtl.detectors import REGISTRY, make_detector
from fanogan_mtl.detectors.deep import DeepDetector
from fanogan_mtl.detectors.registry import detector_class
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.persistence import save_extractor
from fanogan_mtl.hybrid import save_scorer
from fanogan_mtl.serving.heads import HeadSpec, bundled_extractor, head_folder, write_model
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.logged_models import ModelFacts, log_model

CALIBRATION = Calibration(1.0, 0.5, 2.0, -1.0)
QUICK: dict[str, dict[str, Any]] = {
    name: {"epochs": 1, "batch_size": 16} for name in REGISTRY if issubclass(detector_class(name), DeepDetector)
}
QUICK["iforest"] = {"n_estimators": 10}
QUICK["fanogan"] |= {"generator_widths": [16, 32], "critic_widths": [32, 16], "encoder_widths": [32, 16]}
COLLECT = """
import ctypes, gc, signal


def collect(*_):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


signal.signal(signal.SIGUSR1, collect)
"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Array = NDArray[Any]


def held_out(detector: Any) -> Calibration:
    """A calibration for a detector in its own unit: its training scores stand for held-out ones."""
    return replace(CALIBRATION, normal_scores=tuple(np.sort(detector.decision_scores_).tolist()))


def quick_detector(name: str) -> Any:
    return make_detector(name, **QUICK.get(name, {}))


def write_heads(
    folder: Path, heads: Sequence[tuple[HeadSpec, Any]], extractors: dict[str, Extractor] | None = None
) -> None:
    """Write a model's folder of fitted detectors."""
    for position, (_, detector) in enumerate(heads):
        head_folder(folder, position).parent.mkdir(parents=True, exist_ok=True)
        save_scorer(detector, head_folder(folder, position))
    for key, extractor in (extractors or {}).items():
        bundled_extractor(folder, key).mkdir(parents=True)
        save_extractor(extractor, bundled_extractor(folder, key))
    write_model(folder, [spec for spec, _ in heads])


def log_heads(store: Path, folder: Path, example: Array) -> str:
    """Log a model's folder in a new store; give the model's own URI of files."""
    import mlflow

    uri = f"sqlite:///{store / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiment_id = client.create_experiment("serving", artifact_location=(store / "artifacts").as_uri())
    run_id = client.create_run(experiment_id).info.run_id
    logged = log_model(Tracking(client, uri, experiment_id, run_id), run_id, folder, example, ModelFacts())
    return str(client.get_logged_model(logged.rpartition("/")[2]).artifact_location)


class Server:
    """A running `mlflow models serve`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def post(self, body: bytes, content_type: str | None = "application/json") -> tuple[int, str]:
        """Send a body to score; status and text of the reply."""
        request = Request(f"http://127.0.0.1:{self.port}/invocations", body, method="POST")
        request.add_unredirected_header("Content-type", content_type or "")
        try:
            with urlopen(request, timeout=800) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def score(self, images: Sequence[Any], **parameters: Any) -> list[dict[str, Any]]:
        """Rows of the answer for images that it must take."""
        status, text = self.post(payload(images, **parameters))
        assert status == 200, text[:1000]
        rows: list[dict[str, Any]] = json.loads(text)["predictions"]
        return rows

    def memory(self) -> int:
        """Bytes resident after a forced collection."""
        family = [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children(recursive=True))]
        worker = max(map(psutil.Process, family), key=lambda each: each.memory_info().rss)
        os.kill(worker.pid, signal.SIGUSR1)
        self._ping()  # answered by the main thread, which collects first
        return int(worker.memory_info().rss)

    def wait(self) -> None:
        for _ in range(600):
            with suppress(URLError, ConnectionError):
                return self._ping()
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.1)
        raise AssertionError("the server doesn't answer")

    def _ping(self) -> None:
        with urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=800) as reply:
            assert reply.status == 200


@contextmanager
def served(location: str, folder: Path, workers: int = 1) -> Iterator[Server]:
    """Serve a model as a person does, with all the threads that they have; `folder` takes the log."""
    (folder / "sitecustomize.py").write_text(COLLECT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name not in THREADS}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", location, "--env-manager", "local"]
    command += ["--workers", str(workers), "-p", str(port)]
    ours = os.pathsep.join(
        [str(folder), str(Path(fanogan_mtl.__file__).parents[1])]
    )  # the package as it is imported here
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**kept, "PATH": path, "PYTHONPATH": ours},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        server = Server(process, port)
        server.wait()
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def payload(images: Sequence[Any], **parameters: Any) -> bytes:
    """JSON of images as a person would send them."""
    cells = [[each.tolist() if isinstance(each, np.ndarray) else each] for each in images]
    content = {"dataframe_split": {"columns": ["image"], "data": cells}}
    return json.dumps(content | ({"params": parameters} if parameters else {})).encode()


def encoded(image: Array | Image.Image, kind: str = "PNG", **options: Any) -> str:
    """Base64 of an image's file."""
    file = BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return b64encode(file.getvalue()).decode("ascii")
