"""The results under the protocols side by side, and what each protocol can fairly be used to say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fanogan_mtl import figures
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import Chart, Fold, PageBlock, Section, Table, best_marked, plain_table, share
from fanogan_mtl.report.evidence import Evidence, Result
from fanogan_mtl.sweep.cell import PROTOCOLS

_EXPLAINED = (
    ("protocol", "the extractor learned from", "honest for"),
    (
        "paper",
        "all classes and domains, the anomalies' too",
        "how well known classes are told apart; comparable to the study",
    ),
    (
        "label-free",
        "all classes and domains, without their labels, or nothing of them (frozen networks)",
        "images of your own, whose anomalies nobody has labelled",
    ),
    (
        "unseen-class",
        "all classes but the one that counts as anomaly",
        "anomalies of a kind that nobody has labelled before",
    ),
    (
        "unseen-domain",
        "all classes, in every domain but the tested one",
        "a new domain of a known task",
    ),
    (
        "normal-only",
        "the class that is normal, and nothing else: an extractor for each",
        "production: there are good parts only, and no image of anything else",
    ),
)


def protocol_section(evidence: Evidence) -> Section:
    """Compare extractors with detectors under each protocol."""
    caption = "What the extractor saw, and what each protocol is honest for."
    blocks: list[PageBlock] = [plain_table("protocols explained", caption, _EXPLAINED)]
    results = [each for each in evidence.results if each.main and each.comparison.protocol in PROTOCOLS]
    run = [name for name in PROTOCOLS if any(each.comparison.protocol == name for each in results)]
    for dataset in evidence.datasets:
        of = [each for each in results if each.dataset == dataset]
        if of and len(run) > 1:
            blocks.append(Fold(f"{dataset}: protocols side by side", (_chart(of, run, dataset),)))
    return Section("What the extractor had seen: five protocols", tuple(blocks), "protocols")


def _chart(results: Sequence[Result], protocols: Sequence[str], dataset: str) -> Chart:
    values: dict[str, dict[str, float]] = {name: {} for name in protocols}
    marked: set[tuple[str, str]] = set()
    for each in results:
        name = f"{each.comparison.extractor}+{each.comparison.detector}"
        if each.recorded.setting != "default":
            name += f" ({each.recorded.setting})"
        values[str(each.comparison.protocol)].setdefault(name, each.summary().mean)
        if each.marks:
            marked.add((str(each.comparison.protocol), name))
    values = {protocol: of for protocol, of in values.items() if of}
    methods = list(dict.fromkeys(name for of in values.values() for name in of))
    rows = tuple(
        (name, best_marked([share(of.get(name), marked=(each, name) in marked) for each, of in values.items()]))
        for name in methods
    )
    table = Table(
        f"protocols on {dataset}", "Mean AUROC in percent, mean over budgets; ★ is the best of its row.",
        ("method", *values), rows,
    )  # fmt: skip
    bars = figures.auroc_bars_data(values)
    return chart(f"Protocols on {dataset}", partial(figures.protocols_figure, bars), table)
