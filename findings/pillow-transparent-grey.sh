#!/bin/bash
# One would guess that a grey PNG of 2 or 4 bits whose tRNS chunk makes one value transparent has that value transparent
# once Pillow has opened it, as it has with 1 bit and with 8. Pillow spreads the samples over 0 to 255 but keeps the
# transparent value as it is in the file: 5 of 15 becomes 85, and pixels of value 5 are looked for. Nothing is transparent.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==12.3.0
"$folder/venv/bin/python" - <<'PYTHON'
from io import BytesIO
from struct import pack
from zlib import compress, crc32

import PIL
from PIL import Image


def chunk(kind, content):
    return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))


def alphas(bits, packed, transparent):
    header = chunk(b"IHDR", pack(">IIBBBBB", 8 // bits * len(packed), 1, bits, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", compress(b"\0" + packed))
    file = b"\x89PNG\r\n\x1a\n" + header + chunk(b"tRNS", pack(">H", transparent)) + pixels + chunk(b"IEND", b"")
    return list(Image.open(BytesIO(file)).convert("RGBA").getchannel("A").tobytes())


print("Pillow", PIL.__version__)
seen = {
    "1 bit, values 0 1 0 1 0 1 0 1, 1 is transparent": alphas(1, b"\x55", 1),
    "2 bits, values 0 1 2 3, 1 is transparent": alphas(2, b"\x1b", 1),
    "4 bits, values 4 5, 5 is transparent": alphas(4, b"\x45", 5),
    "8 bits, values 4 5, 5 is transparent": alphas(8, b"\x04\x05", 5),
}
for what, alpha in seen.items():
    print(f"{what}: alpha {alpha}")
expected = [[255, 0] * 4, [255, 255, 255, 255], [255, 255], [255, 0]]
raise SystemExit(0 if list(seen.values()) == expected else "the behaviour has changed")
PYTHON
