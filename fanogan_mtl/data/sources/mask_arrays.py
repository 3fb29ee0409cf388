"""Masks of test images, read and brought to one size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.dataset import MASK_SIZE, PICTURE_SIZE, Masks, RawDataset
from fanogan_mtl.data.files import PreparedImages, prepare_images, read_image
from fanogan_mtl.data.progress import progress
from fanogan_mtl.data.transforms import Preparation, cropped
from fanogan_mtl.errors import UserError

_HALF = 128  # of 255: masks that went through a JPEG have all values


def prepare_masks(raw: RawDataset, test: PreparedImages, name: str) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Read the masks of the test images: arrays to be kept (see `Masks`), none without masks, and what is to be said.

    Masks are cropped as the images are and resized to `MASK_SIZE` by nearest neighbour. One without an anomalous pixel
    doesn't count.

    Raises
    ------
    UserError
        For a mask that can't be read, or is of another size than its image.
    """
    images = raw.test
    given = [row for row, path in enumerate(images.masks) if path is not None]
    of_train = sum(path is not None for path in raw.train.masks)
    unused = f"{of_train:,} of training images {'are' if of_train != 1 else 'is'} not used" if of_train else ""
    if not given:
        return {}, [f"data set '{name}': masks: {unused}"] if unused else []
    rows, packed = [], []
    for row in progress(given, len(given), f"preparing {name}, masks"):
        path = images.masks[row]
        assert path is not None
        small = _small(path, test.sizes[row], test.preparation.crop)
        if small.any():
            rows.append(row)
            packed.append(np.packbits(small, axis=-1))
    said = [f"data set '{name}': {'; '.join(filter(None, (_summary(raw, given, rows), unused)))}"]
    if not rows:
        return {}, said
    preparation = Preparation(
        PICTURE_SIZE, test.preparation.colour, test.preparation.crop, depth=test.preparation.depth
    )
    pictures = prepare_images(images.images[np.array(rows)], preparation)
    arrays: dict[str, NDArray[Any]] = {
        "rows": np.array(rows, np.int64),
        "packed": np.stack(packed),
        "pictures": pictures,
    }
    return {f"masks_{key}": value for key, value in arrays.items()}, said


def pooled_masks(members: list[tuple[Masks | None, int]]) -> Masks | None:
    """Join the masks of data sets, given with their numbers of test images, one after the other."""
    start, parts = 0, []
    for masks, number in members:
        if masks is not None:
            parts.append(replace(masks, rows=masks.rows + start))
        start += number
    if not parts:
        return None
    return Masks(*(np.concatenate([getattr(part, key) for part in parts]) for key in ("rows", "packed", "pictures")))


def _small(path: Path, size: NDArray[np.int64], crop: float) -> NDArray[np.bool_]:
    """A mask at its final size, true for anomalous pixels."""
    values = read_image(path, background=0)  # what isn't drawn is no defect
    values = values if values.ndim == 2 else values.max(axis=2)
    if values.shape != tuple(size[:2]):
        sizes = " and ".join(f"{width}x{height}" for height, width in (values.shape, size[:2]))
        raise UserError(f"{path} and its image have unlike sizes ({sizes}); make the mask as large as the image")
    highest = int(values.max())
    half = (1 << highest.bit_length()) // 2 - 1  # of the bits in use: 127 of 8, also where a file has 16
    anomalous = values > (0 if highest < _HALF else half)  # small ones are kinds, as VisA's
    kept = cropped(anomalous[None], crop)[0]
    down, across = (((np.arange(MASK_SIZE) + 0.5) * side / MASK_SIZE).astype(int) for side in kept.shape)
    small: NDArray[np.bool_] = kept[np.ix_(down, across)]
    return small


def _summary(raw: RawDataset, given: list[int], rows: list[int]) -> str:
    """What masks there are, and which are missing, in one line."""
    masked = _by_class(raw, rows)
    empty = _by_class(raw, sorted(set(given) - set(rows)))
    without = _by_class(raw, sorted(set(range(len(raw.test.labels))) - set(given)))
    number = sum(masked.values())
    said = f"{number:,} mask{'s say' if number != 1 else ' says'} where anomalies are"
    said += f" ({', '.join(masked)})" if masked else ""
    for what, there in (("without a mask", without), ("empty", empty)):
        if lacking := {label: count for label, count in there.items() if label in masked or label in empty}:
            said += f"; {what}: " + ", ".join(f"{count} of {label}" for label, count in lacking.items())
    trained = {raw.classes[label] for label in np.unique(raw.train.labels)}
    tested = _by_class(raw, range(len(raw.test.labels)))
    if none := [label for label in tested if label not in masked | empty and label not in trained]:
        said += f"; none of {', '.join(none)}"
    return said


def _by_class(raw: RawDataset, rows: Any) -> dict[str, int]:
    counts = Counter(raw.classes[raw.test.labels[row]] for row in rows)
    return {name: counts[name] for name in raw.classes if name in counts}
