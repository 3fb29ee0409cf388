"""Takes from a JPEG only what its pixels depend on; comments, colour profiles and the like are never opened."""

from __future__ import annotations

SIGNATURE, OF_ANOTHER_KIND = b"\xff\xd8\xff", b"\xff\xd8\xff\xf7"  # JPEG-LS
_ALONE = (0x00, 0x01, *range(0xD0, 0xD8))  # markers without a segment, and none at all
_START_OF_SCAN, _END = 0xDA, 0xD9
_EXIF = 0xE1
_COLOUR_SPACE = (0xE0, 0xEE)  # JFIF's and Adobe's segment
_OF_APPLICATIONS = (*range(0xE0, 0xF0), 0xFE)  # 0xFE: comments


def read_jpeg(content: bytes) -> tuple[bytes, bytes]:
    """Take a JPEG apart.

    Returns
    -------
    picture : bytes
        A JPEG with nothing but the pixels; the whole file where its segments can't be followed.
    exif : bytes
        Empty without.
    """
    kept, exif = [content[:2]], b""
    at = 2
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 3:
        marker = content[at + 1]
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if marker == _START_OF_SCAN:
            return b"".join([*kept, content[at:]]), exif
        if marker == 0xFF:  # filling
            end = at + 1
        elif marker in _ALONE:
            end = at + 2
        elif marker == _END:
            break
        elif marker not in _OF_APPLICATIONS or marker in _COLOUR_SPACE:
            kept.append(content[at:end])
        elif marker == _EXIF and not exif and content.startswith(b"Exif\0\0", at + 4):
            exif = content[at + 4 : end]
        at = end
    return content, exif
