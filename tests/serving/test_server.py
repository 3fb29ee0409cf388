"""MLflow's own server with a model of every detector: it scores what training scored, whatever it is sent."""

from __future__ import annotations

import http.client
import json
import pickle
import pickletools
import re
import time
import zipfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hostile_requests import OURS, Hostile, hostile_requests
from PIL import Image
from served_heads import (
    CALIBRATION,
    Array,
    Server,
    encoded,
    held_out,
    log_heads,
    payload,
    quick_detector,
    served,
    write_heads,
)
from torchvision.models import resnet18

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, extractor_preparation, prepare
from fanogan_mtl.detectors import REGISTRY
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.evaluation.conformal import conformal_threshold
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from fanogan_mtl.serving.pictures import deep_png

SECONDS = 8  # of many clients at once
PREPARATIONS = {
    "pixels": Preparation(12, crop=0.9, contrast=1.2, sharpness=1.5),
    "colours": Preparation(8, "rgb"),
    "features": Preparation(28, crop=0.8, contrast=1.5),
    "originals": Preparation(28, crop=0.5, sharpness=2.0),
}
EXTRACTORS = {"features": "lenet5", "originals": "resnet18_frozen"}


@dataclass(frozen=True)
class Trained:
    """What the training process has."""

    heads: list[tuple[HeadSpec, Any]]
    extractors: dict[str, Extractor]
    location: str

    def rows(self, spec: HeadSpec, images: Array) -> Array:
        """Rows of images of one size, prepared all at once as in training."""
        assert spec.preparation is not None
        if spec.extractor is None:
            return pixel_rows(prepare(images, spec.preparation))
        extractor = self.extractors[spec.extractor]
        return extractor.transform(prepare(images, extractor_preparation(spec.preparation, extractor.input_spec)))

    def scores(self, groups: list[Array], order: Array) -> dict[str, Array]:
        """Each head's scores of images of several sizes, laid out in another order."""
        with one_thread():
            return {
                spec.name: detector.decision_function(np.concatenate([self.rows(spec, each) for each in groups])[order])
                for spec, detector in self.heads
            }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    with one_thread():
        torch.manual_seed(0)
        torch.save(resnet18().state_dict(), folder / "weights.pth")
        images = _images(0, 60, 30, 26, 3)
        extractors = {
            "features": make_extractor("lenet5", epochs=1, device="cpu"),
            "originals": make_extractor("resnet18_frozen", weights=str(folder / "weights.pth"), input_size=32),
        }
        for key, extractor in extractors.items():
            own = prepare(images, extractor_preparation(PREPARATIONS[key], extractor.input_spec))
            extractor.fit(own, np.arange(60) % 3)
        trained = Trained([], extractors, "")
        for group, preparation in PREPARATIONS.items():
            for name in REGISTRY if group in {"pixels", "features"} else ("knn", "pca"):
                key = group if group in extractors else None
                spec = HeadSpec(f"{group}/{name}", name, 0, 1, preparation, CALIBRATION, key)
                detector = quick_detector(name) if key is None else Hybrid(quick_detector(name))
                detector.fit(trained.rows(spec, images))
                trained.heads.append((replace(spec, calibration=held_out(detector)), detector))
    write_heads(folder / "model", trained.heads, extractors)
    return Trained(trained.heads, extractors, log_heads(folder, folder / "model", images[:2]))


@pytest.fixture(scope="module")
def server(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(trained.location, tmp_path_factory.mktemp("server")) as running:
        yield running


def test_training_loaded_model_and_server_give_the_same_scores(trained: Trained, server: Server) -> None:
    groups = [
        _images(1, 6, 28, 28),
        _images(2, 6, 30, 26, 3),
        _images(3, 5, 17, 64),
        _images(4, 5, 90, 41, 3),
        _images(5, 3, 300, 260, 3),
        _images(6, 2, 12, 12),
    ]
    images = [image for group in groups for image in group]
    order = np.random.default_rng(7).permutation(len(images))
    cells: list[Any] = [
        encoded(images[at]) if turn % 2 else images[at].tolist() for turn, at in enumerate(order)
    ]  # PNG and pixels in turns
    expected = trained.scores(groups, order)

    answer = mlflow.pyfunc.load_model(trained.location).predict(pd.DataFrame({"image": cells}))
    loaded = answer.pivot(index="image", columns="head", values="score")
    from_server = pd.DataFrame(server.score(cells))
    over_http = from_server.pivot(index="image", columns="head", values="score")
    assert {f"{group}/{name}" for group in ("pixels", "features") for name in REGISTRY} <= set(expected)
    assert set(loaded) == set(over_http) == set(expected)
    for spec, detector in trained.heads:
        np.testing.assert_array_equal(loaded[spec.name], expected[spec.name], err_msg=spec.name)
        np.testing.assert_allclose(over_http[spec.name], expected[spec.name], rtol=1e-6, err_msg=spec.name)
        own = from_server[from_server["head"] == spec.name]
        threshold = conformal_threshold(detector.decision_scores_, 0.1)
        assert (own["threshold"] == threshold).all()
        assert (own["is_anomaly"] == (expected[spec.name] > threshold)).all()
        assert (own["is_anomaly"] == (own["p_value"] <= 0.1)).all()
        np.testing.assert_allclose(own["probability"], CALIBRATION.probabilities(expected[spec.name]), rtol=1e-6)


def test_hostile_requests_are_refused_in_a_line_and_leave_nothing_behind(server: Server) -> None:
    good = _images(8, 1, 24, 20, 3)
    expected = server.score(good)
    requests = hostile_requests()
    assert len(requests) >= 200
    small = [each for each in requests if len(each.body) < 1_000_000]
    memory = []
    for _ in range(4):
        _assert_refused_or_scored(server, small)
        memory.append(server.memory())
    least = min(after - before for before, after in pairwise(memory))  # a leak adds to each round, a buffer to one
    assert least <= 0.01 * memory[0], memory
    large = [each for each in requests if len(each.body) >= 1_000_000]
    _assert_refused_or_scored(server, large)
    assert server.memory() <= 1.2 * memory[-1]  # what a body of 50 MB leaves, a tenth, comes and goes
    assert server.score(good) == expected


def _assert_refused_or_scored(server: Server, requests: Sequence[Hostile]) -> None:
    plain: dict[bytes, float] = {}
    wrong = []
    for each in requests:
        status, text = server.post(each.body, each.content_type)
        if each.pixels is not None:
            body = payload([each.pixels], heads="pixels/knn")
            if body not in plain:
                plain[body] = _knn_score(server.post(body)[1])
            fine = status == 200 and _knn_score(text) == plain[body]
        elif each.refusal is None:
            fine = status == 200 or (status == 400 and _is_a_line(text, ""))
        elif each.said_by == OURS:
            fine = status == 400 and _is_a_line(text, each.refusal)
        else:
            fine = 400 <= status < 500
        if not fine:
            wrong.append((each.name, status, text[:300]))
    assert not wrong, "\n".join(map(str, wrong))


def test_the_two_errors_of_mlflows_own_parser_leave_the_server_whole(server: Server) -> None:
    """Deep JSON and no content type end in MLflow before a model is asked. If this fails, MLflow has mended them."""
    good = _images(8, 1, 24, 20, 3)
    before = server.score(good)
    status, text = server.post(b'{"inputs": ' + b"[" * 100_000)
    assert (status, text) == (500, "Internal Server Error")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=800)
    connection.request("POST", "/invocations", payload(list(good)))
    assert connection.getresponse().status == 500
    connection.close()
    assert server.score(good) == before


def test_many_clients_get_what_one_gets(server: Server) -> None:
    images = [*_images(9, 8, 28, 28), *_images(10, 8, 40, 50, 3)]
    bodies = [
        payload(images[first : first + count], **parameters)
        for first, count, parameters in [
            (0, 1, {}),
            (1, 3, {"heads": "pixels/knn,features/vae"}),
            (6, 5, {"heads": "originals/pca"}),
            (8, 8, {}),
            (2, 1, {"heads": "pixels/vae", "explain": True}),
            (5, 2, {"heads": "pixels/knn", "threshold": 0.5}),
            (0, 1, {"heads": "none"}),
        ]
    ]
    alone = [server.post(body) for body in bodies]
    assert [status for status, _ in alone] == [200] * 6 + [400]
    end = time.monotonic() + SECONDS

    def client(number: int) -> int:
        turn = 0
        while not turn or time.monotonic() < end:
            at = (number + turn) % len(bodies)
            assert server.post(bodies[at]) == alone[at]
            turn += 1
        return turn

    with ThreadPoolExecutor(8) as clients:
        turns = list(clients.map(client, range(8)))
    assert min(turns) >= 1


def test_300_images_score_as_one_by_one(server: Server) -> None:
    images = [*_images(11, 150, 20, 20), *_images(12, 150, 20, 24, 3)]
    images = [images[at] for at in np.random.default_rng(13).permutation(300)]
    together = server.score(images, heads="pixels/knn,features/deep_svdd")
    assert [row["image"] for row in together] == np.repeat(range(300), 2).tolist()
    for at in range(0, 300, 12):
        (alone, other) = server.score([images[at]], heads="pixels/knn,features/deep_svdd")
        assert [alone | {"image": at}, other | {"image": at}] == together[2 * at : 2 * at + 2]


def test_heads_come_in_the_order_asked_for_and_a_threshold_decides(server: Server) -> None:
    (image,) = _images(14, 1, 33, 44, 3)
    everything = {row["head"]: row for row in server.score([image])}
    chosen = server.score([image], heads=" features/vae,pixels/knn ")
    assert chosen == [everything["features/vae"], everything["pixels/knn"]]
    score = everything["pixels/knn"]["score"]
    for threshold, is_anomaly in ((score, False), (np.nextafter(score, 0), True), (-5, True), (1e9, False)):
        (row,) = server.score([image], heads="pixels/knn", threshold=float(threshold))
        assert row == everything["pixels/knn"] | {"threshold": threshold, "is_anomaly": is_anomaly}


def test_a_false_alarm_rate_decides_for_all_heads(trained: Trained, server: Server) -> None:
    images = _images(14, 3, 33, 44, 3)
    plain = server.score(images)
    for rate in (0.02, 0.5):
        asked = server.score(images, false_alarm_rate=rate)
        of_heads = {spec.name: conformal_threshold(each.decision_scores_, rate) for spec, each in trained.heads}
        for row, other in zip(asked, plain, strict=True):
            threshold = of_heads[row["head"]]
            assert row == other | {"threshold": threshold, "is_anomaly": row["score"] > threshold}


def test_heat_maps_come_for_every_image_and_head(server: Server) -> None:
    images = [*_images(15, 1, 33, 44, 3), *_images(16, 1, 20, 20)]
    plain = server.score(images)
    explained = server.score(images, explain=True)
    sizes = {"pixels": 12, "colours": 8, "features": 28, "originals": 32}
    for row, with_map in zip(plain, explained, strict=True):
        size = sizes[row["head"].partition("/")[0]]
        heat_map, deep, overlay = (
            Image.open(BytesIO(b64decode(with_map.pop(name)))) for name in ("heat_map", "anomaly_map", "overlay")
        )
        assert (heat_map.format, heat_map.mode, heat_map.size) == ("PNG", "L", (size, size))
        assert (deep.format, deep.mode, deep.size) == ("PNG", "I;16", (size, size))
        assert (overlay.format, overlay.mode, max(overlay.size) > 400) == ("JPEG", "RGB", True)
        assert (with_map.pop("anomaly_map_threshold"), with_map.pop("boxes")) == (None, None)  # none was calibrated
        assert with_map.pop("anomaly_map_max") >= 0
        assert with_map == row


def test_maps_are_those_of_the_training_process(trained: Trained, server: Server) -> None:
    (image,) = _images(17, 1, 30, 26, 3)
    names = [spec.name for spec, _ in trained.heads if spec.name.endswith(("/pca", "/vae", "/knn"))]
    model = Model(tuple(Head(*each) for each in trained.heads if each[0].name in names), trained.extractors)
    with one_thread():
        maps = heat_maps(model, model.heads, image)
    rows = server.score([image], explain=True, heads=",".join(names))
    assert [row["anomaly_map"] for row in rows] == [deep_png(each)[0] for each in maps]
    np.testing.assert_allclose(
        [row["anomaly_map_max"] for row in rows], [each.values.max() for each in maps], rtol=1e-6
    )


def test_no_pickle_in_a_logged_model(trained: Trained) -> None:
    folder = Path(trained.location.removeprefix("file://"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if path.parent == folder and path.name == "MLmodel"]
    assert sum(path.name.endswith((".safetensors", ".skops")) for path in files) >= len(trained.heads)
    assert [str(path) for path in files if _is_pickle(path.name, path.read_bytes())] == []
    flavour = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    assert Path(flavour["model_code_path"]).name == "pyfunc.py"
    assert "python_model" not in flavour  # where MLflow names the file of a pickled one


def test_pickles_are_found(tmp_path: Path) -> None:
    """What the test above looks for."""
    for protocol in range(6):
        assert _is_pickle("a.bin", pickle.dumps({"a": np.zeros(3)}, protocol))
    torch.save({"a": 1}, tmp_path / "a")
    assert _is_pickle("a", (tmp_path / "a").read_bytes())
    assert _is_pickle("a.joblib", b"")
    assert not _is_pickle("a.json", b'{"a": 1}')


def _images(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _knn_score(text: str) -> float:
    (row,) = (row for row in json.loads(text)["predictions"] if row["head"] == "pixels/knn")
    return float(row["score"])


def _is_a_line(text: str, refusal: str) -> bool:
    """Whether a reply is our JSON, with one line that says why."""
    reply = json.loads(text)
    message = reply["message"]
    return (
        bool(re.search(refusal, message)) and "\n" not in message and len(message) < 300 and "stack_trace" not in reply
    )


def _is_pickle(name: str, content: bytes) -> bool:
    if name.endswith((".pkl", ".pickle", ".joblib", ".pt", ".pth")):
        return True
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return any(_is_pickle(each, archive.read(each)) for each in archive.namelist())
    if content[:1] == b"\x80" and content[1:2] <= b"\x05":
        return True
    if not content.endswith(pickle.STOP) or name.endswith((".py", ".json", ".txt", ".yaml", "MLmodel")):
        return False
    try:
        return bool(list(pickletools.genops(content)))
    except Exception:
        return False
