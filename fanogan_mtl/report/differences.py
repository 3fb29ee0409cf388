"""Shows which differences between methods the blocks support: tests, a diagram of mean ranks, a table of all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fanogan_mtl import figures
from fanogan_mtl.evaluation.significance import ALPHA, Block, PairedDifference, Significance, compare
from fanogan_mtl.pages.charts import chart
from fanogan_mtl.pages.content import NONE, Chart, Entry, Fold, PageBlock, Row, Section, Table, Text, number, share
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.sentences import effect_word, methods_sentence, optimism_note, p_text
from fanogan_mtl.sweep.cell import ALL_SEEN

BlockTable = Mapping[str, Mapping[Block, float]]
"""Method to block to a metric's mean over seeds and budgets."""


def significance_section(evidence: Evidence) -> Section:
    """Test all methods that were run on the same single data sets against each other."""
    comparable = (None, *ALL_SEEN, "logged")
    methods = [each.method for each in evidence.results if each.main and each.comparison.protocol in comparable]
    table = block_table(evidence, methods)
    text = (
        "Methods that were run on most classes of the single data sets, on the classes that all of them have; mean "
        "over budgets and seeds: Friedman's test, Nemenyi's critical difference, and Wilcoxon's signed-rank test of "
        "each pair with Holm's correction."
    )
    blocks: tuple[PageBlock, ...] = (
        differences_of(table, "all methods") if len(table) > 1 else (Text("Fewer than two methods."),)
    )
    return Section("Which differences are more than chance", (Text(text), *blocks), "significance")


def block_table(evidence: Evidence, methods: Sequence[str], metric: str = "auroc") -> BlockTable:
    """Each method's blocks of the single data sets; methods that lack blocks of most others are left out."""
    tables: dict[str, dict[Block, float]] = {}
    for method in dict.fromkeys(methods):
        blocks: dict[Block, float] = {}
        for each in evidence.of(method):
            if each.main and not each.is_pool:
                blocks |= each.by_block(metric)
        if blocks:
            tables[method] = blocks
    most = max((len(blocks) for blocks in tables.values()), default=0)
    return on_common_blocks({method: blocks for method, blocks in tables.items() if 2 * len(blocks) > most})


def on_common_blocks(tables: BlockTable) -> BlockTable:
    """Give the methods that can be compared: all, or only the first where they share no block."""
    shared = set.intersection(*map(set, tables.values())) if tables else set()
    return tables if shared else dict(list(tables.items())[:1])


def is_supported(result: Significance, better: str, worse: str) -> bool:
    """Whether a method's lead over another is supported."""
    pair = pair_of(result, better, worse)
    sign = 1 if pair.first == better else -1
    return pair.is_supported and sign * pair.rank_biserial > 0


def pair_of(result: Significance, first: str, second: str) -> PairedDifference:
    """The pair of two methods, in whatever order."""
    return next(each for each in result.pairs if {each.first, each.second} == {first, second})


def differences_of(table: BlockTable, what: str, metric: str = "AUROC") -> tuple[PageBlock, ...]:
    """Test a table: what the tests say, the diagram of mean ranks, and every pair."""
    result = compare(table)
    ranks = tuple(
        (name, (number(rank, "{:.2f}"), share(sum(table[name][block] for block in result.blocks) / len(result.blocks))))
        for name, rank in sorted(result.mean_ranks.items(), key=lambda each: each[1])
    )
    caption = f"Mean rank (1 is best) over {len(result.blocks)} blocks."
    ranked = Table(f"mean ranks: {what}", caption, ("method", "mean rank", f"mean {metric} (%)"), ranks)
    shown: Table | Chart = ranked
    if result.friedman:
        data = figures.critical_difference_data(result)
        shown = chart(f"Critical difference: {what}", partial(figures.critical_difference_figure, data), ranked)
    pairs = Fold(f"Every pair: {what}", (_pairs_table(result, what, metric),))
    return Text(methods_sentence(result, metric)), Text(optimism_note(result.blocks), "note"), shown, pairs


def _pairs_table(result: Significance, what: str, metric: str) -> Table:
    caption = f"Pairs over {len(result.blocks)} blocks. Differences in points of {metric}; p after Holm's correction."
    columns = (
        "pair", "wins – ties – losses", "median difference", "rank-biserial", "p (Holm)", f"supported at {ALPHA}",
    )  # fmt: skip
    return Table(f"pairs: {what}", caption, columns, tuple(map(_pair_row, result.pairs)))


def _pair_row(pair: PairedDifference) -> Row:
    p = pair.p_holm
    counts = {"wins": float(pair.wins), "ties": float(pair.ties), "losses": float(pair.losses)}
    entries = (
        Entry(f"{pair.wins} – {pair.ties} – {pair.losses}", counts),
        Entry(f"{100 * pair.median_difference:+.1f}", {"difference": pair.median_difference}),
        Entry(f"{pair.rank_biserial:+.2f} ({effect_word(pair.rank_biserial)})", {"effect": pair.rank_biserial}),
        Entry(NONE) if p is None else Entry(p_text(p).removeprefix("p ").removeprefix("= "), {"p": p}),
        Entry(NONE if p is None else "yes" if pair.is_supported else "no"),
    )
    return f"{pair.first} – {pair.second}", entries
