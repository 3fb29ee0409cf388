"""Published figures on ADBench's tables, and ours beside them."""

import csv
from collections import Counter

import pytest
from made_evidence import made
from project_runs import ROOT

from fanogan_mtl.pages.content import NONE, NOT_RUN, Entry, Table
from fanogan_mtl.report.adbench import adbench_sections, published_auroc, published_detector, table_name
from fanogan_mtl.report.evidence import Recorded, evidence


def rows_of_file() -> list[dict[str, str]]:
    with (ROOT / "fanogan_mtl" / "report" / "adbench.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_detector_has_57_tables_and_figures_are_percentages() -> None:
    rows = rows_of_file()
    counts = Counter((row["setting"], row["detector"]) for row in rows)
    assert set(counts.values()) == {57}
    assert Counter(setting for setting, _ in counts) == {"unsupervised": 14, "semi": 26}
    assert len({(row["dataset"], row["setting"], row["detector"]) for row in rows}) == len(rows)
    assert {row["setting"]: row["source"][:11] for row in rows} == {
        "unsupervised": "Han et al. ",
        "semi": "Livernoche ",
    }
    assert all(0 < float(row["auroc"]) <= 100 for row in rows if row["auroc"])
    absent = {row["detector"] for row in rows if not row["auroc"]}
    assert absent == {"DAGMM"}


@pytest.mark.parametrize(
    ("table", "setting", "detector", "auroc"),
    [
        ("cardio", "unsupervised", "knn", 0.7664),
        ("CARDIO", "unsupervised", "pyod:KNN", 0.7664),
        ("landsat", "unsupervised", "ecod", 0.5661),
        ("annthyroid", "semi", "knn", 0.9281),
        ("breastw", "unsupervised", "dagmm", None),  # not given
        ("backdoor", "semi", "ecod", None),  # exactly 50: a run that failed
        ("cardio", "unsupervised", "pca", None),  # PyOD's is another
        ("cardio", "unsupervised", "fanogan", None),
        ("mine", "semi", "knn", None),
    ],
)
def test_a_published_figure_is_found_by_our_name(table: str, setting: str, detector: str, auroc: float | None) -> None:
    assert published_auroc(table, setting, published_detector(detector)) == (auroc and pytest.approx(auroc))


def test_a_table_is_called_as_its_file_without_the_number() -> None:
    assert [table_name(name) for name in ("6_cardio", "31_satimage-2", "cardio", "7up")] == [
        "cardio", "satimage-2", "cardio", "7up",
    ]  # fmt: skip


def vectors(dataset: str, *detectors: str) -> list[Recorded]:
    return [made(detector, dataset, n_classes=1, classes=("0",)) for detector in detectors]


def test_ours_stand_beside_the_published_figure_of_their_setting() -> None:
    recorded = [
        *vectors("mine=adbench:/data/6_cardio.npz?contaminated&unique", "knn", "fanogan"),
        *vectors("adbench:6_cardio.npz", "knn"),
    ]
    found = evidence(recorded)
    (section,) = adbench_sections(found)
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    shown = {name: dict(zip(table.columns[1:], entries, strict=True)) for name, entries in table.rows}
    ours = found.get("knn", "mine")
    assert ours is not None
    assert shown["mine: ours"]["knn"].numbers == {"mean": ours.summary().mean}
    assert texts(shown["mine: published, unsupervised"]) == {"fanogan": NONE, "knn": "76.6"}
    assert texts(shown["6_cardio: published, semi"]) == {"fanogan": NONE, "knn": "92.0"}
    assert shown["6_cardio: ours"]["fanogan"].text == NOT_RUN


def texts(row: dict[str, Entry]) -> dict[str, str]:
    return {name: entry.text for name, entry in row.items()}


def test_without_a_published_figure_there_is_no_section() -> None:
    assert adbench_sections(evidence([*vectors("adbench:own.npz", "knn"), made("knn", "handwritten")])) == []
    assert adbench_sections(evidence([])) == []
