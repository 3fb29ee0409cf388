"""Pictures as people send them become the pixels that a person sees."""

import contextlib
from io import BytesIO
from struct import pack
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fanogan_mtl.data.images.decode import ImageError, decode_image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (9, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (9, 7, 3), dtype=np.uint8)


DEEP = RANDOM.integers(0, 65536, (9, 7, 3), dtype=np.uint16)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))


def png_of(samples: np.ndarray, filtering: int = 0, between: bytes = b"", bits: int = 16) -> bytes:
    """Write 16-bit samples (height, width, channels), each row filtered in turn as PNG may; Pillow writes grey only."""
    height, width, channels = samples.shape
    lines, above = b"", np.zeros(2 * width * channels, int)
    for number, line in enumerate(samples.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)):
        left, above_left = (
            np.concatenate([np.zeros(2 * channels, int), row[: -2 * channels]]) for row in (line, above)
        )
        guess = left + above - above_left
        nearest = np.argmin([abs(guess - left), abs(guess - above), abs(guess - above_left)], axis=0)
        paeth = np.choose(nearest, [left, above, above_left])
        predicted = [0 * line, left, above, (left + above) // 2, paeth][kind := (filtering + number) % 5]
        lines += bytes([kind]) + ((line - predicted) % 256).astype(np.uint8).tobytes()
        above = line
    header = pack(">IIBBBBB", width, height, bits, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + between + chunk(b"IDAT", compress(lines)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_png_keeps_every_pixel(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels))), pixels)


def test_a_grey_image_is_the_same_however_it_is_stored() -> None:
    grey = Image.fromarray(GREY)
    for image in map(grey.convert, ("L", "RGB", "RGBA", "LA", "P")):
        np.testing.assert_array_equal(decode_image(encoded(image)), GREY, image.mode)
    for kind in ("TIFF", "BMP"):
        for image in (grey, grey.convert("RGB")):
            np.testing.assert_array_equal(decode_image(encoded(image, kind)), GREY, kind)
    np.testing.assert_array_equal(decode_image(encoded(grey, "WEBP", lossless=True)), GREY)
    deep = GREY.astype(np.uint16) * 257
    for content in (
        encoded(Image.fromarray(deep)),
        encoded(Image.fromarray(deep), "TIFF"),
        png_of(np.dstack([deep] * 3)),
    ):
        np.testing.assert_array_equal(decode_image(content), deep)


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
    header = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = compress(bytes(1000), 9)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_100, 20_000, 60_000])
def test_a_bomb_is_refused_before_it_unfolds(side: int) -> None:
    with pytest.raises(ImageError, match="50,000,000"):
        decode_image(bomb(side, side))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file; PNG, JPEG, TIFF, BMP and WebP are read"),
        (b"hello", "no image that is known"),
        (b"BMW is no bitmap", "no image that is known"),
        (b"\n<!doctype html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\0\0\0\x18ftypheic", "a HEIC image"),
        (encoded(Image.fromarray(COLOUR), "GIF"), "a GIF"),
        (encoded(Image.fromarray(COLOUR), "JPEG2000"), "a JPEG 2000 image"),
        (encoded(Image.fromarray(COLOUR))[:90], "damaged"),
        (encoded(Image.fromarray(COLOUR), "JPEG")[:-200], "damaged"),
        (bomb(100, 100), "damaged"),
        (SIGNATURE + chunk(b"IHDR", pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0)) + chunk(b"IDAT", b""), "it has no palette"),
    ],
)
def test_what_is_no_image_is_said_in_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        decode_image(content)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.data())
def test_damaged_bytes_give_an_image_or_our_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]))
    content = bytearray(data.draw(st.sampled_from([encoded(Image.fromarray(COLOUR), kind), png_of(DEEP)])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_image(bytes(content))
    except ImageError:
        return
    assert pixels.dtype in (np.uint8, np.uint16)
    assert pixels.shape[2:] in ((), (3,))


@pytest.mark.parametrize("filtering", range(5))
@pytest.mark.parametrize("channels", [1, 3])
def test_all_16_bits_of_every_channel_are_read(channels: int, filtering: int) -> None:
    samples = DEEP[..., :channels]
    np.testing.assert_array_equal(decode_image(png_of(samples, filtering)), samples.squeeze())


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bits_with_transparency(channels: int) -> None:
    opaque = np.dstack([DEEP[..., : channels - 1], np.full((9, 7), 65535, np.uint16)])
    np.testing.assert_array_equal(decode_image(png_of(opaque, 4)), opaque[..., :-1].squeeze())
    shallow = RANDOM.integers(0, 256, (9, 7, channels), dtype=np.uint8)
    same = decode_image(encoded(Image.fromarray(shallow)))
    np.testing.assert_array_equal(decode_image(png_of(shallow.astype(np.uint16) * 257)), same)


def test_a_transparent_colour_counts_in_units_of_the_samples() -> None:
    rows = b"\0" + bytes(range(0x01, 0x100, 0x22))  # sixteen grey levels of 4 bits
    file = SIGNATURE + chunk(b"IHDR", pack(">IIBBBBB", 16, 1, 4, 0, 0, 0, 0)) + chunk(b"tRNS", b"\0\5")
    levels = np.arange(16)[None] * 17
    decoded = decode_image(file + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b""))
    np.testing.assert_array_equal(decoded, np.where(levels == 85, 255, levels))


@pytest.mark.parametrize("shown", [0, 255])
def test_a_transparent_colour_of_16_bits_makes_8_bits_where_it_is_there(shown: int) -> None:
    camera = RANDOM.integers(0, 4096, (9, 7, 1), dtype=np.uint16)  # 12 bits, which a white of 16 would hide
    camera[2, 3] = 77
    seen, absent = (decode_image(png_of(camera, between=chunk(b"tRNS", pack(">H", v))), shown) for v in (77, 5000))
    np.testing.assert_array_equal(absent, camera[..., 0])
    np.testing.assert_array_equal(seen, np.where(camera == 77, shown, camera >> 8)[..., 0])


def test_what_is_transparent_is_laid_on_the_background() -> None:
    alpha = RANDOM.integers(0, 256, (9, 7), dtype=np.uint8)
    content = encoded(Image.fromarray(np.dstack([COLOUR, alpha])))
    np.testing.assert_allclose(decode_image(content, 0), COLOUR * (alpha[..., None] / 255), atol=1)
    np.testing.assert_allclose(decode_image(content), 255 - (255.0 - COLOUR) * (alpha[..., None] / 255), atol=1)


WRONG = chunk(b"pHYs", bytes(9))[:-1] + b"?"
NOT_PIXELS = {
    "text of 1.8 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + compress(b"<rdf/>" * 300_000)),
    "profile of 2 MB": chunk(b"iCCP", b"icc\0\0" + compress(bytes(2 << 20))),
    "checksum": WRONG,
    "short gamma": chunk(b"gAMA", b"\0"),
    "broken EXIF": chunk(b"eXIf", b"II*\0\xff\xff"),
}


@pytest.mark.parametrize("between", NOT_PIXELS.values(), ids=NOT_PIXELS)
def test_what_is_no_pixel_of_a_png_is_no_reason_to_refuse_it(between: bytes) -> None:
    content = encoded(Image.fromarray(COLOUR))
    np.testing.assert_array_equal(decode_image(content[:33] + between + content[33:]), COLOUR)
    np.testing.assert_array_equal(decode_image(content[:-12]), COLOUR)


def test_a_wrong_checksum_of_pixels_is_named() -> None:
    content = bytearray(encoded(Image.fromarray(COLOUR)))
    content[content.index(b"IDAT") + 9] ^= 1
    with pytest.raises(ImageError, match=r"damaged image \(the checksum of its chunk IDAT is wrong\)"):
        decode_image(bytes(content))


def exif_of(*entries: tuple[int, int, int, int]) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + pack("<H", len(entries)) + b"".join(pack("<HHII", *each) for each in entries)


@pytest.mark.parametrize(
    "exif",
    [
        exif_of((0x10F, 2, 99, 0xFFFFFFF0), (0x112, 3, 1, 6)),
        exif_of((0x10F, 77, 9, 8), (0x112, 3, 1, 6), (0x8769, 4, 1, 0xFFFFFF)),
        exif_of((0x112, 4, 1, 6), (0x132, 2, 20, 500))[:-5],
    ],
    ids=["offset", "type", "cut off"],
)
def test_a_photo_with_odd_exif_stands_upright(exif: bytes) -> None:
    plain = encoded(Image.fromarray(COLOUR), "JPEG")
    for segment in (exif, b"ICC_PROFILE\0\1", b"Photoshop 3.0\08BIM\xff\xff"):
        marker = b"\xff\xe1" if segment is exif else b"\xff\xe2"
        plain = plain[:2] + marker + pack(">H", len(segment) + 2) + segment + plain[2:] + b"trailing bytes"
    upright = np.asarray(Image.open(BytesIO(encoded(Image.fromarray(COLOUR), "JPEG"))))
    np.testing.assert_array_equal(decode_image(plain), np.rot90(upright, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_every_orientation_of_every_format(kind: str, orientation: int) -> None:
    transposed = COLOUR.swapaxes(0, 1)
    upright = {
        1: COLOUR, 2: COLOUR[:, ::-1], 3: COLOUR[::-1, ::-1], 4: COLOUR[::-1],
        5: transposed, 6: transposed[:, ::-1], 7: transposed[::-1, ::-1], 8: transposed[::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif, "lossless": True}
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(COLOUR), kind, **more)), upright)
    if kind == "TIFF":
        deep = Image.fromarray(DEEP[..., 0])
        np.testing.assert_array_equal(decode_image(encoded(deep, kind, **more)).shape, upright.shape[:2])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiffs_that_are_read(compression: str) -> None:
    for pixels in (GREY, DEEP[..., 0], COLOUR):
        content = encoded(Image.fromarray(pixels), "TIFF", compression=compression)
        np.testing.assert_array_equal(decode_image(content), pixels)
    big = Image.fromarray(DEEP[..., 0].astype(">u2"))
    np.testing.assert_array_equal(decode_image(encoded(big, "TIFF", compression=compression)), DEEP[..., 0])


def tiff_with_its_pixels_last(compression: int, strip: bytes) -> bytes:
    """A TIFF of the size of `GREY`, 8-bit, in one strip at its end."""
    tags = {256: 7, 257: 9, 258: 8, 259: compression, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 9, 279: len(strip)}
    entries = b"".join(pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + pack("<IH", 8, len(tags)) + entries + bytes(4) + strip


WHOLE_TIFFS = {
    f"{compression}, {name}": (encoded(Image.fromarray(pixels), "TIFF", compression=compression), pixels)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
    for name, pixels in {"grey": GREY, "16 bits": DEEP[..., 0], "colour": COLOUR}.items()
} | {
    "pixels last": (tiff_with_its_pixels_last(1, GREY.tobytes()), GREY),
    "packed pixels last": (tiff_with_its_pixels_last(32773, b"".join(b"\6" + row.tobytes() for row in GREY)), GREY),
}


@pytest.mark.parametrize("kind", WHOLE_TIFFS)
def test_a_tiff_that_is_cut_is_damaged_unless_no_pixel_is_lost(kind: str) -> None:
    content, pixels = WHOLE_TIFFS[kind]
    np.testing.assert_array_equal(decode_image(content), pixels)
    for length in range(8, len(content)):
        with contextlib.suppress(ImageError):  # none where only the place of a further page is lost
            np.testing.assert_array_equal(decode_image(content[:length]), pixels, f"{length} of {len(content)} bytes")
    for length in range(8, len(content) - 4):
        with pytest.raises(ImageError, match="a damaged image"):
            decode_image(content[:length])


def test_a_tiff_that_ends_before_its_directory_is_not_called_one_of_1_bit() -> None:
    content = encoded(Image.fromarray(COLOUR), "TIFF", compression="tiff_lzw")
    for cut in (1, 30, 200):  # within values of the directory, within itself, and before it
        with pytest.raises(ImageError, match=r"a damaged image \(it ends before its directory does\)"):
            decode_image(content[:-cut])


def tiff_of(*, pages: int = 1, **tags: object) -> bytes:
    """A TIFF of 16-bit grey whose tags say something else."""
    image = Image.fromarray(DEEP[..., 0])
    content = bytearray(encoded(image, "TIFF", save_all=True, append_images=[image] * (pages - 1)))
    for name, value in tags.items():
        tag = {"colour": 262, "planes": 284, "order": 266}[name]
        content[(at := content.index(pack("<HH", tag, 3))) : at + 12] = pack("<HHIHH", tag, 3, 1, value, 0)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tiff_of(pages=2), "several pages"),
        (tiff_of(colour=0), "16 bits with white as 0"),
        (tiff_of(planes=2), "16 bits in separate planes"),
        (encoded(Image.fromarray(GREY > 99), "TIFF"), "1-bit samples"),
        (encoded(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "32-bit signed numbers"),
        (encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "32-bit floating point numbers"),
        (encoded(Image.fromarray(COLOUR).convert("P"), "TIFF"), "a palette"),
        (encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), "CMYK"),
        (encoded(Image.fromarray(COLOUR).convert("LAB"), "TIFF"), "CIELAB"),
        (encoded(Image.fromarray(COLOUR).convert("LA"), "TIFF"), "2 channels"),
    ],
)
def test_a_tiff_of_another_kind_is_refused_by_name(content: bytes, kind: str) -> None:
    with pytest.raises(ImageError, match=f"a TIFF of {kind}; save it as one page of 8 or 16-bit grey or 8-bit RGB"):
        decode_image(content)


def test_the_first_picture_of_an_animation_is_taken() -> None:
    image = Image.fromarray(COLOUR)
    for kind in ("PNG", "WEBP"):
        content = encoded(image, kind, save_all=True, append_images=[image.rotate(180)], lossless=True)
        np.testing.assert_array_equal(decode_image(content), COLOUR)


def test_an_alpha_channel_that_nobody_filled_hides_no_bitmap() -> None:
    empty = np.dstack([COLOUR, np.zeros((9, 7), np.uint8)])
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(empty), "BMP")), COLOUR)
