"""Takes from a PNG only what its pixels depend on; text, colour profiles and the like are never opened."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import pack, unpack, unpack_from
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.images.image_error import ImageError, damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE, COLOURED = 3, 2  # the colour type, and the bit in it that means more than grey
_CHANNELS = {0: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}  # by colour type; the others are grey, RGB, and both with alpha
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Png(NamedTuple):
    """A PNG without its ancillary chunks.

    Attributes
    ----------
    width, height : int
        In pixels.
    bits : int
        Of a sample: 1, 2, 4, 8 or 16.
    colour : int
        PNG's colour type.
    interlaced : int
        1 by Adam7, 0 otherwise.
    palette, transparency, exif : bytes
        The chunks PLTE, tRNS and eXIf; empty without.
    data : bytes
        Of all IDAT chunks, compressed.
    """

    width: int
    height: int
    bits: int
    colour: int
    interlaced: int
    palette: bytes
    transparency: bytes
    exif: bytes
    data: bytes


def read_png(content: bytes) -> Png:
    """Read the parts that the pixels depend on.

    Raises
    ------
    ImageError
        Where that is incomplete or fails its checksum.
    """
    found: dict[bytes, list[bytes]] = {}
    for kind, chunk in _chunks(content):
        found.setdefault(kind, []).append(chunk)
    header = b"".join(found.get(b"IHDR", ()))
    if len(header) != 13 or header[9] not in _CHANNELS:
        raise damaged("no PNG header")
    if b"IDAT" not in found:
        raise damaged("it ends before its pixels")
    width, height, bits, colour, _, _, interlaced = unpack(">IIBBBBB", header)
    palette, transparency, exif = (found.get(kind, [b""])[0] for kind in (b"PLTE", b"tRNS", b"eXIf"))
    if colour == PALETTE and not palette:
        raise damaged("it has no palette")
    return Png(width, height, bits, colour, interlaced, palette, transparency, exif, b"".join(found[b"IDAT"]))


def png_file(png: Png) -> bytes:
    """Write a file with nothing but the pixels; transparency is kept only where it is a palette's."""
    header = pack(">IIBBBBB", png.width, png.height, png.bits, png.colour, 0, 0, png.interlaced)
    colours = [(b"PLTE", png.palette), (b"tRNS", png.transparency)] if png.colour == PALETTE else []
    chunks = [(b"IHDR", header), *colours, (b"IDAT", png.data)]
    return SIGNATURE + b"".join(_chunk(kind, chunk) for kind, chunk in chunks if chunk) + _chunk(b"IEND", b"")


def transparent_colour(png: Png) -> tuple[int, ...]:
    """Give the transparent colour, its values in 16 bits where samples have as many, else in 8; () without any."""
    channels = {0: 1, 2: 3}.get(png.colour, 0)
    if len(png.transparency) != 2 * channels:
        return ()
    levels = 255 // (2**png.bits - 1) if png.bits < 8 else 1  # between two values of a sample
    return tuple(value * levels for value in unpack(f">{channels}H", png.transparency))


def samples_of_16_bits(png: Png, decode: Callable[[bytes], NDArray[np.uint8]]) -> NDArray[np.uint16]:
    """Decode 16-bit samples by a decoder of 8-bit files, as Pillow's drops the lower half of each in colour images.

    PNG's filters predict a high byte from high bytes, and a low one from low ones: they are two images.

    Returns
    -------
    array of shape (height, width) or (height, width, channels), uint16
    """
    bytes_of_pixel = 2 * _CHANNELS[png.colour]
    shapes = [(height, 1 + width * bytes_of_pixel) for width, height in _pass_sizes(png)]  # rows begin with a filter
    lines = _inflated(png.data, sum(height * length for height, length in shapes))

    def half(rank: int) -> NDArray[np.uint8]:
        parts, at = [], 0
        for height, length in shapes:
            rows = lines[at : at + height * length].reshape(height, length)
            parts.append(np.concatenate([rows[:, :1], rows[:, 1 + rank :: 2]], axis=1).reshape(-1))
            at += height * length
        return decode(png_file(png._replace(bits=8, data=zlib.compress(np.concatenate(parts).data, level=0))))

    samples = half(0).astype(np.uint16)
    samples <<= 8
    samples |= half(1)
    return samples


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give kind and content of the chunks that bear on pixels, and of an intact eXIf."""
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        length, kind = unpack_from(">I4s", content, at)
        if kind == b"IEND":
            return
        end = at + 12 + length
        if kind in _OF_PIXELS and end > len(content):
            raise damaged(f"it ends within its chunk {kind.decode()}")
        if kind in _OF_PIXELS or kind == b"eXIf":
            intact = content[end - 4 : end] == pack(">I", zlib.crc32(content[at + 4 : end - 4]))
            if intact:
                yield kind, content[at + 8 : end - 4]
            elif kind in _OF_PIXELS:
                raise damaged(f"the checksum of its chunk {kind.decode()} is wrong")
        elif not kind[:1].islower():  # none that may be left out
            raise ImageError(f"a PNG with an unknown chunk ({str(kind)[1:]}); save it as plain PNG")
        at = end


def _chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _pass_sizes(png: Png) -> Iterator[tuple[int, int]]:
    """Width and height of each pass that has pixels; without interlacing there is one."""
    for x, y, step_x, step_y in _PASSES if png.interlaced else ((0, 0, 1, 1),):
        width, height = -((x - png.width) // step_x), -((y - png.height) // step_y)
        if width > 0 and height > 0:
            yield width, height


def _inflated(data: bytes, size: int) -> NDArray[np.uint8]:
    try:
        inflated = zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise damaged(str(error)) from None
    if len(inflated) < size:
        raise damaged("it ends before its last row")
    return np.frombuffer(inflated, np.uint8)
