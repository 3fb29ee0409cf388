"""Requests to a server of images: broken, hostile and odd ones, and what each must come to."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from served_heads import Array, encoded, payload

OURS, MLFLOWS = "ours", "MLflow's"
HEAD = {"heads": "pixels/knn"}


NO_IMAGE = "image 0: .*; PNG, JPEG, TIFF, BMP and WebP are read"


@dataclass(frozen=True)
class Hostile:
    """A request, and what it must come to.

    Attributes
    ----------
    refusal : str or None
        A pattern in the message of the 4xx.
    said_by : str
        Who refuses: our messages are one line, MLflow's own may hold more.
    pixels : array or None
        A legal image: the score is that of these pixels. With neither, any answer but a 5xx will do.
    """

    name: str
    body: bytes
    refusal: str | None = None
    said_by: str = OURS
    pixels: Array | None = None
    content_type: str = "application/json"


def hostile_requests() -> list[Hostile]:
    """All of them; the same each time."""
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    makers = (_files, _cuts_and_flips, _pixel_lists, _cells, _positions, _parameters, _payloads, _other_types, _legal)
    return [each for make in makers for each in make(colour, random)]


def _files(colour: Array, random: np.random.Generator) -> Iterator[Hostile]:
    """Bytes that are no image that we read."""
    image = Image.fromarray(colour)
    for kind in ("GIF", "JPEG2000", "PPM", "ICO"):
        yield _refused(kind, encoded(image, kind), NO_IMAGE)
    frames = [Image.fromarray(colour // divisor) for divisor in (1, 2, 3)]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield _refused("animated GIF", animated, NO_IMAGE)
    for name, content in {
        "no bytes": b"",
        "one byte": b"\x89",
        "text": b"this is not an image",
        "markup": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "archive": b"PK\x03\x04" + bytes(100),
        "pickle": b"\x80\x04\x95" + bytes(100),
        "PNG's signature": b"\x89PNG\r\n\x1a\n",
        "JPEG's signature": b"\xff\xd8\xff",
        "noise": random.bytes(5000),
    }.items():
        yield _refused(name, b64encode(content).decode(), f"({NO_IMAGE}|image 0: a damaged image)")
    for side in (20_000, 100_000, 2**31 - 1):
        yield _refused(f"PNG of {side}", _png(side, side, bytes(2000)), "image 0: .*(at most|damaged)")
    unfolds = _png(20_000, 20_000, bytes(2501 * 20_000))
    yield _refused("unfolds to 400 megapixels", unfolds, "image 0: .*at most 50,000,000 are read")
    yield _refused("no width", _png(0, 5, b""), "image 0: ")
    text = zlib.compress(bytes(100_000_000), 9)
    unread = _png(5, 5, bytes(10), zTXt=b"a\x00\x00" + text)
    yield Hostile("text that unfolds", payload([unread], **HEAD), pixels=np.zeros((5, 5), np.uint8))


def _cuts_and_flips(colour: Array, random: np.random.Generator) -> Iterator[Hostile]:
    """Files that end early, and files with wrong bytes."""
    for kind in ("PNG", "JPEG"):
        whole = b64decode(encoded(colour, kind))
        for share in np.linspace(0.05, 0.9, 12):
            cut = b64encode(whole[: int(share * len(whole))]).decode()
            yield _refused(f"{kind} cut at {share:.2f}", cut, f"({NO_IMAGE}|image 0: a damaged)")
        for flip in range(20):
            changed = bytearray(whole)
            for at in random.integers(0, len(whole), 3):
                changed[at] ^= int(random.integers(1, 256))
            yield Hostile(f"{kind} flipped {flip}", payload([b64encode(changed).decode()], **HEAD))


def _pixel_lists(_colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    shape = r"image 0: pixels of shape .*\(height, width\) or \(height, width, 3\), please"
    whole = "image 0: pixels that are no whole numbers from 0 to 255"
    numbers = "image 0: pixels that are no numbers"
    ragged = "image 0: rows of different lengths, or too deep"
    for name, cell, refusal in [
        ("NaN", [[float("nan"), 1]], "image 0: pixels that are NaN or infinity"),
        ("infinity", [[float("-inf"), 1]], "image 0: pixels that are NaN or infinity"),
        ("null", [[None, 1]], numbers),
        ("only null", [[None]], numbers),
        ("a row of null", [None, None], numbers),
        ("texts", [["1", "2"]], numbers),
        ("a text among numbers", [[1, "2"]], numbers),
        ("texts of many lengths", [["a"] * 100_000 + ["x" * 5_000_000]], numbers),
        ("booleans", [[True, False]], numbers),
        ("a boolean among numbers", [[True, 5]], numbers),
        ("an object", [[{"r": 1}]], numbers),
        ("negative", [[-1, 0]], whole),
        ("256", [[256, 0]], whole),
        ("a half", [[0.5, 0]], whole),
        ("huge", [[10**30, 0]], "image 0: pixels"),
        ("huger", [[10**400, 0]], "image 0: pixels"),
        ("huger, with a half", [[10**400, 0.5]], "image 0: pixels"),
        ("64 bits", [[2**63, 0]], whole),
        ("below 64 bits", [[-(2**63), 2**63]], whole),
        ("almost infinite", [[1e308, 0]], whole),
        ("one ragged row", [[1, 2], [3]], ragged),
        ("a ragged colour", [[[1, 2, 3], [1, 2]]], ragged),
        ("a number among rows", [[1, 2], 3], ragged),
        ("a text among rows", [[1, 2], "ab"], ragged),
        ("an object among rows", [[1, 2], {"a": 1}], ragged),
        ("a vector", [1, 2, 3], shape),
        ("two channels", [[[1, 2]]], shape),
        ("four channels", [[[1, 2, 3, 4]]], shape),
        ("four dimensions", [[[[1, 2, 3]]]], ragged),
        ("200 dimensions", _nested(200), ragged),
        ("no row has pixels", [[], []], shape),
        ("a row has none", [[1], []], ragged),
    ]:
        yield _refused(f"pixels: {name}", cell, refusal)
    yield _refused("no rows", [], "there is no image in the request")


def _cells(_colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    for name, cell, refusal in [
        ("null", None, "image 0: missing"),
        ("NaN", float("nan"), "image 0: missing"),
        ("infinity", float("inf"), "image 0: of type float; base64 text or pixels, please"),
        ("a number", 5, "image 0: of type int; base64"),
        ("a huge number", 10**30, "image 0: of type int; base64"),
        ("a boolean", True, "image 0: of type bool; base64"),
        ("an object", {"b64": "abc"}, "image 0: of type dict; base64"),
        ("an empty text", "", NO_IMAGE),
        ("spaces", "  \n ", NO_IMAGE),
        ("padding", "====", "image 0: not base64"),
        ("a letter too many", "abcde", "image 0: not base64"),
        ("no base64", "!@#$", "image 0: not base64"),
        ("umlauts", "äöü", "image 0: not base64"),
        ("zero bytes", "\0\0\0\0", "image 0: not base64"),
        ("web-safe base64", "_-_-", "image 0: not base64"),
        ("an address", "https://example.org/cat.png", "image 0: not base64"),
        ("a file's name", "/etc/passwd", "image 0: not base64"),
        ("a file's address", "file:///etc/passwd", "image 0: not base64"),
        ("an empty data address", "data:image/png;base64,", NO_IMAGE),
        ("a data address without data", "data:image/png", NO_IMAGE),
        ("texts and others", ["abcd", 5], "image 0: pixels that are no numbers"),
        ("50 MB", "A" * 50_000_000, NO_IMAGE),
    ]:
        yield _refused(f"cell: {name}", cell, refusal)


def _positions(colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    """One bad image among good ones, by its position, in each form of a payload."""
    good = encoded(colour)
    for bad, reason in [
        ("abcd", "no image that is known"),
        ("!", "not base64"),
        (good[:400], "a damaged"),
        ([[300]], "pixels that"),
    ]:
        for position in (0, 1, 5, 99):
            images: list[Any] = [good] * 100
            images[position] = bad
            wanted = f"^image {position}: {reason}"
            columns = {"image": images}
            for body in (
                payload(images),
                _json(dataframe_records=[{"image": each} for each in images]),
                _json(inputs=columns),
            ):
                yield Hostile(f"{reason} at {position}", body, wanted)
    yield Hostile("half a character", _json(inputs=["\ud800"]), "^image 0: not base64")
    yield Hostile("at 1 of inputs", _json(inputs=[good, "!", good]), "^image 1: not base64")
    yield Hostile("at 2 of instances", _json(instances=[good, good, "!"]), "^image 2: not base64")


def _parameters(colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    good = [encoded(colour)]
    for name, parameters, refusal in [
        ("unknown head", {"heads": "pixels/none"}, "heads: no head 'pixels/none'; there are pixels/"),
        ("a known and an unknown head", {"heads": "pixels/knn,x"}, "heads: no head 'x'"),
        ("no head", {"heads": ""}, "heads: no head ''"),
        ("a comma", {"heads": "pixels/knn,"}, "heads: no head ''"),
        ("all and one", {"heads": "all,pixels/knn"}, "heads: no head 'all'"),
        ("repeated head", {"heads": "pixels/knn, pixels/knn"}, "heads: a head is there twice"),
        ("two lines", {"heads": "a\nb"}, r"heads: no head 'a\\nb'"),
        ("half a character", {"heads": "\ud800"}, "heads: no head"),
        ("a long name", {"heads": "x" * 100_000}, "heads: no head 'x{80}'"),
        ("null heads", {"heads": None}, "heads: no head 'None'"),
        ("threshold of all", {"threshold": 1.0}, "threshold: scores of .* heads have different units"),
        ("threshold of two", {"threshold": 1, "heads": "pixels/knn,pixels/pca"}, "threshold: scores of 2 heads"),
        ("threshold NaN", {"threshold": float("nan"), **HEAD}, "threshold: a finite number"),
        ("threshold infinity", {"threshold": float("inf"), **HEAD}, "threshold: a finite number"),
        ("rate 0", {"false_alarm_rate": 0.0}, "false_alarm_rate: a false-alarm rate lies between 0 and 1"),
        ("rate NaN", {"false_alarm_rate": float("nan")}, "false_alarm_rate: a false-alarm rate lies between 0 and 1"),
        ("rate in percent", {"false_alarm_rate": 5}, "false_alarm_rate: a false-alarm rate lies between 0 and 1"),
        ("rate too low", {"false_alarm_rate": 1e-9}, "false_alarm_rate: head .* 60 held-out normal scores"),
        ("rate and threshold", {"false_alarm_rate": 0.1, "threshold": 1.0, **HEAD}, "one of them, please"),
    ]:
        yield Hostile(f"params: {name}", payload(good, **parameters), refusal)
    for parameters in (
        {"heads": 5}, {"heads": ["pixels/knn"]}, {"heads": True}, {"heads": {}},
        {"threshold": "1"}, {"threshold": True}, {"threshold": []}, {"threshold": 10**400, **HEAD},
        {"false_alarm_rate": "1"}, {"false_alarm_rate": True}, {"false_alarm_rate": [0.1]},
        {"explain": "yes"}, {"explain": 1}, {"explain": []},
    ):  # fmt: skip
        yield Hostile(f"params: {parameters}"[:60], payload(good, **parameters), "", MLFLOWS)
    for parameters in ([1], 5, "heads", True):
        yield Hostile(f"params: {parameters}", _json(inputs=good, params=parameters), "", MLFLOWS)


def _payloads(colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    good = encoded(colour)
    nothing = "there is no image in the request"
    yield Hostile("empty batch", payload([]), nothing)
    yield Hostile("empty inputs", _json(inputs=[]), nothing)
    yield Hostile("empty column", _json(inputs={"image": []}), nothing)
    split, records = "dataframe_split", "dataframe_records"
    for name, content in [
        ("no key", {}),
        ("an unknown key", {"images": [good]}),
        ("two keys", {"inputs": [good], "instances": [good]}),
        ("all keys", {"inputs": [good], "instances": [good], split: {}, records: []}),
        ("empty records", {records: []}),
        ("records that are an object", {records: {"image": good}}),
        ("records that are numbers", {records: [5]}),
        ("split without data", {split: {"columns": ["image"]}}),
        ("split that is a list", {split: [good]}),
        ("split with a key too many", {split: {"columns": ["image"], "data": [[good]], "x": 1}}),
        ("two values for one column", {split: {"columns": ["image"], "data": [[good, good]]}}),
        ("a column twice", {split: {"columns": ["image", "image"], "data": [[good, good]]}}),
        ("another column", {split: {"columns": ["picture"], "data": [[good]]}}),
        ("no columns", {split: {"data": [[good]]}}),
        ("half a character", {split: {"columns": ["image"], "data": [["\ud800"]]}}),
        ("inputs of another column", {"inputs": {"picture": [good]}}),
        ("columns of two lengths", {"inputs": {"image": [good, good], "other": [1]}}),
        ("a text", {"inputs": good}),
        ("a number", {"inputs": 5}),
        ("null", {"inputs": None}),
        ("null instances", {"instances": None}),
        ("instances of two kinds", {"instances": [{"image": good}, 5]}),
        ("a signature", {"signature_name": "x", "inputs": {"signature_name": [good]}}),
        ("a chat", {"messages": [{"role": "user", "content": good}]}),
        ("a prompt", {"prompt": good}),
        ("an input", {"input": good}),
    ]:
        yield Hostile(f"payload: {name}", _json(**content), "", MLFLOWS)
    for name, body in {
        "nothing": b"",
        "half an object": b"{",
        "a list": b"[]",
        "a number": b"5",
        "null": b"null",
        "no text": b'{"inputs": ["\xff"]}',
        "two objects": b"{}{}",
        "a comment": b"// {}",
        "zero bytes": bytes(1000),
        "an image": b64decode(good),
        "inputs 500 deep": b'{"inputs": ' + b"[" * 500 + b"]" * 500 + b"}",
    }.items():
        yield Hostile(f"body: {name}", body, "", MLFLOWS)


def _other_types(colour: Array, _random: np.random.Generator) -> Iterator[Hostile]:
    good = encoded(colour)
    for body in ("", "image\n", f"image\n{good}\n", "image\n5\n", "picture\n5\n", 'image\n""\n', "image\n[[1]]\n"):
        yield Hostile("CSV", body.encode(), "", MLFLOWS, content_type="text/csv")
    yield Hostile("CSV that is no text", b"\xff\xfe", "", MLFLOWS, content_type="text/csv")
    yield Hostile("Parquet that is none", b"PAR1", "", MLFLOWS, content_type="application/vnd.apache.parquet")
    for kind in (
        "text/xml", "text/plain", "image/png", "multipart/form-data", "application/x-www-form-urlencoded",
        "application/json; charset=latin-1", "application/json; depth=5", "", ";", "/",
    ):  # fmt: skip
        yield Hostile(f"content type {kind!r}", payload([good]), "", MLFLOWS, content_type=kind)


def _legal(colour: Array, random: np.random.Generator) -> Iterator[Hostile]:
    """Odd images that are fine: the score is that of the pixels that a person sees."""
    grey = np.ascontiguousarray(colour[..., 0])
    image, grey_image = Image.fromarray(colour), Image.fromarray(grey)
    alpha = random.integers(0, 256, (24, 20), dtype=np.uint8)
    share = alpha[..., None] / 255
    on_white = np.rint(colour * share + 255 * (1 - share))
    deep = random.integers(0, 65536, (24, 20), dtype=np.uint16)
    bits = grey > 127
    palette = image.quantize(16)
    opaque = np.dstack([colour, np.full((24, 20), 255, np.uint8)])
    clear = np.dstack([colour, np.zeros((24, 20), np.uint8)])
    four = Image.fromarray(np.dstack([colour, grey]), "CMYK")
    jpeg = _decoded(encoded(colour, "JPEG"))
    file = encoded(colour)
    for name, cell, pixels in [
        ("colour", file, colour),
        ("grey", encoded(grey), grey),
        ("grey as colour", encoded(np.dstack([grey] * 3)), grey),
        ("palette", encoded(palette), np.asarray(palette.convert("RGB"))),
        ("opaque", encoded(opaque), colour),
        ("clear", encoded(clear), np.full((24, 20), 255)),
        ("one bit", encoded(Image.fromarray(bits)), bits * 255),
        ("16 bits", encoded(deep), deep >> 8),
        ("JPEG", encoded(colour, "JPEG"), jpeg),
        ("progressive JPEG", encoded(colour, "JPEG", progressive=True), jpeg),
        ("grey JPEG", encoded(grey_image, "JPEG"), _decoded(encoded(grey_image, "JPEG"))),
        ("CMYK JPEG", encoded(four, "JPEG"), _decoded(encoded(four, "JPEG"))),
        ("animated PNG", encoded(image, save_all=True, append_images=[Image.fromarray(colour // 2)]), colour),
        ("bytes after the end", b64encode(b64decode(file) + b"more").decode(), colour),
        ("data address", f"data:image/png;base64,{file}", colour),
        ("data address of another kind", f"data:text/html;base64,{file}", colour),
        ("lines of 76", "\r\n".join(file[at : at + 76] for at in range(0, len(file), 76)), colour),
        ("whole floats", (colour / 1.0).tolist(), colour),
        ("negative zero", [[-0.0, 1.0]], np.array([[0, 1]])),
        ("one channel", grey[..., None].tolist(), grey),
        ("one pixel", [[7]], np.array([[7]])),
        ("one pixel as PNG", encoded(np.array([[7]], np.uint8)), np.array([[7]])),
        ("one column of colour", colour[:, :1].tolist(), colour[:, :1]),
        ("one row", [[1, 2, 3]], np.array([[1, 2, 3]])),
        (
            "very wide",
            encoded(np.arange(30_000, dtype=np.uint16).astype(np.uint8)[None]),
            np.arange(30_000)[None] % 256,
        ),
        ("large", np.zeros((1500, 2000), np.uint8).tolist(), np.zeros((1500, 2000))),
        ("large as PNG", _png(7000, 7000, bytes(876 * 7000)), np.zeros((1, 1))),
    ]:
        yield Hostile(f"legal: {name}", payload([cell], **HEAD), pixels=np.asarray(pixels, np.uint8))
    turned = {2: jpeg[:, ::-1], 3: jpeg[::-1, ::-1], 4: jpeg[::-1], 5: jpeg.transpose(1, 0, 2), 6: np.rot90(jpeg, -1)}
    turned |= {7: np.rot90(jpeg, 2).transpose(1, 0, 2), 8: np.rot90(jpeg)}
    for orientation, pixels in turned.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        cell = encoded(colour, "JPEG", exif=exif)
        yield Hostile(f"legal: EXIF {orientation}", payload([cell], **HEAD), pixels=pixels)
    half = encoded(np.dstack([colour, alpha]))
    yield Hostile("legal: half clear", payload([half], **HEAD), pixels=on_white.astype(np.uint8))
    for name, content in {
        "inputs": {"inputs": [file]},
        "a column": {"inputs": {"image": [file]}},
        "a column of pixels": {"inputs": {"image": [colour.tolist()]}},
        "pixels": {"inputs": [colour.tolist()]},
        "instances": {"instances": [file]},
        "instances of objects": {"instances": [{"image": colour.tolist()}]},
        "records": {"dataframe_records": [{"image": file}]},
        "a column too many": {"dataframe_records": [{"image": file, "name": "x"}]},
        "an unknown parameter": {"inputs": [file], "params": HEAD | {"nothing": 1}},
        "null parameters": {"inputs": [file], "params": HEAD | {"threshold": None, "explain": None}},
    }.items():
        yield Hostile(f"legal: {name}", _json(**{"params": HEAD, **content}), pixels=colour)


def _refused(name: str, cell: Any, refusal: str) -> Hostile:
    return Hostile(name, payload([cell]), refusal)


def _json(**content: Any) -> bytes:
    return json.dumps(content).encode()


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = [1]
    for _ in range(depth - 1):
        nested = [nested]
    return nested


def _decoded(file: str) -> Array:
    """Pixels as Pillow has them, EXIF aside."""
    image = Image.open(BytesIO(b64decode(file)))
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def _png(width: int, height: int, lines: bytes, **chunks: bytes) -> str:
    """A PNG of one bit a pixel by hand, whatever it says of its size."""
    parts = {"IHDR": struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0), **chunks}
    parts |= {"IDAT": zlib.compress(lines, 9), "IEND": b""}
    file = b"\x89PNG\r\n\x1a\n"
    for name, content in parts.items():
        whole = name.encode() + content
        file += struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))
    return b64encode(file).decode("ascii")
