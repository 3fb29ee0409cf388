"""Tells which files are images: by a usual suffix, and otherwise by their first bytes."""

from __future__ import annotations

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".tif", ".tiff", ".bmp", ".dib", ".webp")
READ = "PNG, JPEG, TIFF, BMP or WebP"
_HEAD = 32  # bytes that tell
_CAMERA_RAW = {  # TIFF by its first bytes, but what Pillow reads of it is a thumbnail
    *(".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".nef", ".nrw", ".orf", ".pef"),
    *(".raw", ".rw2", ".sr2", ".srf", ".srw"),
}
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes in bytes: text may begin with BM, too


def is_image(head: bytes) -> bool:
    """Whether a file's first bytes (32 do) are those of a PNG, JPEG, TIFF, BMP or WebP image."""
    if head.startswith(_BEGINNINGS):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    header = int.from_bytes(head[14:18], "little")
    return head.startswith(b"BM") and head[6:10] == bytes(4) and header in _BMP_HEADERS


def suffix_of(name: str) -> str:
    """A file name's suffix in small letters, with its dot; empty where there is none."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and suffix else ""


def holds_image(path: str) -> bool:
    """Whether a regular file of any name begins like an image; camera raw formats don't count.

    Raises
    ------
    OSError
        Where it can't be read.
    """
    if suffix_of(path.rpartition("/")[2]) in _CAMERA_RAW:
        return False
    with open(path, "rb") as file:  # noqa: PTH123 - of names as listed: Path would take three times as long
        return is_image(file.read(_HEAD))
