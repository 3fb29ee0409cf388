"""ADBench's tables: published figures, as they stand in `adbench.csv`, and ours beside them.

- *unsupervised*: Han et al. 2022, *ADBench*, table D4; trained on 70 %, anomalies included.
- *semi*: Livernoche et al. 2024, *On diffusion modeling for anomaly detection*, table 1; trained on half of the normal
  rows, tested on the other half and all anomalies.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from fanogan_mtl.data.specs import Source, parse_source
from fanogan_mtl.pages.content import NONE, Fold, Row, Section, Table, Text, share
from fanogan_mtl.report.evidence import Evidence, Result

_NOTES = (
    "Published figures are ADBench's (Han et al. 2022, table D4: trained on 70 % of the rows, anomalies included) "
    "beside data sets that are contaminated, and those of Livernoche et al. 2024 (table 1: trained on half of the "
    "normal rows, tested on the other half and all anomalies) beside the others.",
    "ADBench's test rows are ours. We train on four fifths of its 70 %, since the rest validates, and standardise "
    "features where it scales them by minimum and maximum: OCSVM depends on that most. Tables under 1,000 rows it "
    "resamples to 1,000 before it splits, so that most tested rows are among those trained on; of tables over 10,000 "
    "rows it takes 10,000.",
    "Two of ADBench's columns come from older libraries. ECOD's is PyOD 0.9.8's, which left the right tail out. PCA's "
    "depends on the components' signs, which scikit-learn has chosen otherwise since version 1.5.",
)
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


def table_name(file: str) -> str:
    """A table's name, which is its file's without the number before it: `6_cardio` is `cardio`."""
    return re.sub(r"^[0-9]+_", "", file)


def published_detector(detector: str) -> str | None:
    """The publications' name of a detector; None for what they have not, as our `pca`, which is not PyOD's."""
    return detector.removeprefix("pyod:") if detector.startswith("pyod:") else _NAMES.get(detector)


def published_auroc(table: str, setting: str, detector: str | None) -> float | None:
    """One published AUROC in [0, 1]; None where there is none."""
    return adbench_figures().get((table.casefold(), setting, detector or ""))


@cache
def adbench_figures() -> dict[tuple[str, str, str], float]:
    """Every published AUROC in [0, 1], by table (in small letters), setting and detector.

    Exactly 50 % is what equal scores for all rows give: such runs failed, and are left out.
    """
    with (Path(__file__).parent / "adbench.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["dataset"].casefold(), row["setting"], row["detector"]): float(row["auroc"]) / 100
            for row in csv.DictReader(file)
            if row["auroc"] and float(row["auroc"]) != 50
        }


def adbench_sections(evidence: Evidence) -> list[Section]:
    """Set ours beside the published figures, a pair of rows per data set; no section where none has any."""
    results = [each for each in evidence.results if each.main and _source(each).kind == "adbench"]
    methods = tuple(dict.fromkeys(each.method for each in results))
    rows: list[Row] = []
    for dataset in dict.fromkeys(each.dataset for each in results):
        found = [evidence.get(method, dataset) for method in methods]
        figures = [_published(each) if each else None for each in found]
        if any(figure is not None for figure in figures):
            source = next(_source(each) for each in found if each)
            means = [each.summary() if each else None for each in found]
            ours = tuple(share(each.mean, each.std_over_seeds) if each else share(None) for each in means)
            rows += [
                (f"{dataset}: ours", ours),
                (f"{dataset}: published, {_setting(source)}", tuple(share(figure, absent=NONE) for figure in figures)),
            ]
    if not rows:
        return []
    caption = "AUROC in percent; ours is the mean over budgets."
    table = Table("ADBench: auroc", caption, ("", *methods), tuple(rows))
    notes = Fold("How these figures came about, and what differs", tuple(map(Text, _NOTES)))
    return [Section("Vectors: ours beside published figures", (table, notes), "adbench")]


def _source(result: Result) -> Source:
    return parse_source(result.comparison.dataset.sources[0])


def _setting(source: Source) -> str:
    return "unsupervised" if source.contaminated else "semi"


def _published(result: Result) -> float | None:
    source = _source(result)
    assert source.path is not None
    detector = published_detector(result.comparison.detector)
    return published_auroc(table_name(source.path.stem), _setting(source), detector)
