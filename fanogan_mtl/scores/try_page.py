"""The page to try a model in a browser: a person gives an image, and sees what each head says of it."""

from __future__ import annotations

import threading
from html import escape
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.serving.explain import HeatMap, heat_maps
from fanogan_mtl.serving.heads import Model
from fanogan_mtl.serving.pictures import jpeg_url, overlaid, thumbnail
from fanogan_mtl.serving.requests import answer_table
from fanogan_mtl.serving.scoring import input_of, named_heads, score_images

if TYPE_CHECKING:
    import gradio as gr

PICTURE = 320  # px of a picture's side
CANVAS = 280  # px of the drawing's side
KEPT_SECONDS = 600  # uploaded files
BLACK = np.zeros((CANVAS, CANVAS, 3), np.uint8)
EMPTY = '<p class="hint">Upload an image or draw a digit: what each head says of it appears here.</p>'


STYLE = """
.gradio-container { width: 100% !important; min-width: 0 !important }
.gradio-container .app { width: 100% !important; max-width: 70rem !important; margin: 0 auto !important }
.hint, .heads th, .pictures figcaption { color: var(--body-text-color); opacity: 0.7 }
.problem { border-left: 4px solid #B54A00; padding-left: 0.75rem }
.scroll { overflow-x: auto }
.heads { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
.heads, .heads tr { border: 0 !important }
.heads th, .heads td { padding: 0.4rem 0.6rem !important; text-align: right !important; white-space: nowrap;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important }
.heads th:first-child, .heads td:first-child { text-align: left !important; white-space: normal }
.verdict { display: inline-block; min-width: 5.5rem; padding: 0.05rem 0.5rem; border-radius: 1rem; text-align: center;
  color: #fff; background: #0072B2 }
.is-anomaly .verdict { background: #B54A00 }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 0.75rem; max-width: 42rem }
.pictures figure { margin: 0 } .pictures figcaption { margin-top: 0.25rem }
.pictures img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px;
  background: var(--background-fill-secondary) }
#upload img { width: 100%; height: 100%; object-fit: contain; image-rendering: pixelated }
@media (max-width: 30rem) {
  .scroll { margin: 0 -1.25rem }
  .heads th, .heads td { padding: 0.35rem 0.15rem !important; font-size: 0.75rem }
  .verdict { min-width: 0; padding: 0.05rem 0.35rem }
}
"""


def make_page(model: Model, name: str) -> tuple[gr.Blocks, dict[str, Any]]:
    """Build the page, and the options for its launch that give it its looks."""
    import gradio as gr

    names, answers = [head.spec.name for head in model.heads], _Answers(model)
    with gr.Blocks(title="Try the model", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.HTML(f"<h1>Try {escape(name)}</h1><p>Each head knows one class, and scores how far an image is from it.</p>")
        image, heat_map = gr.State(), gr.State()
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                with gr.Tab("Upload"):
                    file = gr.Image(
                        label="An image", type="filepath", image_mode=None, sources=["upload", "clipboard"],
                        height=340, buttons=[], elem_id="upload",
                    )  # fmt: skip
                    vars(file)["preprocess"] = _path_of  # gradio would open it first, and refuse some
                with gr.Tab("Draw"):
                    canvas = gr.Sketchpad(
                        BLACK,
                        label="A digit, white on black", canvas_size=(CANVAS, CANVAS), fixed_canvas=True, layers=False,
                        brush=gr.Brush(default_size=22, colors=["#ffffff"], color_mode="fixed"), transforms=(),
                        height=400, buttons=[], elem_id="canvas",
                    )  # fmt: skip
                    button = gr.Button("Score the drawing", variant="primary")
            with gr.Column(scale=3, min_width=280):
                table = gr.HTML(EMPTY, elem_id="scores")
                head = gr.Dropdown(names, value=names[0], label="Heat map of", elem_id="head")
                pictures = gr.HTML("", elem_id="pictures")
                level = gr.Slider(0, 1, label="Outline what lies above", visible=False, buttons=[], elem_id="level")
        outputs = [image, heat_map, table, pictures, level]
        file.change(answers.upload, [file, head], outputs, api_visibility="private")
        button.click(answers.draw, [canvas, head], outputs, api_visibility="private")
        canvas.clear(lambda: BLACK, None, canvas, api_visibility="private")  # the bin takes the black away, too
        head.change(answers.show, [image, head], outputs, api_visibility="private")
        level.input(
            answers.outline, [image, heat_map, head, level], pictures, show_progress="hidden", api_visibility="private"
        )
    fonts = ["system-ui", "sans-serif"]  # those of the system: nothing is fetched
    theme = gr.themes.Base(font=fonts, font_mono=["ui-monospace", "monospace"], primary_hue="blue")
    return page, {"theme": theme, "css": STYLE}


class _Answers:
    """What the page shows when a visitor does something: the image, its map, the table, the pictures and the slider."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.lock = threading.Lock()  # the number of threads is the process's: two visitors would change each other's

    def upload(self, path: str | None, head: str) -> tuple[Any, ...]:
        try:
            image = read_image_file(Path(path)) if path else None
        except ImageError as error:
            return self._nothing(problem_html(f"This file can't be scored: {error}."))
        return self.show(image, head)

    def draw(self, drawing: dict[str, Any] | None, head: str) -> tuple[Any, ...]:
        image = drawn_digit(drawing)
        return self._nothing(problem_html("Draw a digit first.")) if image is None else self.show(image, head)

    def show(self, image: Pixels | None, name: str) -> tuple[Any, ...]:
        import gradio as gr

        if image is None:
            return self._nothing(EMPTY)
        try:
            (head,) = named_heads(self.model, name)
            with self.lock, one_thread():
                scores, heat_map = scores_html(self.model, image), heat_maps(self.model, [head], image)[0]
        except ValueError as error:
            return self._nothing(problem_html(str(error).removeprefix("image 0: ")), image)
        threshold = head.map_threshold()
        pictures = pictures_html(self.model, image, name, heat_map, threshold)
        if threshold is None:
            return image, heat_map, scores, pictures, gr.update(visible=False)
        most = _rounded(max(1.5 * threshold, float(heat_map.values.max())))
        scale = gr.update(visible=True, maximum=most, value=_rounded(threshold), step=_rounded(most / 200))
        return image, heat_map, scores, pictures, scale

    def outline(self, image: Pixels | None, heat_map: HeatMap | None, head: str, threshold: float) -> str:
        return "" if image is None or heat_map is None else pictures_html(self.model, image, head, heat_map, threshold)

    @staticmethod
    def _nothing(said: str, image: Pixels | None = None) -> tuple[Any, ...]:
        import gradio as gr

        return image, None, said, "", gr.update(visible=False)


def _rounded(value: float) -> float:
    """A number that a person reads at a glance."""
    return float(f"{value:.4g}")


def _path_of(upload: Any) -> str | None:
    return upload.path if upload else None


def scores_html(model: Model, image: Pixels) -> str:
    """Make the table of all heads."""
    table = answer_table(model.heads, score_images(model, model.heads, [image]))
    lines = []
    for row in table.to_dict("records"):
        kind, verdict = ("is-anomaly", "anomaly") if row["is_anomaly"] else ("", "normal")
        numbers = "".join(
            f'<td title="{float(row[name])!r}">{shown}</td>'
            for name, shown in (
                ("score", f"{row['score']:.4g}"),
                ("threshold", f"{row['threshold']:.4g}"),
                ("p_value", "-" if isnan(row["p_value"]) else f"{row['p_value']:.3g}"),
                ("probability", f"{row['probability']:.1%}"),
            )
        )
        badge = f'<span class="verdict">{verdict}</span>'
        lines.append(
            f'<tr class="{kind}"><td>{escape(row["head"]).replace("/", "/<wbr>")}</td>{numbers}<td>{badge}</td></tr>'
        )
    header = "<tr><th>head</th><th>score</th><th>threshold</th><th>p-value</th><th>probability</th><th></th></tr>"
    return f'<div class="scroll"><table class="heads">{header}{"".join(lines)}</table></div>'


def problem_html(text: str) -> str:
    """Make the line that stands where scores would be."""
    return f'<p class="problem">{escape(text)}</p>'


def pictures_html(model: Model, image: Pixels, name: str, heat_map: HeatMap, threshold: float | None = None) -> str:
    """Make the pictures of an image, plain and under a head's heat map, with an outline above a threshold."""
    (head,) = named_heads(model, name)
    plain = thumbnail(image, PICTURE, input_of(model, head)[1].depth)
    over = overlaid(plain, heat_map, threshold)
    outlined = "" if threshold is None else f"; yellow: above {threshold:.4g}"
    return f"""<div class="pictures">
<figure><img src="{jpeg_url(plain)}" alt="the image"><figcaption>the image</figcaption></figure>
<figure><img src="{jpeg_url(over)}" alt="heat map of {escape(name)}"><figcaption>red: where it is an anomaly to
{escape(name)}{outlined}</figcaption></figure></div>"""


def drawn_digit(drawing: dict[str, Any] | None) -> Pixels | None:
    """Make white strokes on black of a drawing on any canvas; None without a stroke."""
    if not drawing or not drawing["layers"]:
        return None
    strokes: Pixels = drawing["layers"][0][..., 3]
    return strokes if strokes.any() else None
