"""Published figures on ADBench's tables, as they stand in `adbench.csv`.

- *unsupervised*: Han et al. 2022, *ADBench*, table D4; trained on 70 %, anomalies included.
- *semi*: Livernoche et al. 2024, *On diffusion modeling for anomaly detection*, table 1; trained on half of the normal
  rows, tested on the other half and all anomalies.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

SETTINGS = ("unsupervised", "semi")
_NAMES = {  # ours to the publications'
    "dagmm": "DAGMM",
    "deep_svdd": "DeepSVDD",
    "ecod": "ECOD",
    "iforest": "IForest",
    "knn": "KNN",
    "lof": "LOF",
    "ocsvm": "OCSVM",
    "vae": "VAE",
}


def table_name(dataset: str) -> str:
    """A table's name without the number that ADBench's files have before it: `6_cardio` is `cardio`."""
    return re.sub(r"^[0-9]+_", "", dataset)


def published_detector(detector: str) -> str | None:
    """The publications' name of a detector; None for what they have not, as our `pca`, which is not PyOD's."""
    return detector.removeprefix("pyod:") if detector.startswith("pyod:") else _NAMES.get(detector)


def published_auroc(table: str, setting: str, detector: str | None) -> float | None:
    """One published AUROC in [0, 1]; None where there is none."""
    return published_figures().get((table.casefold(), setting, detector or ""))


@cache
def published_figures() -> dict[tuple[str, str, str], float]:
    """Every published AUROC in [0, 1], by table (in small letters), setting and detector.

    Exactly 50 % is what equal scores for all rows give: such runs failed, and are left out.
    """
    with (Path(__file__).parent / "adbench.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["dataset"].casefold(), row["setting"], row["detector"]): float(row["auroc"]) / 100
            for row in csv.DictReader(file)
            if row["auroc"] and float(row["auroc"]) != 50
        }
