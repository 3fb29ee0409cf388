"""Checks a TIFF: only those are read of which Pillow makes the right pixels."""

from __future__ import annotations

from struct import pack

from fanogan_mtl.data.images.image_error import ImageError, damaged
from fanogan_mtl.data.images.tags import Directory, byte_order, first_directory, orientation_of

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANES = 254, 258, 259, 262, 266, 277, 284
_SUB_DIRECTORIES, _EXTRA, _FORMAT, _CFA, _DNG = 330, 338, 339, 33421, 50706
_OF_PIXELS = (  # width, height, where the pixels are, and how they are packed
    *(256, 257, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, 273, _SAMPLES, 278, 279, _PLANES, 317),
    *(322, 323, 324, 325, _EXTRA, _FORMAT, 347, 529, 530, 531, 532),
)
_WHITE_IS_ZERO, _GREY, _RGB, _YCBCR = 0, 1, 2, 6
_COLOURS = {3: "a palette", 4: "a mask", 5: "CMYK", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB"}
_FORMATS = {2: "signed numbers", 3: "floating point numbers"}
_JPEG = 7
_PREMULTIPLIED = 1


def read_tiff(content: bytes) -> tuple[bytes, int]:
    """Take a TIFF apart that is 8 or 16-bit grey, or 8-bit RGB or RGBA, of one page.

    Returns
    -------
    picture : bytes
        A TIFF of nothing but the pixels.
    orientation : int
        How they are turned, 1 to 8 as in EXIF.

    Raises
    ------
    ImageError
        That names the kind, for any other, and for a file that ends too early.
    """
    directory = first_directory(content)
    if not directory.is_whole or not directory.cut.isdisjoint(_OF_PIXELS):
        raise damaged("it ends before its directory does")
    if other := _other_kind(directory, content):
        raise ImageError(f"a TIFF {other}; save it as one page of 8 or 16-bit grey or 8-bit RGB")
    return _of_pixels(content, directory), orientation_of(directory)


def _other_kind(directory: Directory, content: bytes) -> str | None:
    """Name what a TIFF has that isn't read; Pillow makes wrong pixels of some, without a word."""
    numbers = directory.numbers

    def number(tag: int, default: int) -> int:
        return numbers.get(tag, (default,))[0]

    bits, planes, colour = numbers.get(_BITS, (1,)), number(_PLANES, 1), number(_PHOTOMETRIC, _WHITE_IS_ZERO)
    samples = max(number(_SAMPLES, 1), len(bits))
    deepest = max(bits)
    formats = {*numbers.get(_FORMAT, (1,))} - {1}
    if content[8:10] == b"CR" or {_DNG, _CFA} & directory.entries.keys() or number(_SUBFILE, 0) & 1:
        return "with a camera's raw image"
    if byte_order(content) == (">", True):
        return "of the kind BigTIFF with high bytes first"
    if not directory.is_last:
        return "of several pages"
    if colour in _COLOURS:
        return f"of {_COLOURS[colour]}"
    if formats:
        return f"of {deepest}-bit {_FORMATS.get(min(formats), 'numbers of an unknown kind')}"
    if colour not in (_WHITE_IS_ZERO, _GREY, _RGB, _YCBCR):
        return f"of an unknown colour space ({colour})"
    if {*bits} not in ({8}, {16}):
        return f"of {deepest}-bit samples"
    if deepest == 16:
        if samples > 1:
            return f"of 16 bits in {samples} channels"
        if colour == _WHITE_IS_ZERO:
            return "of 16 bits with white as 0"
        if planes != 1 or number(_FILL_ORDER, 1) != 1:
            return f"of 16 bits {'in separate planes' if planes != 1 else 'in reversed order'}"
    elif samples not in ((1,) if colour in (_WHITE_IS_ZERO, _GREY) else (3, 4)):
        return f"of {samples} channels"
    elif colour == _YCBCR and (number(_COMPRESSION, 1) != _JPEG or planes != 1):
        return "of YCbCr without JPEG's compression"
    elif planes != 1 and number(_EXTRA, 0) == _PREMULTIPLIED:
        return "of premultiplied alpha in separate planes"
    return None


def _of_pixels(content: bytes, directory: Directory) -> bytes:
    """Leave nothing but the pixels' tags in the directory, at its place: what a cut file lacks stays beyond the end."""
    order, is_big = byte_order(content)
    entries = [directory.entries[tag] for tag in sorted(directory.entries) if tag in _OF_PIXELS]
    count, following = (pack(order + "HQ"[is_big], len(entries)), pack(order + "IQ"[is_big], 0))
    of_pixels = b"".join([count, *entries, following])
    return content[: directory.start] + of_pixels + content[directory.start + len(of_pixels) :]
