"""A report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanogan_mtl.page import OLD_BROWSER, SCRIPT, STYLE, compressed_plotly
from fanogan_mtl.report import content
from fanogan_mtl.report.content import Report

if TYPE_CHECKING:
    from jinja2 import Environment


def render(report: Report) -> str:
    """Render the page."""
    template = _environment().get_template("report.html")
    return template.render(
        report=report, style=STYLE, script=SCRIPT, plotly=compressed_plotly(), old_browser=OLD_BROWSER
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fanogan_mtl.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.tests["kind"] = lambda block, name: isinstance(block, getattr(content, name))
    environment.filters["json"] = lambda figure: figure.to_json()  # with every < as \u003c
    return environment
