"""House numbers drawn at run time: a stand-in for SVHN that needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from fanogan_mtl.data.dataset import RawDataset, RawImages
from fanogan_mtl.data.sources.samples import package_folder, package_versions

_SIZE = 32
_TRAIN, _TEST = 4000, 1000
_SEED = 20230817
_FONTS = (  # of matplotlib; Pillow's own Aileron joins them
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold",
    "STIXGeneral", "STIXGeneralBol", "cmr10", "cmb10", "cmss10",
)  # fmt: skip
_HEIGHTS = (22, 25, 28, 31, 34)  # font sizes in pixels


def load(name: str, data_dir: Path) -> RawDataset:
    """Draw 4,000 + 1,000 images 32×32 RGB, as many of each digit, the same in every process.

    A digit in one of eleven typefaces stands upright or slightly turned in the middle, neighbours reach in from the
    sides, and the wall behind has a colour gradient and clutter. Digits are lighter or darker than the wall, often by
    little; all is blurred and noisy.
    """
    random = np.random.default_rng(_SEED)
    glyphs = _glyphs()
    labels = np.concatenate([random.permutation(np.arange(n) % 10) for n in (_TRAIN, _TEST)]).astype(np.int64)
    images = np.stack([_draw(int(label), glyphs, random) for label in labels])
    return RawDataset(
        tuple("0123456789"),
        RawImages(images[:_TRAIN], labels[:_TRAIN]),
        RawImages(images[_TRAIN:], labels[_TRAIN:]),
    )


def fingerprint(name: str, data_dir: Path) -> list[str]:
    """Versions of the packages that decide the pixels."""
    return package_versions("matplotlib", "pillow", "numpy")


def _glyphs() -> list[list[Image.Image]]:
    """Draw every digit in every typeface and size, once: masks by style, then digit."""
    folder = package_folder("matplotlib") / "mpl-data/fonts/ttf"
    fonts: list[ImageFont.FreeTypeFont | ImageFont.ImageFont] = []
    for size in _HEIGHTS:
        paths = [str(folder / f"{name}.ttf") for name in _FONTS]
        fonts += [ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC) for path in paths]
        fonts.append(ImageFont.load_default(size))
    return [[_glyph(str(digit), font) for digit in range(10)] for font in fonts]


def _glyph(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font, fill=255)
    return mask


def _draw(digit: int, glyphs: list[list[Image.Image]], random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one house number with `digit` in the middle."""
    style = glyphs[random.integers(len(glyphs))]
    wall, ink = _colours(random)
    mask = Image.new("L", (_SIZE, _SIZE))
    glyph = style[digit]
    centre_x, centre_y = _SIZE / 2 + random.uniform(-2, 2), _SIZE / 2 + random.uniform(-2, 2)
    _paste(mask, glyph, centre_x, centre_y)
    gap = random.uniform(0, 4)
    for side in (-1, 1):
        if random.random() < 0.6:
            neighbour = style[random.integers(10)]
            distance = (glyph.width + neighbour.width) / 2 + gap
            _paste(mask, neighbour, centre_x + side * distance, centre_y + random.uniform(-1, 1))
    mask = mask.transform(mask.size, Image.Transform.AFFINE, _slant(random), Image.Resampling.BILINEAR)
    picture = _wall(wall, random)
    picture.paste(Image.new("RGB", picture.size, tuple(ink.astype(int).tolist())), mask=mask)
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    light = random.uniform(-1, 1, 2) @ np.mgrid[-1:1:32j, -1:1:32j].reshape(2, -1) * 20
    noise = random.normal(0, random.uniform(2, 10), (_SIZE, _SIZE, 3)) + light.reshape(_SIZE, _SIZE, 1)
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)


def _paste(mask: Image.Image, glyph: Image.Image, centre_x: float, centre_y: float) -> None:
    mask.paste(255, (round(centre_x - glyph.width / 2), round(centre_y - glyph.height / 2)), glyph)


def _colours(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose the wall's and the digits' colour, RGB, told apart by 40 to 140 grey levels either way."""
    difference = random.uniform(40, 140) * random.choice([-1, 1])
    middle = random.uniform(70, 185)
    wall, ink = middle - difference / 2, middle + difference / 2
    tints = random.normal(0, 15, (2, 3))
    tints -= tints.mean(axis=1, keepdims=True)
    return np.clip(wall + tints[0], 0, 255), np.clip(ink + tints[1], 0, 255)


def _slant(random: np.random.Generator) -> tuple[float, ...]:
    """Make the affine coefficients of a slight turn and shear about the centre."""
    turn, shear = random.uniform(-0.15, 0.15), random.uniform(-0.2, 0.2)
    a, b, d, e = np.cos(turn), np.sin(turn) + shear, -np.sin(turn), np.cos(turn)
    half = _SIZE / 2
    return (a, b, half - a * half - b * half, d, e, half - d * half - e * half)


def _wall(colour: NDArray[np.float64], random: np.random.Generator) -> Image.Image:
    """Draw a wall of about that colour with a few joints, shadows and stains."""
    picture = Image.new("RGB", (_SIZE, _SIZE), tuple(colour.astype(int).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(0, 5)):
        shade = tuple(np.clip(colour + random.normal(0, 20, 3), 0, 255).astype(int).tolist())
        x0, y0, x1, y1 = random.uniform(-8, _SIZE + 8, 4).tolist()
        if random.random() < 0.5:
            pen.line((x0, y0, x1, y1), fill=shade, width=int(random.integers(1, 4)))
        else:
            pen.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=shade)
    return picture
