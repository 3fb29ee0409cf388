"""The page opens from a file, asks for nothing, can be read by all, and shows no number that isn't in its tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import html5lib
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import chromium
from made_evidence import made
from playwright.sync_api import Browser
from playwright.sync_api import Page as Opened

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.pages.content import NOT_RUN, Answer, Chart, Fold, Gallery, Page, Text
from fanogan_mtl.pages.render import render
from fanogan_mtl.report.compose import Material, compose
from fanogan_mtl.report.evidence import Recorded, evidence
from fanogan_mtl.report.export import write_numbers
from fanogan_mtl.report.provenance import Origin

EVIL = "</script><script>document.title = 'broken out'</script>"


def composed(recorded: list[Recorded], data_dir: Path, shown: str = "optdigits") -> Page:
    (spec,) = parse_datasets(shown)
    found = evidence(recorded)
    datasets = {name: (spec, load_dataset(spec, data_dir) if name == shown else None) for name in found.datasets}
    origin = Origin("a run", f"mlflow run . -e benchmark -P dataset={EVIL}", {"commit": "abc", "seeds": "0"})
    return compose(found, Material(datasets, [], [origin], data_dir))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    sets = ("optdigits", "handwritten", "optdigits+handwritten")
    recorded = [
        made(name, data, quality) for data in sets for name, quality in (("fanogan", 1), ("vae", 2), ("pca", 3))
    ]
    recorded += [made("fanogan", data, 3, extractor=extractor) for data in sets for extractor in ("resnet18", "pca")]
    recorded += [made("fanogan", data, 2, extractor="resnet18", protocol="unseen-class") for data in sets[:2]]
    return composed([*recorded, made("knn", "optdigits", 1, limit=7)], tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return composed([made("vae", "optdigits", classes=("3", "8"))], tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_the_first_figure_says_over_which_budgets_it_is_a_mean(full: Page) -> None:
    budgets = made("pca", "optdigits", 1).comparison.budgets
    assert len(budgets) > 1
    title = f"Mean AUROC (%) over {' and '.join(map(str, budgets))} epochs"
    assert title in render(full).replace("\\u003cbr\\u003e", " ")


@pytest.mark.parametrize("name", ["full", "partial"])
def test_the_page_is_valid_html_and_no_text_breaks_out(name: str, request: pytest.FixtureRequest) -> None:
    page = render(request.getfixturevalue(name))
    html5lib.HTMLParser(strict=True).parse(page)
    assert "broken out" in page
    assert EVIL not in page
    assert page.count('id="plotly"') == 1


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("name", ["full", "partial"])
def test_in_a_browser(name: str, width: int, browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(name)
    (tmp_path / "report.html").write_text(render(report), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda sent: asked.append(sent.url) if not sent.url.startswith("data:") else None)
    page.goto((tmp_path / "report.html").as_uri())
    charts = sum(isinstance(block, Chart) for _, block in report.blocks())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    drawn = "document.querySelectorAll('.figure .main-svg').length >= document.querySelectorAll('.figure').length"
    page.wait_for_function(drawn, timeout=800_000)
    assert page.locator(".figure").count() == charts > 0
    assert _empty_figures(page) == []
    assert page.title() == report.title
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _running_out(page) == []
    violations = Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []
    assert (complaints, asked) == ([], [(tmp_path / "report.html").as_uri()])
    context.close()


def _empty_figures(page: Opened) -> list[str]:
    """Titles of figures with a trace that has no point, or without any trace."""
    titles: list[str] = page.evaluate(
        """[...document.querySelectorAll('.figure')].filter(place => {
             const traces = place.data.filter(trace => trace.showlegend === undefined || trace.x?.[0] !== null);
             const values = trace => trace.source || trace.z || trace.y || trace.x || [];
             return !traces.length || traces.some(trace => !(values(trace).length || values(trace).bdata?.length));
           }).map(place => place.getAttribute('aria-label'))"""
    )
    return titles


def _running_out(page: Opened) -> list[str]:
    """Captions of tables that are wider than the window and don't scroll in a box within it."""
    captions: list[str] = page.evaluate(
        """[...document.querySelectorAll('table')].filter(table => {
             const box = table.parentElement, edge = box.getBoundingClientRect().right;
             const scrolls = getComputedStyle(box).overflowX === 'auto' && box.tabIndex === 0;
             return edge > innerWidth || (table.scrollWidth > box.clientWidth && !scrolls);
           }).map(table => table.caption.textContent)"""
    )
    return captions


def test_the_first_screen_is_the_figure_with_the_answers_beside_it(
    full: Page, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(render(full), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto((tmp_path / "report.html").as_uri())
    figure = page.locator(".figure").first.bounding_box()
    answers = [each.bounding_box() for each in page.locator(".answer").all()]
    assert figure is not None
    assert len(answers) == 5
    for each in answers:
        assert each is not None
        assert each["x"] > figure["x"] + figure["width"]
        assert each["y"] + each["height"] < 900
    assert page.evaluate("document.documentElement.scrollHeight") < 12_000
    page.close()


def test_a_partial_sweep_has_no_empty_table_no_nan_and_no_claim(partial: Page) -> None:
    tables = [table for _, table in partial.tables()]
    assert all(
        table.rows and all(len(entries) == len(table.columns) - 1 for _, entries in table.rows) for table in tables
    )
    text = render(partial).split('<script type="text/plain"')[0].lower()
    assert ">nan" not in text
    assert " nan " not in text
    answers = [block for _, block in partial.blocks() if isinstance(block, Answer)]
    assert len(answers) == 5
    assert all(answer.verdict == "Not answered" for answer in answers)
    said = [block.text for block in partial.opening if isinstance(block, Text) and "partial run" in block.text]
    assert len(said) == 1
    assert "optdigits has 2 of 4 classes" in said[0]
    assert not any(entry.text == NOT_RUN for table in tables for _, entries in table.rows for entry in entries)
    assert not any(section.anchor.startswith("rq") for section in partial.sections)  # nothing but the answer is known
    assert "is supported" not in text.replace("not supported", "")


def test_every_number_of_every_table_is_in_the_files(full: Page, tmp_path: Path) -> None:
    as_csv, as_parquet = write_numbers(full, tmp_path)
    numbers = pd.read_csv(as_csv)
    pd.testing.assert_frame_equal(numbers, pd.read_parquet(as_parquet), check_dtype=False)
    expected = [
        (table.name, name, column, statistic, value)
        for _, table in full.tables()
        for name, entries in table.rows
        for column, entry in zip(table.columns[1:], entries, strict=True)
        for statistic, value in entry.numbers.items()
    ]
    found = numbers[["table", "row", "column", "statistic", "value"]].itertuples(index=False)
    assert [tuple(row) for row in found] == expected
    assert numbers["value"].notna().all()
    names = [table.name for _, table in full.tables()]
    assert len(set(names)) == len(names)


def test_what_a_table_shows_is_what_it_holds(full: Page) -> None:
    for _, table in full.tables():
        for _, entries in table.rows:
            for entry in entries:
                if set(entry.numbers) <= {"mean", "std"} and entry.numbers:
                    assert entry.text.split(" ")[0] == f"{100 * entry.numbers['mean']:.1f}"


def test_mistakes_are_the_most_confident_ones(full: Page) -> None:
    (section,) = [each for each in full.sections if each.anchor == "mistakes"]
    folds = [block for _, block in Page("", (section,)).blocks() if isinstance(block, Fold)]
    shown = {fold.title: each.rows for fold in folds for each in fold.blocks if isinstance(each, Gallery)}
    assert set(shown) == {name for name in shown if "optdigits" in name and "pooled" not in name}
    recorded = made("vae", "optdigits", 2)
    cell = recorded.cells[0]
    threshold = cell.result.metrics[4]["threshold"]
    scores = cell.result.scores[-1]
    lowest = sorted(scores[cell.result.anomaly & (scores <= threshold)])[:3]
    captions = [card.caption for card in dict(shown["vae on optdigits"])["0 is normal"]]
    missed = [caption for caption in captions if caption.startswith("missed")]
    assert [caption.split(", ")[1] for caption in missed] == [f"{score / threshold:.2f} ×" for score in lowest]


def test_false_alarms_that_came_stand_beside_those_that_were_asked_for(full: Page) -> None:
    tables = {table.name: table for _, table in full.tables()}
    (row,) = [entries for name, entries in tables["promises"].rows if name == "vae on optdigits"]
    heads = {cell.normal_class: cell.result.of_normal for cell in made("vae", "optdigits", 2).cells if cell.seed == 0}
    assert row[0].text == "–"  # 60 held-out rows promise 1.7 % at best
    for entry, rate in zip(row[1:], (0.05, 0.1), strict=True):
        assert entry.numbers["mean"] == pytest.approx(np.mean([each.realised(rate) for each in heads.values() if each]))
    outside = {name: entries[0].numbers["mean"] for name, entries in tables["outside"].rows}
    assert list(outside.values()) == sorted(outside.values(), reverse=True)
    for normal_class, each in heads.items():
        name = f"vae on optdigits, {normal_class} is normal, 10 % asked for"
        if name in outside:
            assert each is not None
            assert each.is_outside(0.1)
            assert outside[name] == each.realised(0.1)


def test_a_part_that_cannot_be_made_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no costs")

    monkeypatch.setattr("fanogan_mtl.report.compose.cost_section", fail)
    monkeypatch.setattr("fanogan_mtl.figures.auroc_by_epochs_data", fail)
    report = composed([made("vae", "optdigits", classes=("3", "8"))], tmp_path)
    (costs,) = [section for section in report.sections if section.anchor == "costs"]
    assert costs.blocks == (Text("This can't be shown (ZeroDivisionError: no costs).", "note"),)
    assert "vae by epochs" in {table.name for _, table in report.tables()}
    assert "ZeroDivisionError" in render(report)
