"""The folder of a served model: one head for each (data set, class).

`model.json` describes the heads; `heads/<position>/` holds each saved detector, and `extractors/<key>/` the extractors
on whose features heads score. No pickle anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.transforms import Preparation
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.calibration import Calibration
from fanogan_mtl.evaluation.conformal import conformal_threshold, p_values_among, rank_at
from fanogan_mtl.evaluation.metrics import ASKED
from fanogan_mtl.extractors.graphs.feature_graph import GraphExtractor
from fanogan_mtl.extractors.persistence import load_features
from fanogan_mtl.hybrid import load_scorer

if TYPE_CHECKING:
    from fanogan_mtl.extractors.base import Extractor

FORMAT = 2
DESCRIPTION = "model.json"


@dataclass(frozen=True)
class HeadSpec:
    """Where a head comes from, and how it reads images and scores.

    Attributes
    ----------
    name : str
        `<data set>/<class>`.
    detector : str
    seed, epochs : int
        The epochs are chosen by validation AUROC.
    preparation : Preparation or None
        How images become its data set's; None for heads of vectors.
    calibration : Calibration
    extractor : str or None
        Key of the extractor that makes its features.
    false_alarm_rate : float
        What its threshold promises, in (0, 1). Models of earlier versions, which have no held-out scores, promise
        nothing: their threshold is the detector's own.
    """

    name: str
    detector: str
    seed: int
    epochs: int
    preparation: Preparation | None
    calibration: Calibration
    extractor: str | None = None
    false_alarm_rate: float = ASKED


@dataclass(frozen=True)
class Head:
    """A loaded head: its detector scores rows (n, d) of pixels, of features or of a vector's numbers."""

    spec: HeadSpec
    detector: Any

    @cached_property
    def threshold(self) -> float:
        """Above it a score counts as an anomaly."""
        return self.threshold_at(self.spec.false_alarm_rate) if self.promises else float(self.detector.threshold_)

    @property
    def _unseen(self) -> NDArray[np.float64]:
        return self.spec.calibration.unseen

    @property
    def promises(self) -> bool:
        """Whether it has held-out scores, and so thresholds for any false-alarm rate, and p-values."""
        return bool(self.spec.calibration.normal_scores)

    def threshold_at(self, rate: float) -> float:
        """Give the threshold for a false-alarm rate.

        Raises
        ------
        ValueError
            In one line, for a rate outside of (0, 1), and one that its held-out scores can't promise.
        """
        if not self.promises:
            raise ValueError(
                f"head {self.spec.name}: registered by an earlier version, without held-out scores; register it anew"
            )
        try:
            return float(self._unseen[rank_at(len(self._unseen), rate) - 1])
        except ValueError as error:
            raise ValueError(f"head {self.spec.name}: {error}" if 0 < rate < 1 else str(error)) from None

    def map_threshold(self, rate: float | None = None) -> float | None:
        """Give the value above which a place of its map is marked, so that few normal images have a mark at all.

        Parameters
        ----------
        rate : float, optional
            The share of normal images that may have one, in (0, 1); by default what its threshold promises.

        Returns
        -------
        float or None
            None where its maps were not calibrated: those by occlusion, and those of models of earlier versions.
        """
        maxima = self.spec.calibration.map_maxima
        return conformal_threshold(maxima, self.spec.false_alarm_rate if rate is None else rate) if maxima else None

    def p_values(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conformal p-values of scores (n,); NaN without held-out scores."""
        if not self.promises:
            return np.full(len(scores), np.nan)
        return p_values_among(self._unseen, scores)


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes
    ----------
    heads : tuple of Head
    extractors : dict
        By key.
    """

    heads: tuple[Head, ...]
    extractors: Mapping[str, Extractor | GraphExtractor]

    @property
    def takes_images(self) -> bool:
        """Whether it scores images; vectors otherwise."""
        return self.heads[0].spec.preparation is not None


def write_model(folder: Path, specs: Sequence[HeadSpec]) -> None:
    """Write `model.json`; detectors and extractors are saved beside it, see `head_folder` and `bundled_extractor`."""
    content = {"format": FORMAT, "heads": [asdict(spec) for spec in specs]}
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def read_model(folder: Path) -> Model:
    """Load a model that `write_model` described.

    Raises
    ------
    UserError
        For a model of another format.
    """
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise UserError(f"the model has format {content.get('format', 1)}, this version reads {FORMAT}: log it anew")
    specs = [_spec(**head) for head in content["heads"]]
    heads = tuple(Head(spec, load_scorer(head_folder(folder, at))) for at, spec in enumerate(specs))
    keys = sorted({spec.extractor for spec in specs if spec.extractor})
    return Model(heads, {key: load_features(bundled_extractor(folder, key)) for key in keys})


def head_folder(folder: Path, position: int) -> Path:
    """Where the detector of the head at that position is."""
    return folder / "heads" / str(position)


def bundled_extractor(folder: Path, key: str) -> Path:
    """Where the extractor of that key is."""
    return folder / "extractors" / key


def _spec(preparation: dict[str, Any] | None, calibration: dict[str, Any], **others: Any) -> HeadSpec:
    prepared = Preparation(**preparation) if preparation else None
    for each in ("normal_scores", "fold_scores", "map_maxima"):
        calibration[each] = tuple(calibration.get(each, ()))
    return HeadSpec(preparation=prepared, calibration=Calibration(**calibration), **others)
