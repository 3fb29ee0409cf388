import html
import time

import plotly.graph_objects as go
import pytest
from browsing import chromium
from fanogan_mtl.page import OLD_BROWSER, html_page

from fanogan_mtl import page as page_module

EVIL = "</script><script>document.title = 'broken out'</script>"


def figure(name="line"):
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=name), layout={"height": 300, "showlegend": True})


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
    one, three = (html_page("t", [("h", "p", figure())] * n) for n in (1, 3))
    assert len(one) < 2_200_000
    assert len(three) - len(one) < 20_000
    assert "src=" not in one
    assert "href=" not in one


def test_page_without_figures_has_no_plotly():
    page = html_page("t", [("h", "p", "<table><tr><td>1</td></tr></table>")])
    assert len(page) < 5_000
    assert "<td>1</td>" in page


def test_page_is_the_same_bytes_at_any_time(monkeypatch):
    first = html_page("t", [("h", "p", figure())])
    page_module.compressed_plotly.cache_clear()
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert html_page("t", [("h", "p", figure())]) == first


def test_figures_are_drawn_without_network(opened):
    page = opened(html_page("Title", [("First", "p", figure()), ("Second", "p", figure())]))
    wait_until_drawn(page, 2)
    assert page.errors == []
    assert len(page.requests) == 1
    assert page.locator("[role=figure]").first.get_attribute("aria-label") == "First"


def test_figures_are_drawn_in_a_sandboxed_frame(opened):
    text = html.escape(html_page("Title", [("h", "p", figure())]))
    page = opened(f'<iframe sandbox="allow-scripts" srcdoc="{text}"></iframe>')
    wait_until_drawn(page.frames[-1], 1)
    assert page.errors == []


def test_text_can_not_break_out_of_its_place(opened):
    page = opened(html_page(EVIL, [(EVIL, EVIL, figure(EVIL))]))
    wait_until_drawn(page, 1)
    assert page.title() == EVIL
    assert page.locator("h2").inner_text() == EVIL


def test_page_fits_a_telephone_and_the_width_of_paper(opened):
    wide_table = "<table><tr>" + "<td>99.9 ± 0.4</td>" * 12 + "</tr></table>"
    page = opened(html_page("T" * 80, [("h", "p", figure()), ("t", "p", wide_table)]), width=390)
    wait_until_drawn(page, 1)
    width = "document.querySelector('.figure .main-svg').getAttribute('width') * 1"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert 340 < page.evaluate(width) <= 390
    assert page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {width})") == 680
    assert page.evaluate(f"(dispatchEvent(new Event('afterprint')), {width})") <= 390


def test_old_browser_gets_one_line(opened):
    page = opened(html_page("t", [("h", "p", figure())]), script="delete globalThis.DecompressionStream")
    assert page.get_by_text(OLD_BROWSER).is_visible()
    assert page.errors == []


def test_what_cannot_be_made_says_so_in_its_place_and_leaves_the_rest():
    def fail():
        raise ValueError("no <rows>")

    text = html_page("a page", [("one", "", figure), ("two", "", fail), ("three", "", lambda: "<b>bold</b>")])
    assert text.count('<div class="figure"') == 1
    assert "<b>bold</b>" in text
    assert "This can&#x27;t be shown (ValueError: no &lt;rows&gt;)." in text
    assert "This can&#x27;t be shown (ValueError: no &lt;rows&gt;)." in html_page("a page", fail)
