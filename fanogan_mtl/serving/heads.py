"""The folder of a served model: one head for each (data set, class), and the preparation of the images.

`model.json` names the heads and the preparation; `heads/<position>/` holds each saved detector. No pickle anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors.persistence import load_detector


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
    """

    name: str
    detector: str
    seed: int
    epochs: int


@dataclass(frozen=True)
class Model:
    """A loaded model: detectors in the order of their specs, and how images are prepared for all of them."""

    specs: tuple[HeadSpec, ...]
    detectors: tuple[Any, ...]
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
    detectors = tuple(load_detector(head_folder(folder, position)) for position in range(len(specs)))
    preparation = Preparation(**content["preparation"]) if content["preparation"] else None
    return Model(specs, detectors, preparation)


def head_folder(folder: Path, position: int) -> Path:
    """Where the detector of the head at that position is."""
    return folder / "heads" / str(position)


def prepared_rows(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Prepare images (n, height, width[, 3]), uint8, as in training: rows (n, features) in [0, 1]."""
    return pixel_rows(prepare(images, model.preparation) if model.preparation else images)
