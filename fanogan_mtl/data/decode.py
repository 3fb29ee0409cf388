"""PNG and JPEG bytes to pixels, without trusting them: the same code for training and serving."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 50_000_000  # of one image: a PNG of a few kB can unfold to gigabytes
_GREY = ("1", "L", "LA", "La")


class ImageError(ValueError):
    """Bytes that are no image we read; the text is one line that says why."""


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """Decode one image as a person sees it.

    EXIF rotation is applied, transparent pixels are laid on white, 16 bits become 8, a palette and CMYK become RGB.

    Parameters
    ----------
    content : bytes
        A PNG or JPEG file.

    Returns
    -------
    array of shape (height, width) or (height, width, 3), uint8
        Grey where the three channels are equal everywhere.

    Raises
    ------
    ImageError
        For anything else, for a damaged file, and for more than `MOST_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is ours below, and a damaged EXIF harms nobody
            with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MOST_PIXELS:
                    size = f"{image.width}x{image.height}"
                    raise ImageError(f"the image is {size} pixels; at most {MOST_PIXELS:,} are read")
                image.load()
                return _pixels(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("neither a PNG nor a JPEG image") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the image is too large; at most {MOST_PIXELS:,} pixels are read") from None
    except Exception as error:  # Pillow's readers raise whatever their input makes them raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(f"a damaged image ({reason})") from None


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits a pixel
        return (np.asarray(image, np.uint32).clip(0, 65535) // 257).astype(np.uint8)
    grey = image.mode in _GREY
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    if not grey and (pixels[..., :1] == pixels).all():
        return np.ascontiguousarray(pixels[..., 0])
    return pixels
