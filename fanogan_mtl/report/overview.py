"""The report's first screen: one figure of every method on every data set, with the five answers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fanogan_mtl import figures
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Beside, Chart, Fold, Items, PageBlock, Row, Table, Text, best_marked, share
from fanogan_mtl.report.commands import partial_run
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.questions import Question
from fanogan_mtl.report.sentences import listed
from fanogan_mtl.report.tables import coverage, rests_on


def opening(evidence: Evidence, answered: Sequence[Question]) -> tuple[PageBlock, ...]:
    """Make the first screen."""
    main = [each for each in evidence.results if each.main]
    methods, datasets = ({getattr(each, name) for each in main} for name in ("method", "dataset"))
    count = f"{len(main)} comparison{'s' * (len(main) != 1)} of {len(methods)} method{'s' * (len(methods) != 1)}"
    lead = f"{count} on {len(datasets)} data set{'s' * (len(datasets) != 1)}. {coverage(main)}"
    blocks: list[PageBlock] = [Text(lead)]
    if said := partial_run(evidence):
        blocks.append(Text(said, "note"))
    blocks.append(Beside((overview_chart(evidence),), tuple(each.answer for each in answered)))
    if marked := _marked(evidence):
        blocks.append(marked)
    if others := len(evidence.results) - len(main):
        text = "were run under other limits or budgets. They are shown by name and are not set against these."
        blocks.append(Text(f"{others} more comparisons {text}", "note"))
    blocks.append(Fold("How many images each AUROC rests on", (Items(tuple(rests_on(main))),)))
    return tuple(blocks)


def overview_chart(evidence: Evidence) -> Chart:
    """Draw the mean AUROC over classes, seeds and budgets of every method on every data set."""
    main = [each for each in evidence.results if each.main]
    methods = list(dict.fromkeys(each.method for each in main))
    datasets = [name for name in evidence.datasets if any(each.dataset == name for each in main)]
    columns = []
    for dataset in datasets:
        found = [evidence.get(method, dataset) for method in methods]
        entries = [share(each.summary().mean, marked=bool(each.marks)) if each else share(None) for each in found]
        columns.append(best_marked(entries))
    rows: list[Row] = list(zip(methods, map(tuple, zip(*columns, strict=True)), strict=True))
    caption = "Mean AUROC in percent over classes, seeds and budgets; ★ is the best of its data set, * is marked."
    table = Table("overview", caption, ("method", *datasets), tuple(rows))
    places = {
        method: [(entry.numbers.get("mean"), entry.text, entry.best) for entry in entries] for method, entries in rows
    }
    draw = partial(figures.auroc_map_figure, datasets, places)
    _, budgets = evidence.conditions
    over = f" over {listed(list(map(str, budgets)))} epochs" if len(budgets) > 1 else ""
    return chart("Mean AUROC (%) of every method", draw, table, f"Mean AUROC (%){over}, ★ best of its data set")


def _marked(evidence: Evidence) -> Fold | None:
    """Explain the marks: one line per data set and mark, with all methods that have it."""
    methods: dict[tuple[str, str, str], list[str]] = {}
    for each in evidence.results:
        for mark, sentence in each.marks.items():
            methods.setdefault((each.dataset, mark, sentence), []).append(each.method)
    if not methods:
        return None
    lines = tuple(
        f"{listed(own)} on {dataset}: {mark}: {sentence}" for (dataset, mark, sentence), own in methods.items()
    )
    return Fold("Marked comparisons (*), not to be taken as they stand, and why", (Items(lines),))
