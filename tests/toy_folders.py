"""Folders of small pictures, as people have them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"nut": (200, 60, 40), "bolt": (60, 190, 80), "cog": (70, 80, 210)}


def picture(seed: int, size: tuple[int, int] = (30, 24), colour: tuple[int, ...] | None = (200, 60, 40)) -> Image.Image:
    """A coarse noisy picture of (width, height), grey without a colour: different for each seed."""
    random = np.random.default_rng(seed)
    base = 120 if colour is None else np.array(colour)
    channels = () if colour is None else (3,)
    coarse = np.clip(base + random.integers(-50, 50, (6, 6, *channels)), 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def write(folder: Path, files: Mapping[str, bytes | Image.Image]) -> Path:
    """Write files by their paths; pictures are encoded as the suffix says."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content = encoded(content, "PNG" if name.lower().endswith("png") else "JPEG")
        path.write_bytes(content)
    return folder


def mixed_pictures(counts: Mapping[str, int], suffix: str = ".jpg", seed: int = 0) -> dict[str, Image.Image]:
    """So many colour pictures of mixed sizes for each folder, as `train/nut`; its last part chooses the colour."""
    random = np.random.default_rng(seed)
    return {
        f"{folder}/{number}{suffix}": picture(
            int(random.integers(2**32)),
            tuple(random.integers(20, 60, 2).tolist()),  # type: ignore[arg-type]
            COLOURS.get(folder.rpartition("/")[2], (128, 128, 128)),
        )
        for folder, count in counts.items()
        for number in range(count)
    }
