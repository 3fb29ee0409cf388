import html
import time

import html5lib
import plotly.graph_objects as go
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import chromium

from fanogan_mtl.pages import render as kit
from fanogan_mtl.pages.content import (
    Answer,
    Beside,
    Card,
    Chart,
    Commands,
    Entry,
    Fold,
    Gallery,
    Items,
    Page,
    Picture,
    Section,
    Table,
    Text,
    plain_table,
)
from fanogan_mtl.pages.render import OLD_BROWSER, render, write_page

EVIL = "</script><script>document.title = 'broken out'</script>"


def figure(name="line"):
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=name), layout={"height": 300, "showlegend": True})


def chart(name="line", label="h"):
    return Chart(figure(name), label)


def page_of(*blocks, title="t", heading="h"):
    return render(Page(title, (Section(heading, blocks),)))


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, tmp_path):
    """Open HTML with the network off; the page must not complain or ask for anything."""
    contexts = []

    def open_page(text, width=1000, script=None):
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        context = browser.new_context(offline=True, viewport={"width": width, "height": 800})
        contexts.append(context)
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url[:60]))
        if script:
            page.add_init_script(script)
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def wait_until_drawn(frame, figures):
    frame.wait_for_function(f"document.querySelectorAll('.figure .legend').length == {figures}", timeout=800_000)


def test_plotly_is_stored_once_and_nothing_is_fetched_from_elsewhere():
    one, three = (page_of(*[chart()] * n) for n in (1, 3))
    assert len(one) < 2_200_000
    assert len(three) - len(one) < 20_000
    assert "src=" not in one
    assert "href=" not in one


def test_page_without_figures_has_no_plotly():
    page = page_of(plain_table("t", "c", [["a", "b"], ["x", "1"]]))
    assert len(page) < 8_000
    assert "<td>1</td>" in page


def test_page_is_the_same_bytes_at_any_time(monkeypatch):
    first = page_of(chart())
    kit.compressed_plotly.cache_clear()
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert page_of(chart()) == first


def test_figures_are_drawn_without_network(opened):
    page = opened(page_of(chart(label="First"), chart(label="Second")))
    wait_until_drawn(page, 2)
    assert page.errors == []
    assert len(page.requests) == 1
    assert page.locator("[role=figure]").first.get_attribute("aria-label") == "First"


def test_figures_are_drawn_in_a_sandboxed_frame(opened):
    text = html.escape(page_of(chart()))
    page = opened(f'<iframe sandbox="allow-scripts" srcdoc="{text}"></iframe>')
    wait_until_drawn(page.frames[-1], 1)
    assert page.errors == []


def test_text_can_not_break_out_of_its_place(opened):
    page = opened(page_of(Text(EVIL), chart(EVIL, EVIL), title=EVIL, heading=EVIL))
    wait_until_drawn(page, 1)
    assert page.title() == EVIL
    assert page.locator("h2").inner_text() == EVIL


def test_page_fits_a_telephone_and_the_width_of_paper(opened):
    wide_table = plain_table("wide", "c", [["a"] * 13, ["99.9 ± 0.4"] * 13])
    page = opened(page_of(chart(), wide_table, title="T" * 80), width=390)
    wait_until_drawn(page, 1)
    width = "document.querySelector('.figure .main-svg').getAttribute('width') * 1"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert 340 < page.evaluate(width) <= 390
    assert page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {width})") == 680
    assert page.evaluate(f"(dispatchEvent(new Event('afterprint')), {width})") <= 390


def test_old_browser_gets_one_line(opened):
    page = opened(page_of(chart()), script="delete globalThis.DecompressionStream")
    assert page.get_by_text(OLD_BROWSER).is_visible()
    assert page.errors == []


def test_a_folded_figure_is_drawn_at_its_full_width_when_it_is_opened(opened):
    page = opened(page_of(chart(), Fold("more", (chart(),))))
    wait_until_drawn(page, 1)
    page.locator("summary").click()
    wait_until_drawn(page, 2)
    widths = "[...document.querySelectorAll('.figure .main-svg:first-child')].map(each => each.getAttribute('width'))"
    first, folded = page.evaluate(widths)
    assert first == folded
    assert page.errors == []


def test_tables_have_a_caption_and_scopes_and_turn(opened):
    table = Table("t", "what it is", ("method", "a", "b"), (("x", (Entry("1"), Entry("2", best=True))),))
    turned = Table("u", "turned", table.columns, table.rows, turned=True)
    page = opened(page_of(table, turned))
    tables = page.locator("table")
    assert tables.locator("caption").all_inner_texts() == ["what it is", "turned"]
    assert tables.nth(0).locator("th[scope=col]").all_inner_texts() == ["method", "a", "b"]
    assert tables.nth(1).locator("th[scope=col]").all_inner_texts() == ["method", "x"]
    assert tables.nth(1).locator("th[scope=row]").all_inner_texts() == ["a", "b"]
    assert tables.nth(1).locator("td").all_inner_texts() == ["1", "2 ★"]


@pytest.mark.parametrize("width", [400, 1200])
def test_every_kind_of_block_is_valid_html_that_all_can_read(opened, width):
    table = plain_table("t", "what it is", [["a", "b"], ["x", "1"]])
    picture = Picture("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "a nut")
    cards = (Card((picture, picture), "nut.png", {"score": "1.5"}, stands_out=True), Card((), "gone.png"))
    answer = Answer("Which is best?", "pca", "Its lead is supported.", "Others say so, too.", "more")
    blocks = (
        Text("plain"), Text("careful", "note"), Items(("one", "two")), Commands("Type:", ("mlflow run .",)), table,
        Gallery((("small", cards),), small=True), Gallery((("", cards), ("none", ()))),
        Fold("more", (Text("in it"), Chart(figure(), "numbers", plain_table("n", "of it", [["a", "b"], ["x", "1"]])))),
    )  # fmt: skip
    text = render(Page("t", (Section("More", blocks, "more"),), (Beside((chart(),), (answer,)),)))
    html5lib.HTMLParser(strict=True).parse(text)
    page = opened(text, width)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    wait_until_drawn(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    violations = Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []


def test_cards_have_their_pictures_facts_and_edge(opened):
    picture = Picture("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "a nut")
    cards = (Card((picture,), "nut.png", {"score": "1.5"}, stands_out=True), Card((), "gone.png"))
    page = opened(page_of(Gallery((("first", cards), ("second", ())))))
    assert page.locator("figure img").get_attribute("alt") == "a nut"
    assert page.locator("figure.stands-out figcaption").inner_text().split() == ["nut.png", "score", "1.5"]
    assert page.locator("figure").nth(1).inner_text().split() == ["no", "picture", "gone.png"]


def test_what_cannot_be_made_says_so_in_its_place_and_leaves_the_rest(tmp_path):
    def sections():
        yield Section("one", (chart(),))
        raise ValueError("no <rows>")

    (file,) = write_page(tmp_path / "page.html", "a page", sections)
    text = file.read_text()
    assert text.count('<div class="figure"') == 1
    assert "This can&#39;t be shown (ValueError: no &lt;rows&gt;)." in text
