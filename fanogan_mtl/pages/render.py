"""A page as one HTML file that needs nothing but itself: no network, no other file, no privileges.

plotly.js takes 4.8 MB, so a page holds it once, compressed (1.9 MB), and the browser inflates it. That works in a
sandboxed frame too, as MLflow's artifact view shows pages.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fanogan_mtl.errors import unshown
from fanogan_mtl.pages import content
from fanogan_mtl.pages.content import Chart, Page, Section, Text

if TYPE_CHECKING:
    from jinja2 import Environment

OLD_BROWSER = "The figures need a browser from 2023 or later (one that has DecompressionStream)."


def render(page: Page) -> str:
    """Render a page."""
    has_figures = any(isinstance(block, Chart) for _, block in page.blocks())
    template = _environment().get_template("page.html")
    return template.render(page=page, plotly=compressed_plotly() if has_figures else "", old_browser=OLD_BROWSER)


def write_page(path: Path, title: str, make: Callable[[], Iterable[Section]]) -> list[Path]:
    """Write a page of the sections that `make` gives, and give the file back in a list.

    It is written whatever the machine's own encoding, and whatever letters names have. Where a section can't be made,
    the page says so and why, after those before it.
    """
    sections: list[Section] = []
    try:
        for each in make():
            sections.append(each)
    except Exception as error:
        sections.append(Section("The rest of the page", (Text(unshown(error), "note"),)))
    path.write_text(render(Page(title, tuple(sections))), encoding="utf-8", errors="replace")
    return [path]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fanogan_mtl.pages", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.tests["kind"] = lambda block, name: isinstance(block, getattr(content, name))
    environment.filters["json"] = lambda figure: figure.to_json()  # with every < as \u003c
    return environment


@cache
def compressed_plotly() -> str:
    """plotly.js, compressed by gzip, in base64."""
    from plotly.offline import get_plotlyjs

    return b64encode(gzip.compress(get_plotlyjs().encode("utf-8"), 9, mtime=0)).decode("ascii")
