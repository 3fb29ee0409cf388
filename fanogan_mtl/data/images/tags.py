"""Reads the tags of a TIFF, and of EXIF, which has the same format; broken ones are left out."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, calcsize, unpack_from

_ORIENTATION = 0x0112
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # struct's letters of the types byte, short, long, long8
_SIZES = {1: 1, 3: 2, 4: 4, 5: 8, 7: 1, 16: 8}  # in bytes, also of the types rational and undefined
_MOST_NUMBERS = 1000  # of a tag: those that say what kind of image it is have a few


@dataclass(frozen=True)
class Directory:
    """The first directory of a TIFF.

    Attributes
    ----------
    entries : dict
        The bytes of each entry, by tag.
    numbers : dict
        The values of those that hold whole numbers, by tag.
    is_last : bool
    start : int
        Where it begins.
    is_whole : bool
        Whether it ends before the file does.
    cut : frozenset of int
        Tags whose values don't.
    """

    entries: dict[int, bytes]
    numbers: dict[int, tuple[int, ...]]
    is_last: bool
    start: int
    is_whole: bool
    cut: frozenset[int]


def first_directory(content: bytes) -> Directory:
    """Read the first directory; empty where there is none."""
    order, is_big = byte_order(content)
    offset, count = order + "IQ"[is_big], order + "HQ"[is_big]
    entry = Struct(f"{order}HH{offset[1]}{calcsize(offset)}s")  # tag, type, how many, and the value or its offset
    (start,) = _unpacked(offset, content, 8 if is_big else 4)
    (number,) = _unpacked(count, content, start)
    at = start + calcsize(count)
    end = at + number * entry.size
    entries: dict[int, bytes] = {}
    numbers: dict[int, tuple[int, ...]] = {}
    cut = set()
    for first in range(at, min(end, len(content) - entry.size + 1), entry.size):
        tag, kind, how_many, value = entry.unpack_from(content, first)
        entries[tag] = content[first : first + entry.size]
        size = how_many * _SIZES.get(kind, 0)
        inside = size <= len(value)
        where = 0 if inside else _unpacked(offset, value)[0]
        if not inside and where + size > len(content):
            cut.add(tag)
        if kind in _NUMBERS and 0 < how_many <= _MOST_NUMBERS:
            numbers[tag] = _unpacked(f"{order}{how_many}{_NUMBERS[kind]}", value if inside else content, where)
    is_last = not any(_unpacked(offset, content, end))
    return Directory(entries, numbers, is_last, start, end <= len(content), frozenset(cut))


def byte_order(content: bytes) -> tuple[str, bool]:
    """Give struct's letter of a TIFF's byte order, and whether it is a BigTIFF."""
    return (">" if content.startswith(b"MM") else "<"), content[2:4] in (b"+\0", b"\0+")


def orientation_of(directory: Directory) -> int:
    """Tell how an image is turned, 1 to 8 as in EXIF; 1 (upright) where it says nothing or something invalid."""
    orientation = directory.numbers.get(_ORIENTATION, (1,))[0]
    return orientation if 1 <= orientation <= 8 else 1


def exif_orientation(exif: bytes) -> int:
    """Read the orientation in EXIF, however broken the rest of it is."""
    return orientation_of(first_directory(exif.removeprefix(b"Exif\0\0"))) if exif else 1


def _unpacked(layout: str, content: bytes, at: int = 0) -> tuple[int, ...]:
    """Unpack numbers; zeros beyond the end."""
    size = calcsize(layout)
    numbers: tuple[int, ...] = unpack_from(layout, content[at : at + size].ljust(size, b"\0"))
    return numbers
