"""Images and answers as requests hold them, without a server; `test_server` sends the hostile ones."""

from __future__ import annotations

import json
import re
import tracemalloc
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from served_heads import CALIBRATION, encoded, held_out

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.evaluation.conformal import conformal_threshold, p_values
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from fanogan_mtl.serving.requests import RequestError, answer, decode_sent, warm_up

COLOUR = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
GREY = np.ascontiguousarray(COLOUR[..., 0])


@pytest.fixture(scope="module")
def model() -> Model:
    preparation = Preparation(8)
    rows = pixel_rows(prepare(np.random.default_rng(1).integers(0, 256, (40, 8, 8), dtype=np.uint8), preparation))
    heads = [
        Head(HeadSpec(name, name, 0, 1, preparation, held_out(detector)), detector)
        for name, detector in ((name, make_detector(name).fit(rows)) for name in ("knn", "lof"))
    ]
    return Model(tuple(heads), {})


def _arrays_of_arrays(pixels: Any) -> Any:
    """Nested arrays of objects, as Parquet's lists come."""
    if pixels.ndim == 1:
        return pixels
    nested = np.empty(len(pixels), object)
    nested[:] = [_arrays_of_arrays(each) for each in pixels]
    return nested


@pytest.mark.parametrize("pixels", [COLOUR, GREY], ids=["colour", "grey"])
def test_an_image_is_the_same_in_every_form(pixels: Any) -> None:
    png = encoded(pixels)
    forms = [
        png,
        f"data:image/png;base64,{png}",
        b64decode(png),
        pixels,
        pixels.astype(np.int64),
        pixels.astype(np.float32),
        pixels.tolist(),
        list(pixels),
        _arrays_of_arrays(pixels),
    ]
    for form in forms:
        read = decode_sent(form)
        np.testing.assert_array_equal(read, pixels)
        assert read.dtype == np.uint8


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (COLOUR.astype(str), "no numbers"),
        (COLOUR.astype(complex), "no numbers"),
        (COLOUR > 5, "no numbers"),
        (COLOUR.astype(np.int16) - 300, "no whole numbers from 0 to 255"),
        ([[256, 0]], "no whole numbers from 0 to 255"),
        (COLOUR / 255, "no whole numbers from 0 to 255"),
        (np.full((2, 2), np.nan), "NaN or infinity"),
        (np.array([[1, None]], object), "no numbers"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.array(5, np.uint8), r"shape \(\)"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000)), "at most 50,000,000 pixels"),
        (None, "missing"),
        (float("nan"), "missing"),
        (pd.NA, "of type NAType"),
        ({"b64": "x"}, "of type dict; base64 text or pixels, please"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line(cell: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        decode_sent(cell)
    assert "\n" not in str(refusal.value)


def test_texts_of_many_lengths_take_no_memory() -> None:
    """As an array of NumPy's they would take 4 bytes a character of the longest, each."""
    cell = [["a"] * 1000 + ["x" * 1_000_000]]
    tracemalloc.start()
    with pytest.raises(ValueError, match="pixels that are no numbers"):
        decode_sent(cell)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1e6


def test_answers_have_a_row_for_each_image_and_head(model: Model) -> None:
    table = answer(model, pd.DataFrame({"image": [COLOUR, encoded(GREY), GREY.tolist()]}), {})
    assert table["image"].tolist() == [0, 0, 1, 1, 2, 2]
    assert table["head"].tolist() == ["knn", "lof"] * 3
    own = ["image", "head", "score", "threshold", "p_value", "probability", "is_anomaly"]
    assert list(table) == own
    assert table.iloc[2:4][own[1:]].values.tolist() == table.iloc[4:6][own[1:]].values.tolist()
    for head in model.heads:
        rows = table[table["head"] == head.spec.name]
        assert (rows["threshold"] == head.threshold).all()
        np.testing.assert_array_equal(rows["is_anomaly"], rows["score"] > head.threshold)
        np.testing.assert_array_equal(rows["probability"], CALIBRATION.probabilities(rows["score"]))
        np.testing.assert_array_equal(rows["p_value"], p_values(head.spec.calibration.held_out, rows["score"]))


def test_a_request_names_its_false_alarm_rate(model: Model) -> None:
    table = pd.DataFrame({"image": [COLOUR, GREY]})
    for rate in (0.05, 0.3):
        of_rate = answer(model, table, {"false_alarm_rate": rate})
        own = np.tile([head.threshold_at(rate) for head in model.heads], 2)
        np.testing.assert_array_equal(of_rate["threshold"], own)
        np.testing.assert_array_equal(of_rate["is_anomaly"], of_rate["p_value"] <= rate)
        np.testing.assert_array_equal(of_rate["score"], answer(model, table, {})["score"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"false_alarm_rate": 0.0}, "false_alarm_rate: a false-alarm rate lies between 0 and 1, got 0.0"),
        ({"false_alarm_rate": 5.0}, "false_alarm_rate: a false-alarm rate lies between 0 and 1, got 5.0"),
        ({"false_alarm_rate": float("nan")}, "false_alarm_rate: a false-alarm rate lies between 0 and 1, got nan"),
        (
            {"false_alarm_rate": 0.01},
            "false_alarm_rate: head knn: 40 held-out normal scores: the lowest false-alarm rate that can be promised "
            "is 2.5 %, not 1 %",
        ),
        ({"false_alarm_rate": 0.1, "threshold": 1.0}, "threshold and false_alarm_rate: one of them, please"),
        (
            {"threshold": 1.0},
            "threshold: scores of 2 heads have different units; choose one head by heads, or give false_alarm_rate",
        ),
    ],
)
def test_what_cannot_be_promised_is_one_line(model: Model, parameters: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        answer(model, pd.DataFrame({"image": [COLOUR]}), parameters)


def test_an_explanation_says_where_in_the_image_that_was_sent(model: Model) -> None:
    images = np.random.default_rng(1).integers(100, 140, (60, 8, 8), dtype=np.uint8)
    detector = make_detector("pca", n_components=2).fit(pixel_rows(images))
    maxima = np.sort(np.abs(pixel_rows(images) - detector.reconstruct(pixel_rows(images))).max(axis=1))
    calibration = replace(held_out(detector), map_maxima=tuple(maxima.tolist()))
    head = Head(HeadSpec("pca", "pca", 0, 1, Preparation(8), calibration), detector)
    sent = np.full((16, 24), 120, np.uint8)
    sent[4:6, 18:21] = 255  # of the 8×8: row 2, column 6
    table = answer(Model((*model.heads, head), {}), pd.DataFrame({"image": [sent]}), {"explain": True})
    occluded, own = table.iloc[0], table.iloc[2]
    assert (occluded["anomaly_map_threshold"], occluded["boxes"]) == (None, None)
    assert own["anomaly_map_threshold"] == conformal_threshold(maxima, 0.1)
    assert own["boxes"][0] | {"highest": 0} == {"left": 18, "top": 4, "right": 21, "bottom": 6, "highest": 0}
    assert own["boxes"][0]["highest"] == own["anomaly_map_max"]
    deep = np.asarray(Image.open(BytesIO(b64decode(own["anomaly_map"])))) * (own["anomaly_map_max"] / 65535)
    row = pixel_rows(prepare(sent[None], Preparation(8)))
    np.testing.assert_allclose(deep.ravel(), np.abs(row - detector.reconstruct(row))[0], atol=1e-5)
    json.dumps(own["boxes"])
    asked = {"explain": True, "false_alarm_rate": 0.5, "heads": "pca"}
    (half,) = answer(Model((head,), {}), pd.DataFrame({"image": [sent]}), asked)["anomaly_map_threshold"]
    assert half == conformal_threshold(maxima, 0.5)


def test_the_bad_image_is_named_wherever_it_is(model: Model) -> None:
    for position in (0, 3, 63, 64, 150):
        cells: list[Any] = [GREY] * 151
        cells[position] = [[-1]]
        with pytest.raises(RequestError, match=f"^image {position}: pixels that are no whole numbers"):
            answer(model, pd.DataFrame({"image": cells}), {"explain": position == 0})


def test_a_refusal_keeps_its_line_whatever_mlflow_puts_before_it() -> None:
    refusal = RequestError("image 3: not base64")
    refusal.message = f"Failed to predict data '{'x' * 10_000}'"
    assert refusal.message == "image 3: not base64"
    assert refusal.get_http_status_code() == 400
    assert '"message": "image 3: not base64"' in refusal.serialize_as_json()


def test_a_model_is_warmed_up_also_where_a_head_refuses_the_image(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    for head in model.heads:
        scores = head.detector.decision_function
        monkeypatch.setattr(head.detector, "decision_function", lambda rows, of=scores: scored.append(1) or of(rows))
    warm_up(model)
    assert len(scored) == len(model.heads)

    def refuses(rows: Any) -> None:
        raise ValueError("infinite")

    monkeypatch.setattr(model.heads[0].detector, "decision_function", refuses)
    warm_up(model)
