"""Several figures as one HTML page that needs nothing but itself: no network, no other file, no privileges.

plotly.js takes 4.8 MB, so a page holds it once, compressed (1.9 MB), and the browser inflates it. That works in a
sandboxed frame too, as MLflow's artifact view shows pages.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fanogan_mtl.errors import unshown

if TYPE_CHECKING:
    import plotly.graph_objects as go

STYLE = """
body { margin: 0 auto; max-width: 62rem; padding: 0.75rem }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.2rem; margin: 2rem 0 0.25rem }
p { margin: 0 0 0.5rem; max-width: 44rem } h1, h2, p { overflow-wrap: anywhere }
.wide { overflow-x: auto } .note { border-left: 4px solid #D55E00; padding-left: 0.75rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
@page { margin: 12mm }
@media print { section { break-inside: avoid } body { padding: 0 } .wide { overflow: visible } }
"""

SCRIPT = """
const figures = [...document.querySelectorAll(".figure")];
async function inflatePlotly() {
  const text = document.getElementById("plotly").textContent;
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}
const options = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "resetScale2d"]],  // more would cover titles on a narrow screen
};
function draw() {
  for (const place of figures) {
    const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
    Plotly.newPlot(place, data, layout, options);
  }
}
function fit(size) {
  for (const place of figures) Plotly.relayout(place, size);
}
if (typeof DecompressionStream === "undefined") {
  document.getElementById("note").hidden = false;
} else {
  inflatePlotly().then(draw);
  addEventListener("beforeprint", () => fit({ width: 680 }));  // A4 less its margins
  addEventListener("afterprint", () => fit({ width: null, autosize: true }));
}
"""

FIGURE = '<div class="figure"'
OLD_BROWSER = "The figures need a browser from 2023 or later (one that has DecompressionStream)."


Content: TypeAlias = "go.Figure | str | Callable[[], go.Figure | str]"
Section: TypeAlias = tuple[str, str, Content]


def html_page(title: str, sections: Sequence[Section] | Callable[[], Sequence[Section]]) -> str:
    """Make one self-contained HTML page. What can't be made says so, and why, in its place.

    Parameters
    ----------
    title : plain text
    sections : (heading, paragraph, content), or what makes them
        The first two are plain text, the content is a Plotly figure or HTML, as a table, or what makes one of these.
    """
    try:
        parts = [_section(*section) for section in (sections() if callable(sections) else sections)]
    except Exception as error:
        parts = [_section("The page", "", _apology(error))]
    any_figure = any(FIGURE in part for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{_figure_notes() if any_figure else ""}
{"".join(parts)}
{_scripts() if any_figure else ""}
</body>
</html>
"""


def write_page(path: Path, title: str, sections: Sequence[Section] | Callable[[], Sequence[Section]]) -> None:
    """Write a page to a file, whatever the machine's own encoding, and whatever letters names have."""
    path.write_text(html_page(title, sections), encoding="utf-8", errors="replace")


def _section(heading: str, paragraph: str, content: Content) -> str:
    try:
        shown = _shown(heading, content() if callable(content) else content)
    except Exception as error:
        shown = _apology(error)
    return f"<section><h2>{escape(heading)}</h2><p>{escape(paragraph)}</p>{shown}</section>\n"


def _shown(heading: str, content: go.Figure | str) -> str:
    if isinstance(content, str):
        return f'<div class="wide">{content}</div>'
    data = content.to_json()  # with every < as \u003c, so that no text in it ends the script element
    height = f"min-height: {content.layout.height}px"  # so that nothing moves when the figure is drawn
    return f"""{FIGURE} role="figure" aria-label="{escape(heading)}" style="{height}"></div>
<script type="application/json">{data}</script>"""


def _apology(error: BaseException) -> str:
    return f'<p class="note">{escape(unshown(error))}</p>'


def _figure_notes() -> str:
    return f"""<p id="note" class="note" hidden>{OLD_BROWSER}</p>
<noscript><p class="note">The figures need JavaScript.</p></noscript>"""


def _scripts() -> str:
    return f'<script type="text/plain" id="plotly">{compressed_plotly()}</script>\n<script>{SCRIPT}</script>'


@cache
def compressed_plotly() -> str:
    """plotly.js, compressed by gzip, in base64."""
    from plotly.offline import get_plotlyjs

    return b64encode(gzip.compress(get_plotlyjs().encode("utf-8"), 9, mtime=0)).decode("ascii")
