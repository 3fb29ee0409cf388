"""The study's tables hold its figures and ours, side by side, and say what was not run."""

import csv

import pytest
from fanogan_mtl.report.content import NOT_RUN, Commands, Entry, Table, Text, best_marked, share
from made_evidence import made
from project_runs import ROOT

from fanogan_mtl.report.evidence import evidence
from fanogan_mtl.report.published import published_figures
from fanogan_mtl.report.tables import table_sections

FULL = [
    made(detector, dataset, quality)
    for dataset in ("handwritten", "optdigits", "streetdigits", "handwritten+optdigits+streetdigits")
    for detector, quality in (("fanogan", 1), ("vae", 0.5), ("pca", 2))
] + [made("fanogan", "handwritten", 3, extractor="resnet18")]


def tables_of(recorded: list[object]) -> dict[str, Table]:
    sections = table_sections(evidence(recorded))
    return {block.name: block for section in sections for block in section.blocks if isinstance(block, Table)}


def row_of(table: Table, name: str) -> dict[str, Entry]:
    return dict(zip(table.columns[1:], dict(table.rows)[name], strict=True))


def test_every_figure_of_the_study_is_in_a_table() -> None:
    shown = {entry.text for table in tables_of(FULL).values() for name, entries in table.rows if "study" in name
             for entry in entries}  # fmt: skip
    with (ROOT / "fanogan_mtl" / "report" / "paper.csv").open() as file:
        for row in csv.DictReader(file):
            for column in ("auc", "precision", "recall"):
                if row[column]:
                    std = float(row[f"{column}_std"]) / 100 if row[f"{column}_std"] else None
                    assert share(float(row[column]) / 100, std).text in shown, row
    assert published_figures()["5.1", "f-AnoGAN", "mnist", "auroc"].mean == pytest.approx(0.7967)


def test_ours_stand_beside_the_study_as_mean_over_budgets_and_at_each() -> None:
    found = evidence(FULL)
    table = tables_of(FULL)["Table 5.1: auroc"]
    assert row_of(table, "mnist: the study")["fanogan"].text == "79.7 ± 0.8"
    result = found.get("fanogan", "handwritten")
    assert result is not None
    for name, expected in {
        "handwritten: ours, mean over 2, 4 epochs": result.summary().mean,
        "handwritten: ours at 2 epochs": result.summary("auroc", [2]).mean,
        "handwritten: ours at 4 epochs": result.summary("auroc", [4]).mean,
    }.items():
        assert row_of(table, name)["fanogan"].numbers == {"mean": expected}
    assert row_of(table, "handwritten: 95 % interval at 4")["fanogan"].numbers["low"] == result.interval[0]


def test_how_many_images_each_auroc_rests_on_is_told() -> None:
    sections = {section.anchor: section for section in table_sections(evidence(FULL))}
    (text,) = [block.text for block in sections["table-5-3"].blocks if isinstance(block, Text) and "Ours" in block.text]
    rests = "Each AUROC rests on: handwritten, 6 normal and 54 anomalous images"
    assert rests in text
    entry = row_of(tables_of(FULL)["Table 5.1: auroc"], "handwritten: normal + anomalous images tested")["vae"]
    assert entry.text == "6 + 54"
    assert (entry.numbers["n_normal_min"], entry.numbers["n_anomalies_max"]) == (6, 54)


def test_the_best_of_a_row_is_marked_and_baselines_are_always_there() -> None:
    table = tables_of(FULL)["Table 5.1: auroc"]
    ours = row_of(table, "handwritten: ours, mean over 2, 4 epochs")
    assert [name for name, entry in ours.items() if entry.best] == ["pca"]
    assert [name for name, entry in row_of(table, "svhn: the study").items() if entry.best] == ["fanogan"]
    for name in ("deep_svdd", "dagmm", "knn", "iforest"):
        assert ours[name].text == NOT_RUN


def test_one_entry_alone_is_no_best_and_equal_ones_all_are() -> None:
    assert not any(entry.best for entry in best_marked([share(0.5), share(None)]))
    marked = best_marked([share(0.70001), share(0.70003), share(0.6)])
    assert [entry.best for entry in marked] == [True, True, False]


def test_what_was_not_run_says_so_with_the_command() -> None:
    only = [made("fanogan", "optdigits", classes=("0", "1"), limit=9)]
    sections = table_sections(evidence(only))
    commands = [block for section in sections for block in section.blocks if isinstance(block, Commands)]
    lines = [line for block in commands for line in block.lines]
    wanted = "-P detectors=vae,deep_svdd,dagmm,pca,knn,iforest -P epochs=2,4 -P seeds=0 -P limit=9"
    assert any(f"mlflow run . -e benchmark -P dataset=optdigits {wanted}" in line for line in lines)
    assert any("extractors=resnet18,resnet18_imagenet,resnet50,lenet5" in line for line in lines)
    texts = [block.text for section in sections for block in section.blocks if isinstance(block, Text)]
    assert any("A partial run: fanogan on optdigits has 2 of 4 classes" in text for text in texts)
    table = tables_of(only)["Table 5.1: auroc"]
    assert row_of(table, "mnist: ours")["fanogan"].text == NOT_RUN
    assert row_of(table, "mnist: the study")["fanogan"].text == "79.7 ± 0.8"


def test_own_images_have_no_figure_of_the_study_beside_them() -> None:
    table = tables_of([made("fanogan", "parts=npz:parts.npz")])["Table 5.1: auroc"]
    names = [name for name, _ in table.rows]
    assert "parts: ours at 4 epochs" in names
    assert [name for name in names if "study" in name] == ["mnist: the study", "svhn: the study", "usps: the study"]
