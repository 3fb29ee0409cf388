"""A model of vectors behind MLflow's server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pytest
from served_heads import Array, Server, held_out, log_heads, quick_detector, served, write_heads

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.serving.heads import HeadSpec

ROWS = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)


@dataclass(frozen=True)
class Served:
    """A server, where its model is, and the detectors as trained."""

    server: Server
    location: str
    detectors: dict[str, Any]

    def post(self, rows: Any, key: str = "inputs", **parameters: Any) -> tuple[int, Any]:
        status, text = self.server.post(json.dumps({key: rows, "params": parameters}).encode())
        return status, json.loads(text)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("vectors")
    with one_thread():
        detectors = {f"table/{name}": quick_detector(name).fit(ROWS) for name in ("knn", "pca", "vae")}
    specs = [HeadSpec(name, name[6:], 0, 1, None, held_out(detector)) for name, detector in detectors.items()]
    write_heads(folder / "model", list(zip(specs, detectors.values(), strict=True)))
    location = log_heads(folder, folder / "model", ROWS[:2])
    with served(location, folder) as server:
        yield Served(server, location, detectors)


def test_vectors_score_as_in_training(vectors: Served) -> None:
    new = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    with one_thread():
        expected = {name: detector.decision_function(new) for name, detector in vectors.detectors.items()}
    loaded = mlflow.pyfunc.load_model(vectors.location).predict(new)
    status, reply = vectors.post(new.tolist())
    assert status == 200
    for name, scores in expected.items():
        np.testing.assert_array_equal(loaded["score"][loaded["head"] == name], scores)
        over_http = [row["score"] for row in reply["predictions"] if row["head"] == name]
        np.testing.assert_allclose(over_http, scores, rtol=1e-6)
    one = {"heads": "table/knn", "threshold": 0.25}
    for key, content in (("instances", new.tolist()), ("dataframe_split", {"data": new.tolist()})):
        status, reply = vectors.post(content, key, **one)
        assert status == 200
        np.testing.assert_allclose([row["score"] for row in reply["predictions"]], expected["table/knn"], rtol=1e-6)
        assert {row["threshold"] for row in reply["predictions"]} == {0.25}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (float("nan"), "^vector 2: NaN, infinity or a number too large for float32$"),
        (float("inf"), "^vector 2: NaN"),
        (1e39, "^vector 2: NaN"),
        (-1e300, "^vector 2: NaN"),
        (3e38, "^vector 2: head table/vae can't score it"),
    ],
)
def test_a_bad_number_is_refused_by_its_vector(vectors: Served, changed: float, said: str) -> None:
    rows = ROWS[:4].tolist()
    rows[2][3] = changed
    status, reply = vectors.post(rows)
    assert status == 400
    assert re.search(said, reply["message"])
    assert "\n" not in reply["message"]


def test_empty_batches_and_heat_maps_are_refused_in_a_line(vectors: Served) -> None:
    status, reply = vectors.post(ROWS[:1].tolist(), explain=True)
    assert (status, reply["message"]) == (400, "explain: this model scores vectors, and has heat maps of images only")
    status, reply = vectors.post(ROWS[:1].tolist(), threshold=1.0)
    assert (status, reply["message"][:31]) == (400, "threshold: scores of 3 heads ha")
    assert vectors.post(ROWS[:1].tolist(), heads="table/none")[0] == 400


def test_what_breaks_the_signature_is_refused_by_mlflow(vectors: Served) -> None:
    whole: Array = ROWS[:2]
    for rows in (
        whole[:, :4].tolist(), [*whole.tolist(), [1.0]], whole[None].tolist(), whole[0].tolist(), [["a"] * 5],
        [[None] * 5], [[[]]], 5, "text", None, {}, {"image": [1]}, [[{}] * 5], [],
    ):  # fmt: skip
        for key in ("inputs", "instances", "dataframe_split", "dataframe_records"):
            assert 400 <= vectors.post(rows, key)[0] < 500, (rows, key)
    assert vectors.post(whole.tolist())[0] == 200
