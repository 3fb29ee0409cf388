"""The folder of a served model: one head for each (data set, class), and the preparation of the images.

`model.json` names the heads and the preparation; `heads/<position>/` holds each saved detector, and
`extractors/<key>/` the extractors on whose features heads score. No pickle anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors.persistence import load_detector
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.hybrid import is_hybrid, load_hybrid


@dataclass(frozen=True)
class HeadSpec:
    """Where a head comes from.

    Attributes
    ----------
    name : str
        `<data set>/<class>`.
    detector : str
    seed, epochs : int
        Chosen by validation AUROC.
    extractor : str or None
        Key of the extractor that makes its features.
    """

    name: str
    detector: str
    seed: int
    epochs: int
    extractor: str | None = None


@dataclass(frozen=True)
class Model:
    """A loaded model: detectors in the order of their specs, extractors by key, and how images are prepared for all."""

    specs: tuple[HeadSpec, ...]
    detectors: tuple[Any, ...]
    extractors: dict[str, Extractor]
    preparation: Preparation | None


def write_model(folder: Path, specs: Sequence[HeadSpec], preparation: Preparation | None) -> None:
    """Write `model.json`; the detectors are saved beside it in the folders that `head_folder` gives."""
    content = {
        "heads": [asdict(spec) for spec in specs],
        "preparation": asdict(preparation) if preparation else None,
    }
    (folder / "model.json").write_text(json.dumps(content, indent=1))


def read_model(folder: Path) -> Model:
    """Load a model that `write_model` described."""
    content = json.loads((folder / "model.json").read_text())
    specs = tuple(HeadSpec(**head) for head in content["heads"])
    heads = [head_folder(folder, position) for position in range(len(specs))]
    detectors = tuple(load_hybrid(head) if is_hybrid(head) else load_detector(head) for head in heads)
    keys = sorted({spec.extractor for spec in specs if spec.extractor})
    extractors = {key: load_extractor(extractor_folder(folder, key)) for key in keys}
    preparation = Preparation(**content["preparation"]) if content["preparation"] else None
    return Model(specs, detectors, extractors, preparation)


def head_folder(folder: Path, position: int) -> Path:
    """Where the detector of the head at that position is."""
    return folder / "heads" / str(position)


def extractor_folder(folder: Path, key: str) -> Path:
    """Where the extractor of that key is."""
    return folder / "extractors" / key


def score(model: Model, images: NDArray[np.uint8]) -> Iterator[tuple[HeadSpec, NDArray[np.float64], float]]:
    """Score images (n, height, width[, 3]), uint8, or vectors, prepared as in training.

    Yields
    ------
    head, scores of shape (n,), threshold
    """
    prepared = prepare(images, model.preparation) if model.preparation else images
    rows: dict[str | None, NDArray[np.float32]] = {}
    for spec, detector in zip(model.specs, model.detectors, strict=True):
        if spec.extractor not in rows:
            rows[spec.extractor] = _rows(model, spec.extractor, images, prepared)
        yield spec, detector.decision_function(rows[spec.extractor]), float(detector.threshold_)


def _rows(
    model: Model, extractor: str | None, images: NDArray[np.uint8], prepared: NDArray[np.uint8]
) -> NDArray[np.float32]:
    if extractor is None:
        return pixel_rows(prepared)
    wanted = model.extractors[extractor].input_spec
    given = prepare(images, Preparation(wanted.image_size, wanted.colour)) if wanted.original else prepared
    features: NDArray[np.float32] = model.extractors[extractor].transform(given)
    return features
