"""The study's tables hold its figures and ours, side by side, and say what was not run."""

import csv

import pytest
from made_evidence import made
from project_runs import ROOT

from fanogan_mtl.pages.content import NONE, NOT_RUN, Commands, Entry, Page, Table, best_marked, share
from fanogan_mtl.report.commands import gap_section, partial_run
from fanogan_mtl.report.evidence import evidence
from fanogan_mtl.report.published import published_figures
from fanogan_mtl.report.tables import REPORTED, rests_on, table_sections

FULL = [
    made(detector, dataset, quality)
    for dataset in ("handwritten", "optdigits", "streetdigits", "handwritten+optdigits+streetdigits")
    for detector, quality in (("fanogan", 1), ("vae", 0.5), ("pca", 2))
] + [made("fanogan", "handwritten", 3, extractor="resnet18")]


def tables_of(recorded: list[object]) -> dict[str, Table]:
    return {table.name: table for _, table in Page("", tuple(table_sections(evidence(recorded)))).tables()}


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
    mean = row_of(table, "handwritten: ours, mean over 2, 4 epochs")["fanogan"]
    assert mean.numbers == {"mean": result.summary().mean}
    detailed = tables_of(FULL)["Table 5.1: auroc on handwritten"]
    for budget in (2, 4):
        entry = row_of(detailed, f"handwritten: ours at {budget} epochs")["fanogan"]
        assert entry.numbers == {"mean": result.summary("auroc", [budget]).mean}
    assert row_of(detailed, "handwritten: 95 % interval at 4")["fanogan"].numbers["low"] == result.interval[0]


def test_a_metric_that_the_study_lacks_has_a_table_where_ours_were_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPORTED, "auprc", "Average precision")
    recorded = [made("fanogan", "handwritten")]
    sections = {section.title: section for section in table_sections(evidence(recorded))}
    folds = [
        block.title for block in sections["Table 5.1: detectors on single data sets"].blocks if hasattr(block, "title")
    ]
    assert "Precision, recall and auprc" in folds
    tables = tables_of(recorded)
    assert row_of(tables["Table 5.1: auprc"], "handwritten: ours, mean over 2, 4 epochs")["fanogan"].numbers
    assert "Table 5.2: auprc" not in tables  # nothing was run, and the study has none


def test_how_many_images_each_auroc_rests_on_is_told() -> None:
    lines = rests_on(evidence(FULL).results)
    assert any(line.startswith("handwritten: 6 normal and 54 anomalous images") for line in lines)
    detailed = tables_of(FULL)["Table 5.1: auroc on handwritten"]
    entry = row_of(detailed, "handwritten: normal + anomalous images tested")["vae"]
    assert entry.text == "6 + 54"
    assert (entry.numbers["n_normal_min"], entry.numbers["n_anomalies_max"]) == (6, 54)


def test_a_table_is_shown_turned_with_a_method_a_row() -> None:
    table = tables_of(FULL)["Table 5.1: auroc"]
    shown = table.shown()
    assert [name for name, _ in shown.rows] == list(table.columns[1:])
    assert shown.columns[1:] == tuple(name for name, _ in table.rows)
    assert row_of(shown, "vae")["mnist: the study"] == row_of(table, "mnist: the study")["vae"]


def test_the_best_of_a_row_is_marked_and_baselines_are_always_there() -> None:
    table = tables_of(FULL)["Table 5.1: auroc"]
    ours = row_of(table, "handwritten: ours, mean over 2, 4 epochs")
    assert [name for name, entry in ours.items() if entry.best] == ["pca"]
    assert [name for name, entry in row_of(table, "svhn: the study").items() if entry.best] == ["fanogan"]
    assert ours["deep_svdd"].text == ours["dagmm"].text == NONE  # said in one line, not here
    some = [*FULL, made("knn", "handwritten", 2)]
    assert row_of(tables_of(some)["Table 5.1: auroc"], "optdigits: ours, mean over 2, 4 epochs")["knn"].text == NOT_RUN


def test_one_entry_alone_is_no_best_and_equal_ones_all_are() -> None:
    assert not any(entry.best for entry in best_marked([share(0.5), share(None)]))
    marked = best_marked([share(0.70001), share(0.70003), share(0.6)])
    assert [entry.best for entry in marked] == [True, True, False]


def test_what_was_not_run_says_so_with_the_command() -> None:
    only = [made("fanogan", "optdigits", classes=("0", "1"), limit=9)]
    (section,) = gap_section(evidence(only))
    lines = [line for block in section.blocks if isinstance(block, Commands) for line in block.lines]
    wanted = "-P detectors=vae,deep_svdd,dagmm,pca,knn,iforest -P epochs=2,4 -P seeds=0 -P limit=9"
    assert any(f"mlflow run . -e benchmark -P dataset=optdigits {wanted}" in line for line in lines)
    assert any("extractors=resnet18,resnet18_imagenet,resnet50,lenet5,pca" in line for line in lines)
    assert len(lines) == 2
    said = partial_run(evidence(only))
    assert said.startswith(
        "A partial run: optdigits has 2 of 4 classes; the detectors vae, deep_svdd, dagmm, pca, knn and ifo"
    )
    assert "the extractors resnet18, resnet18_imagenet, resnet50, lenet5 and pca were not run" in said
    assert said.count(".") == 1
    (section,) = gap_section(evidence([*only, made("fanogan", "optdigits", extractor="pca", classes=("0",), limit=9)]))
    assert "-P extractors=pca -P protocol=unseen-class,unseen-domain -P" in str(section.blocks)
    table = tables_of(only)["Table 5.1: auroc"]
    assert not [name for name, _ in table.rows if name.startswith("mnist: ours")]
    assert row_of(table, "mnist: the study")["fanogan"].text == "79.7 ± 0.8"


def test_own_images_have_no_figure_of_the_study_beside_them() -> None:
    table = tables_of([made("fanogan", "parts=npz:parts.npz")])["Table 5.1: auroc"]
    names = [name for name, _ in table.rows]
    assert "parts: ours, mean over 2, 4 epochs" in names
    assert [name for name in names if "study" in name] == ["mnist: the study", "svhn: the study", "usps: the study"]
