"""Bytes of an image file to pixels, without trusting them: the same code for training and serving.

What changes no pixel (text, colour profiles, EXIF except the orientation) is removed before Pillow sees a file, so that
it can't make Pillow refuse one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fanogan_mtl.data.images import jpeg, png, tiff
from fanogan_mtl.data.images.image_error import ImageError, damaged
from fanogan_mtl.data.images.levels import Pixels, eight_bits
from fanogan_mtl.data.images.other_files import name_of
from fanogan_mtl.data.images.tags import exif_orientation
from fanogan_mtl.errors import one_line

MOST_PIXELS = 50_000_000  # of one image: a PNG of a few kB can unfold to gigabytes
_GREY = ("1", "L", "LA", "La")


def decode_image(content: bytes, background: int = 255) -> Pixels:
    """Decode one image as a person sees it.

    It is turned as EXIF says, transparent pixels are laid on a background, a palette and CMYK become RGB. Of an
    animation the first picture is taken.

    Parameters
    ----------
    content : bytes
        Of a PNG, JPEG, BMP or WebP file, or of a TIFF of one page of 8 or 16-bit grey or 8-bit RGB or RGBA.
    background : int
        What lies behind transparent pixels, from 0, black, to 255, white.

    Returns
    -------
    array of shape (height, width) or (height, width, 3), uint8, or uint16 where the file has samples of 16 bits
        Grey where the three channels are equal everywhere.

    Raises
    ------
    ImageError
        For anything else, damaged pixels, and more than `MOST_PIXELS` of them, or half as many in 16-bit colour.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is ours below
            pixels, orientation = _reader(content)(content, background)
            return _turned(_without_equal_channels(pixels), orientation)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise damaged("its header makes no sense") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the image is too large; at most {MOST_PIXELS:,} pixels are read") from None
    except Exception as error:  # Pillow's readers raise whatever their input makes them raise
        raise damaged(one_line(error, 120)) from None


def _reader(content: bytes) -> Callable[[bytes, int], tuple[Pixels, int]]:
    """Choose how to read a file's pixels, and how they are turned."""
    if content.startswith(png.SIGNATURE):
        return _read_png
    if content.startswith(jpeg.SIGNATURE) and not content.startswith(jpeg.OF_ANOTHER_KIND):
        return _read_jpeg
    if content.startswith(tiff.SIGNATURES):
        return _read_tiff
    if content.startswith(b"BM") and content[15:18] == bytes(3):  # a header of fewer than 256 bytes
        return _read_bmp
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _read_webp
    raise ImageError(f"{name_of(content)}; PNG, JPEG, TIFF, BMP and WebP are read")


def _read_png(content: bytes, background: int) -> tuple[Pixels, int]:
    picture = png.read_png(content)
    is_deep = picture.bits == 16 and picture.colour != png.PALETTE
    most = MOST_PIXELS // 2 if is_deep and picture.colour & png.COLOURED else MOST_PIXELS  # they take twice the memory
    _check_size(picture.width, picture.height, most)
    pixels: Pixels
    if is_deep:
        pixels = _seen_16_bits(
            png.samples_of_16_bits(picture, lambda file: np.asarray(_opened(file, "PNG"))), background
        )
    else:
        pixels = _seen(_opened(png.png_file(picture), "PNG"), background)
    if colour := png.transparent_colour(picture):
        clear = (np.atleast_3d(pixels) == np.array(colour)).all(axis=2)
        if clear.any():
            pixels = eight_bits(pixels).copy()  # no sample of 16 bits would be white whatever the set's depth is
            pixels[clear] = background
    return pixels, exif_orientation(picture.exif)


def _read_jpeg(content: bytes, background: int) -> tuple[Pixels, int]:
    picture, exif = jpeg.read_jpeg(content)
    return _seen(_opened(picture, "JPEG"), background), exif_orientation(exif)


def _read_tiff(content: bytes, background: int) -> tuple[Pixels, int]:
    picture, orientation = tiff.read_tiff(content)
    image = _opened(picture, "TIFF")
    return np.array(image, np.uint16) if image.mode.startswith("I;16") else _seen(image, background), orientation


def _read_bmp(content: bytes, background: int) -> tuple[Pixels, int]:
    image = _opened(content, "BMP")
    if image.mode == "RGBA" and not image.getchannel("A").getbbox():  # an alpha channel that nobody filled
        image = image.convert("RGB")
    return _seen(image, background), 1


def _read_webp(content: bytes, background: int) -> tuple[Pixels, int]:
    image = _opened(content, "WEBP")
    return _seen(image, background), exif_orientation(image.info.get("exif", b""))


def _opened(content: bytes, kind: str) -> Image.Image:
    image = Image.open(BytesIO(content), formats=(kind,))
    _check_size(image.width, image.height)
    image.load()
    return image


def _check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    if width * height > most:
        raise ImageError(f"the image is {width}x{height} pixels; at most {most:,} are read")


def _seen(image: Image.Image, background: int) -> NDArray[np.uint8]:
    """Give an image's pixels, 8 bits each, laid on a background."""
    mode = "L" if image.mode in _GREY else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (background, background, background, 255)), image)
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _seen_16_bits(samples: NDArray[np.uint16], background: int) -> Pixels:
    """Drop an alpha channel that says nothing; what is transparent somewhere is laid on a background as 8-bit ones."""
    if samples.ndim == 2 or samples.shape[2] == 3:
        return samples
    if (samples[..., -1] == 65535).all():
        return samples[..., :-1].squeeze(axis=2) if samples.shape[2] == 2 else samples[..., :-1]
    return _seen(Image.fromarray(eight_bits(samples)), background)


def _without_equal_channels(pixels: Pixels) -> Pixels:
    """Leave one of three channels where they are equal everywhere; the first row saves most photos the comparison."""
    if pixels.ndim == 3 and all((rows == rows[..., :1]).all() for rows in (pixels[0], pixels)):
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


__all__ = ["MOST_PIXELS", "ImageError", "decode_image"]
