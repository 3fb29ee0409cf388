"""Names what a file is that isn't read as an image, for the message about it."""

from __future__ import annotations

_BEGINNINGS = (
    (b"GIF8", "a GIF"),
    (b"\xff\xd8\xff\xf7", "a JPEG-LS image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"8BPS", "a Photoshop image"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"SIMPLE  =", "a FITS file"),
    (b"qoif", "a QOI image"),
    *((b"P%d" % number + space, "a Netpbm image") for number in range(1, 8) for space in (b"\n", b" ", b"\r", b"\t")),
    (b"%PDF", "a PDF"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS instead of the image (`git lfs pull` fetches it)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)
_BRANDS = {b"avif": "an AVIF image", b"avis": "an AVIF image"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "a HEIC image"
)


def name_of(content: bytes) -> str:
    """Name a file by its first bytes."""
    if not content.strip(b"\0"):
        return "an empty file" if not content else "a file of zeros"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "a video")
    if content[128:132] == b"DICM":
        return "a DICOM file"
    text = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    for beginning, name in _BEGINNINGS:
        if content.startswith(beginning) or (beginning.startswith(b"<") and text.lower().startswith(beginning.lower())):
            return name
    return "no image that is known"
