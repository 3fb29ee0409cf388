"""Answers a request to a served model; its content is checked before use, as anyone may have sent it."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from numpy.typing import NDArray

from fanogan_mtl.data.images.decode import MOST_PIXELS, ImageError, decode_image
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.serving.explain import boxes_of, heat_maps
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.pictures import deep_png, grey_png, jpeg, overlaid, thumbnail
from fanogan_mtl.serving.scoring import head_scores, input_of, named_heads, score_images

COLUMN = "image"
OVERLAY = 512  # px, the longer side of the pictures that an answer holds
UNSEEN = 100  # px, a side of an image that has to be resized for any model
NOTHING = "there is no image in the request"


class RequestError(MlflowException):
    """A request that can't be answered: its text is one line, and MLflow's server answers 400."""

    def __init__(self, message: str) -> None:
        self._message = message
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The one line; setting it does nothing, as MLflow's server would put the whole request before it."""
        return self._message

    @message.setter
    def message(self, _: str) -> None: ...


def answer(model: Model, model_input: Any, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Score what a request holds.

    Parameters
    ----------
    model : Model
    model_input : DataFrame with the column `image`; for a model of vectors an array of shape (n, d)
        An image is the bytes of a file that `decode_image` reads, as they are or in base64, or pixels 0 to 255 as an
        array or nested lists of shape (height, width) or (height, width, 3).
    parameters : mapping
        `heads`, `false_alarm_rate`, `threshold` and `explain`.

    Returns
    -------
    DataFrame
        A row for each image and head: `image` (its position), `head`, `score`, `threshold`, `p_value`,
        `probability`, `is_anomaly`; if `explain`, the columns of `explanations` as well.

    Raises
    ------
    RequestError
        In one line, with the image's position, for anything else.
    """
    heads = _heads(model, str(parameters.get("heads", "all")))
    thresholds = _thresholds(parameters, heads)
    explain = bool(parameters.get("explain", False))
    try:
        if not model.takes_images:
            return _answer_vectors(heads, model_input, thresholds, explain)
        cells = _cells(model_input)
        scores = score_images(model, heads, _images(cells))
    except ValueError as error:
        raise RequestError(str(error)) from None
    table = answer_table(heads, scores, thresholds)
    if explain:
        made = explanations(model, heads, _images(cells), parameters.get("false_alarm_rate"))
        table = pd.concat([table, made], axis=1)
    return table


def warm_up(model: Model) -> None:
    """Score one grey image by all heads of a model of images; nothing comes of it."""
    if model.takes_images:
        image = np.zeros((UNSEEN, UNSEEN), np.uint8)
        with suppress(RequestError):  # a head may refuse what is so unlike its training images
            answer(model, pd.DataFrame({COLUMN: [image]}), {})


def explanations(
    model: Model, heads: Sequence[Head], images: Iterable[Pixels], rate: float | None = None
) -> pd.DataFrame:
    """Say where in images heads find their scores.

    Parameters
    ----------
    rate : float, optional
        The share of normal images on which anything may be marked; by default what the heads' thresholds promise.

    Returns
    -------
    DataFrame
        A row for each image and head: `heat_map` (a PNG of 8 bits, white at the strongest place), `overlay` (a JPEG of
        the image under it), `anomaly_map` (a PNG of 16 bits, with 0 for 0 and 65535 for `anomaly_map_max`), all in
        base64; `anomaly_map_threshold`, and `boxes` around what lies above it, in pixels of the image; these two are
        None for maps without a threshold (see `Head.map_threshold`).
    """
    rows = []
    for image in images:
        picture = cache(partial(thumbnail, image, OVERLAY))  # of each depth once, whatever the number of heads
        for head, heat_map in zip(heads, heat_maps(model, heads, image), strict=True):
            threshold = head.map_threshold(rate)
            deep, highest = deep_png(heat_map)
            plain = picture(input_of(model, head)[1].depth)
            boxes = None if threshold is None else boxes_of(heat_map, threshold, *image.shape[:2])
            rows.append(
                {
                    "heat_map": grey_png(heat_map),
                    "overlay": jpeg(overlaid(plain, heat_map, threshold)),
                    "anomaly_map": deep,
                    "anomaly_map_max": highest,
                    "anomaly_map_threshold": threshold,
                    "boxes": None if boxes is None else [asdict(box) for box in boxes],
                }
            )
    return pd.DataFrame(rows, dtype=object)


def answer_table(
    heads: tuple[Head, ...], scores: NDArray[np.float64], thresholds: Sequence[float] | None = None
) -> pd.DataFrame:
    """Lay out scores (images, heads) as rows, image by image; `thresholds` of the heads replace their own."""
    limits = np.array([head.threshold for head in heads] if thresholds is None else thresholds)
    columns = list(enumerate(heads))
    p_values = np.stack([head.p_values(scores[:, at]) for at, head in columns], axis=1)
    probabilities = np.stack([head.spec.calibration.probabilities(scores[:, at]) for at, head in columns], axis=1)
    return pd.DataFrame(
        {
            "image": np.repeat(np.arange(len(scores)), len(heads)),
            "head": [head.spec.name for head in heads] * len(scores),
            "score": scores.reshape(-1),
            "threshold": np.tile(limits, len(scores)),
            "p_value": p_values.reshape(-1),
            "probability": probabilities.reshape(-1),
            "is_anomaly": (scores > limits).reshape(-1),
        }
    )


def decode_sent(cell: Any) -> Pixels:
    """Read one image as a request may hold it.

    Raises
    ------
    ValueError
        In one line.
    """
    if isinstance(cell, str):
        text = cell.partition(",")[2] if cell.startswith("data:") else cell
        try:
            cell = b64decode("".join(text.split()), validate=True)
        except (Base64Error, ValueError):
            raise ImageError("not base64") from None
    if isinstance(cell, bytes):
        return decode_image(cell)
    if isinstance(cell, (list, np.ndarray)):
        return _pixels(cell)
    missing = cell is None or (isinstance(cell, float) and np.isnan(cell))
    raise ImageError("missing" if missing else f"of type {type(cell).__name__}; base64 text or pixels, please")


def _heads(model: Model, names: str) -> tuple[Head, ...]:
    try:
        return named_heads(model, names)
    except ValueError as error:
        raise RequestError(str(error)) from None


def _thresholds(parameters: Mapping[str, Any], heads: tuple[Head, ...]) -> list[float] | None:
    """Those that a request asks for, one a head; None where it asks for none."""
    rate, given = parameters.get("false_alarm_rate"), parameters.get("threshold")
    if rate is not None:
        if given is not None:
            raise RequestError("threshold and false_alarm_rate: one of them, please")
        try:
            return [head.threshold_at(float(rate)) for head in heads]
        except ValueError as error:
            raise RequestError(f"false_alarm_rate: {error}") from None
    if given is None:
        return None
    if len(heads) != 1:
        raise RequestError(
            f"threshold: scores of {len(heads)} heads have different units; choose one head by heads, "
            "or give false_alarm_rate"
        )
    if not np.isfinite(given):
        raise RequestError("threshold: a finite number, please")
    return [float(given)]


def _cells(model_input: Any) -> list[Any]:
    cells: list[Any] = model_input[COLUMN].tolist()
    if len(cells) == 1 and isinstance(cells[0], list) and all(isinstance(each, str) for each in cells[0]):
        cells = cells[0]  # MLflow makes one cell of `inputs` and `instances` that are lists of text
    if not cells:
        raise RequestError(NOTHING)
    return cells


def _images(cells: list[Any]) -> Iterator[Pixels]:
    for position, cell in enumerate(cells):
        try:
            image = decode_sent(cell)
        except ValueError as error:
            raise RequestError(f"image {position}: {error}") from None
        yield image


def _pixels(values: Any) -> Pixels:
    if isinstance(values, list) or values.dtype == object:
        values = _from_lists(values)
    pixels = np.asarray(values)
    if pixels.dtype.kind not in "iuf":
        raise ImageError("pixels that are no numbers")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise ImageError(f"pixels of shape {pixels.shape}; (height, width) or (height, width, 3), please")
    if pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        raise ImageError(f"at most {MOST_PIXELS:,} pixels, please")
    if pixels.dtype == np.uint8:
        return pixels
    if not np.isfinite(pixels).all():
        raise ImageError("pixels that are NaN or infinity")
    if pixels.min() < 0 or pixels.max() > 255 or (pixels.dtype.kind == "f" and (pixels % 1 != 0).any()):
        raise ImageError("pixels that are no whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def _from_lists(values: Any) -> NDArray[Any]:
    """Nested lists of numbers as an array. NumPy alone would make terabytes of texts of different lengths."""
    shape: list[int] = []
    level = [values]
    while (types := set(map(type, level))) & {list, np.ndarray}:
        lengths = set(map(len, level)) if types <= {list, np.ndarray} else set()
        if len(lengths) != 1 or len(shape) == 3:
            raise ImageError("rows of different lengths, or too deep")
        shape += lengths
        level = list(chain.from_iterable(level))
    if not all(issubclass(each, (int, float, np.number)) and each is not bool for each in types):
        raise ImageError("pixels that are no numbers")
    try:
        return np.array(level).reshape(shape)
    except OverflowError:
        raise ImageError("pixels that are no whole numbers from 0 to 255") from None


def _answer_vectors(
    heads: tuple[Head, ...], model_input: Any, thresholds: list[float] | None, explain: bool
) -> pd.DataFrame:
    if explain:
        raise RequestError("explain: this model scores vectors, and has heat maps of images only")
    rows = np.asarray(model_input, np.float32)
    if not len(rows):
        raise RequestError("there is no vector in the request")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise RequestError(f"vector {bad[0]}: NaN, infinity or a number too large for float32")
    scores = np.stack([head_scores(head, rows, "vector") for head in heads], axis=1)
    return answer_table(heads, scores, thresholds)


__all__ = ["COLUMN", "RequestError", "answer", "answer_table", "decode_sent", "explanations", "warm_up"]
