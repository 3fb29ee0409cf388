"""The page of a search: its trials in Optuna's figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fanogan_mtl.figures.style import layout
from fanogan_mtl.pages.content import Chart, PageBlock, Section, Text, plain_table
from fanogan_mtl.pages.render import write_page
from fanogan_mtl.tuning.study import finished

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna import Study

VALUE = "mean validation AUROC"
CAPTION = "Mean AUROC in percent, each setting at the epochs that are best for it on validation data."
LATER = "There is no such figure yet: it needs more trials that ended and that differ."


def write_tuning_page(study: Study, rows: list[list[str]], sentence: str, folder: Path) -> list[Path]:
    """Write `study.html`, and each figure as Plotly JSON beside it.

    Parameters
    ----------
    rows : the table of results, its head first
    sentence : what the table comes to
    """
    table = plain_table("default and tuned", CAPTION, rows)
    sections = [Section("Default and tuned", (Text(sentence), table))]
    files = []
    for name, (heading, paragraph, draw) in _figures().items():
        figure = _drawn(study, draw, heading)
        shown: tuple[PageBlock, ...] = (Text(paragraph), Chart(figure, heading)) if figure else (Text(LATER),)
        sections.append(Section(heading, shown))
        if figure:
            files.append(folder / f"{name}.json")
            files[-1].write_text(figure.to_json(), encoding="utf-8", errors="replace")
    return [*write_page(folder / "study.html", f"Study {study.study_name}", lambda: sections), *files]


def _figures() -> dict[str, tuple[str, str, Callable[[Study], go.Figure]]]:
    from optuna import visualization as draw

    return {
        "history": (
            "Trials in their order",
            f"Each trial's {VALUE}, and the best so far.",
            lambda study: draw.plot_optimization_history(study, target_name=VALUE),
        ),
        "importances": (
            "What mattered",
            "The share of the differences between trials that each parameter explains (fANOVA).",
            lambda study: draw.plot_param_importances(study, target_name=VALUE),
        ),
        "slice": (
            "One parameter at a time",
            "A point is a trial.",
            lambda study: draw.plot_slice(study, target_name=VALUE),
        ),
        "parallel_coordinate": (
            "All parameters at once",
            "A line is a trial.",
            lambda study: draw.plot_parallel_coordinate(study, target_name=VALUE),
        ),
        "edf": (
            "How many trials stay below",
            f"The share of trials whose {VALUE} is at most so high.",
            lambda study: draw.plot_edf(study, target_name=VALUE),
        ),
        "intermediate_values": (
            "At each epoch budget",
            "A line is a trial; one that ends early was pruned, since at its budget it was below the median.",
            draw.plot_intermediate_values,
        ),
    }


def _drawn(study: Study, draw: Callable[[Study], go.Figure], heading: str) -> go.Figure | None:
    """One figure; None where there are too few trials for it, or all with one value."""
    complete = [trial for trial in finished(study) if trial.state.name == "COMPLETE"]
    if len(complete) < 2:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = draw(study)
    except Exception:  # Optuna's, of many kinds: no variance, or a parameter that no two trials share
        return None
    if not figure.data:
        return None
    ours = layout(heading, {}, {})
    kept = {name: ours[name] for name in ("height", "font", "template", "title", "legend")}
    figure.update_layout(kept, autosize=True, width=None)
    figure.update_yaxes(automargin=True)  # else long names of parameters are cut
    return figure
