"""Pictures as people send them become the pixels that a person sees."""

from io import BytesIO
from struct import pack
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fanogan_mtl.data.decode import ImageError, decode_image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (9, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (9, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_png_keeps_every_pixel(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels))), pixels)


def test_a_grey_image_is_the_same_however_it_is_stored() -> None:
    grey = Image.fromarray(GREY)
    sixteen = Image.fromarray(GREY.astype(np.uint16) * 257)
    palette = grey.convert("P")
    for image in (grey, grey.convert("RGB"), grey.convert("RGBA"), grey.convert("LA"), sixteen, palette):
        np.testing.assert_array_equal(decode_image(encoded(image)), GREY, image.mode)


def test_black_and_white() -> None:
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(GREY > 99))), (GREY > 99) * np.uint8(255))


def test_palette_colours() -> None:
    palette = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    np.testing.assert_array_equal(decode_image(encoded(palette)), np.asarray(palette.convert("RGB")))


def test_transparent_pixels_are_white() -> None:
    alpha = np.zeros((9, 7), np.uint8)
    alpha[:4] = 255
    seen = np.where(alpha[..., None] > 0, COLOUR, np.uint8(255))
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(np.dstack([COLOUR, alpha])))), seen)


def test_a_rotated_photo_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    smooth = Image.fromarray(np.tile(np.arange(0, 256, 8, dtype=np.uint8), (16, 1)))
    upright = decode_image(encoded(smooth, "JPEG", exif=exif, quality=95))
    assert upright.shape == (32, 16)
    np.testing.assert_allclose(upright, np.rot90(np.asarray(smooth), -1), atol=4)


def test_cmyk_jpeg() -> None:
    flat = Image.new("RGB", (16, 16), (200, 30, 60))
    decoded = decode_image(encoded(flat.convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.mean(axis=(0, 1)), (200, 30, 60), atol=6)


def bomb(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + name + content + pack(">I", crc32(name + content))

    header = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = compress(bytes(1000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_100, 20_000, 60_000])
def test_a_bomb_is_refused_before_it_unfolds(side: int) -> None:
    with pytest.raises(ImageError, match="50,000,000"):
        decode_image(bomb(side, side))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither"),
        (b"hello", "neither"),
        (encoded(Image.fromarray(COLOUR), "GIF"), "neither"),
        (encoded(Image.fromarray(COLOUR), "BMP"), "neither"),
        (encoded(Image.fromarray(COLOUR))[:90], "damaged"),
        (encoded(Image.fromarray(COLOUR), "JPEG")[:-200], "damaged"),
        (bomb(100, 100), "damaged"),
    ],
    ids=["empty", "text", "gif", "bmp", "cut png", "cut jpeg", "too few rows"],
)
def test_what_is_no_image_is_said_in_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        decode_image(content)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_damaged_bytes_give_an_image_or_our_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    content = bytearray(encoded(Image.fromarray(COLOUR), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_image(bytes(content))
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] in ((), (3,))
