"""The study's five research questions: its answer, ours, and what ours rests on.

An answer is given where a test over blocks (data set × normal class) supports it; otherwise it reads "not supported".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fanogan_mtl import figures
from fanogan_mtl.evaluation.significance import (
    ALPHA,
    MIN_BLOCKS,
    PairedDifference,
    Significance,
    compare,
    effect_word,
    listed,
    optimism_note,
    p_text,
    pair_sentence,
    sentence,
)
from fanogan_mtl.report.commands import missing
from fanogan_mtl.report.content import (
    NONE,
    Block,
    Chart,
    Entry,
    Section,
    Table,
    Text,
    best_marked,
    number,
    share,
)
from fanogan_mtl.report.evidence import Block as DataBlock
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, SHALLOW

NOT_SUPPORTED = "Not supported"
DEEP_EXTRACTORS = tuple(name for name in EXTRACTORS if name != "pca")

Blocks = Mapping[str, Mapping[DataBlock, float]]


@dataclass(frozen=True)
class Question:
    """A research question with the study's answer and ours.

    Attributes
    ----------
    number : str
    question, studys : str
    answer : str
        One line.
    blocks : tuple of Block
        What the answer rests on.
    """

    number: str
    question: str
    studys: str
    answer: str
    blocks: tuple[Block, ...]


def questions(evidence: Evidence) -> list[Question]:
    """Answer all five from the results under the main conditions and the protocol `paper`."""
    answered = [
        _best_detector(evidence),
        _deep_or_shallow(evidence),
        _several_tasks(evidence),
        _transfer(evidence),
        _missed(evidence),
    ]
    return [replace(each, answer=each.answer + _on_marked(evidence, each.answer)) for each in answered]


def question_sections(answered: Sequence[Question]) -> list[Section]:
    """One section a question."""
    return [
        Section(
            each.number.lower(),
            f"{each.number}: {each.question}",
            (Text(f"The study: {each.studys}"), Text(f"Ours: {each.answer}", "answer"), *each.blocks),
        )
        for each in answered
    ]


def significance_section(evidence: Evidence) -> Section:
    """Test all methods that were run on the same single data sets against each other."""
    table = _table(
        evidence, [each.method for each in evidence.results if each.main and _comparable(each.comparison.protocol)]
    )
    text = (
        "Methods that were run on most classes of the single data sets, on the classes that all of them have; mean "
        "over budgets and seeds: Friedman's test, Nemenyi's critical difference, and Wilcoxon's signed-rank test of "
        "each pair with Holm's correction."
    )
    blocks: tuple[Block, ...] = _tested(table, "all methods") if len(table) > 1 else (Text("Fewer than two methods."),)
    return Section("significance", "Which differences are more than chance", (Text(text), *blocks))


def _best_detector(evidence: Evidence) -> Question:
    deep = [name for detector in DETECTORS if (name := evidence.method(None, detector))]
    table = _table(evidence, deep)
    blocks, answer = _answer_best(table, "deep detector", len(DETECTORS))
    shallow = [name for detector in SHALLOW if (name := evidence.method(None, detector))]
    if len(table) > 1 and shallow:
        both = _table(evidence, [*table, *shallow])
        if len(both) > len(table):
            result = compare(both)
            best = min(both, key=result.mean_ranks.__getitem__)
            beaten = [name for name in table if name not in shallow and _supported(result, best, name)]
            if best in shallow:
                answer += f" A shallow baseline, {best}, has the best mean rank of all"
                answer += f", and its lead over {listed(beaten)} is supported." if beaten else "."
            blocks = (*blocks, *_tested(both, "deep detectors and shallow baselines"))
    return Question("RQ1", "which deep unsupervised detector is best?", "f-AnoGAN.", answer, blocks)


def _on_marked(evidence: Evidence, answer: str) -> str:
    """Say which methods that an answer names have marked comparisons."""
    methods = dict.fromkeys(each.method for each in evidence.results if each.main and each.marks)
    named = [method for method in methods if re.search(rf"(?<![\w+]){re.escape(method)}(?![\w+])", answer)]
    return f" Marked, and not to be taken as it stands: {listed(named)}." if named else ""


def _answer_best(table: Blocks, what: str, of: int) -> tuple[tuple[Block, ...], str]:
    """Say which of several is best, if the data carries it."""
    if len(table) < 2:
        return (), f"{NOT_SUPPORTED}: fewer than two of the {of} {what}s were run on the same data."
    result = compare(table)
    best = min(table, key=result.mean_ranks.__getitem__)
    beaten = [name for name in table if name != best and _supported(result, best, name)]
    left = [name for name in table if name != best and name not in beaten]
    others = "" if len(table) == of else f" Only {len(table)} of {of} were run."
    if result.pairs[0].p_holm is None:
        count = len(result.blocks)
        answer = f"{NOT_SUPPORTED}: {count} block{'s' * (count != 1)} are too few for a test ({MIN_BLOCKS} are needed)."
    elif not left:
        answer = f"{best}: its lead over each of the others is supported."
    elif beaten:
        answer = f"{NOT_SUPPORTED} as a single best: {best} leads, but its lead over {listed(left)} is not supported."
    else:
        answer = f"{NOT_SUPPORTED}: {best} has the best mean rank, but no lead of it is supported."
    return _tested(table, f"{what}s"), answer + others


def _deep_or_shallow(evidence: Evidence) -> Question:
    methods = [name for each in (*DEEP_EXTRACTORS, "pca") if (name := evidence.method(each, "fanogan"))]
    studys = "Deep, with residual connections; LeNet-5 is too small; PCA beats LeNet-5 but not ResNet."
    table = _table(evidence, methods)
    shallow = evidence.method("pca", "fanogan")
    deep = [name for name in table if name != shallow]
    blocks: tuple[Block, ...] = _tested(table, "f-AnoGAN on extractors") if len(table) > 1 else ()
    if shallow not in table or not deep:
        answer = (
            f"{NOT_SUPPORTED}: f-AnoGAN was not run on both a deep extractor's and PCA's features of the same data."
        )
    else:
        assert shallow is not None
        result = compare(table)
        answer = _judged(result, deep, shallow, "PCA's features", ("Deep", "Partly deep", "Shallow"))
        blocks = (*_sentences(result, deep, shallow), *blocks)
    gaps = [name for name in EXTRACTORS if evidence.method(name, "fanogan") is None]
    return Question("RQ2", "deep or shallow extractor?", studys, answer, (*blocks, *_not_run(evidence, gaps)))


def _several_tasks(evidence: Evidence) -> Question:
    studys = "Yes, with an extractor."
    question = "one detector for more than one task?"
    alone = evidence.method(None, "fanogan")
    pooled = [each for each in evidence.where(None, "fanogan", pool=True) if each.method == alone]
    hybrids = _hybrids(evidence)
    if not pooled or not hybrids:
        answer = f"{NOT_SUPPORTED}: f-AnoGAN was not run on all data sets at once both with and without an extractor."
        return Question("RQ3", question, studys, answer, ())
    pool = pooled[0].dataset
    on_pool = {name: found for name in (str(alone), *hybrids) if (found := evidence.get(name, pool))}
    table = _on_common_blocks({name: found.by_block() for name, found in on_pool.items()})
    if len(table) < 2:
        answer = f"{NOT_SUPPORTED}: no extractor was run on the same classes of {pool}."
        return Question("RQ3", question, studys, answer, ())
    result = compare(table)
    names = [name for name in table if name != alone]
    rows = []
    for name, found in on_pool.items():
        single = [each.summary().mean for each in evidence.of(name) if each.main and not each.is_pool]
        marked = any(each.marks for each in evidence.of(name) if each.main and not each.is_pool)
        entries = [
            share(fmean(single) if single else None, absent=NONE, marked=marked),
            share(found.summary().mean, marked=bool(found.marks)),
        ]
        rows.append((name, best_marked(entries)))
    kept = Table(
        "one task and several", "Mean AUROC in percent, mean over budgets: one detector a data set, and one for all.",
        ("method", "a detector a data set", pool), tuple(rows),
    )  # fmt: skip
    answer = _judged(result, names, str(alone), f"{alone} alone on {pool}")
    details = _sentences(result, names, str(alone))
    return Question("RQ3", question, studys, answer, (*details, kept, *_tested(table, f"f-AnoGAN on {pool}")))


def _transfer(evidence: Evidence) -> Question:
    studys = "Yes, SVHN most; ImageNet weights vary less."
    question = "does transfer learning benefit the generalisation ability?"
    alone, hybrids = evidence.method(None, "fanogan"), _hybrids(evidence)
    table = _table(evidence, [*([alone] if alone else []), *hybrids])
    deep = [name for name in table if name != alone and not name.startswith("pca+")]
    blocks: list[Block] = []
    if alone not in table or not deep:
        answer = (
            f"{NOT_SUPPORTED}: f-AnoGAN was not run both on pixels and on a deep extractor's features of the same data."
        )
    else:
        assert alone is not None
        result = compare(table)
        answer = _judged(result, deep, alone, f"{alone} alone")
        answer += " Under this protocol the extractor has learned with the labels of the anomalies' classes."
        blocks += [
            *_sentences(result, deep, alone),
            _gains(evidence, alone, deep),
            *_tested(table, "f-AnoGAN with and without extractors"),
        ]
    unseen = [
        each for each in evidence.results if each.main and each.comparison.protocol in ("unseen-domain", "unseen-class")
    ]
    methods = list(dict.fromkeys(each.method for each in unseen if each.comparison.detector == "fanogan"))
    unseen_table = _table(evidence, [*([alone] if alone else []), *methods])
    if alone in unseen_table and len(unseen_table) > 1:
        result = compare(unseen_table)
        names = [name for name in unseen_table if name != alone]
        verdict = _judged(result, names, str(alone), f"{alone} alone")
        answer += f" Where the extractor had not seen what it is tested on: {verdict}"
        blocks += _sentences(result, names, str(alone))
        blocks += _tested(unseen_table, "f-AnoGAN with extractors that had not seen the domain or class")
    if evidence.method("resnet18_imagenet", "fanogan") is None:
        blocks += _not_run(evidence, ["resnet18_imagenet"])
    return Question("RQ4", question, studys, answer, tuple(blocks))


def _missed(evidence: Evidence) -> Question:
    studys = "Yes, higher recall. (Its thresholds differ from row to row, so recall alone can't answer it.)"
    question = "does feature decomposition decrease the rate of missed anomalies?"
    alone, hybrids = evidence.method(None, "fanogan"), _hybrids(evidence)
    table = _table(evidence, [*([alone] if alone else []), *hybrids], "recall_at_5_fpr")
    if alone not in table or len(table) < 2:
        answer = f"{NOT_SUPPORTED}: f-AnoGAN was not run both with and without an extractor on the same data."
        return Question("RQ5", question, studys, answer, ())
    result = compare(table)
    rows = tuple(
        (name, (share(1 - sum(of.values()) / len(of)), share(sum(of.values()) / len(of)))) for name, of in table.items()
    )
    rates = Table(
        "missed anomalies", "In percent, with at most 5 % false alarms for every method; mean over blocks and budgets.",
        ("method", "missed (false-negative rate)", "found (recall)"), rows,
    )  # fmt: skip
    names = [name for name in table if name != alone]
    answer = _judged(result, names, str(alone), f"{alone} alone, with at most 5 % false alarms")
    details = _sentences(result, names, str(alone), "recall")
    tests = _tested(table, "anomalies found at 5 % false alarms", "recall")
    return Question("RQ5", question, studys, answer, (*details, rates, *tests))


def _hybrids(evidence: Evidence) -> list[str]:
    return [name for each in EXTRACTORS if (name := evidence.method(each, "fanogan"))]


def _table(evidence: Evidence, methods: Sequence[str], metric: str = "auroc") -> dict[str, dict[DataBlock, float]]:
    """Each method's blocks of the single data sets; methods that lack blocks of most others are left out."""
    tables: dict[str, dict[DataBlock, float]] = {}
    for method in dict.fromkeys(methods):
        blocks: dict[DataBlock, float] = {}
        for each in evidence.of(method):
            if each.main and not each.is_pool:
                blocks |= each.by_block(metric)
        if blocks:
            tables[method] = blocks
    most = max((len(blocks) for blocks in tables.values()), default=0)
    return _on_common_blocks({method: blocks for method, blocks in tables.items() if 2 * len(blocks) > most})


def _on_common_blocks(tables: dict[str, dict[DataBlock, float]]) -> dict[str, dict[DataBlock, float]]:
    """Methods that can be compared: all of them, or where they share no block the first alone."""
    shared = set.intersection(*map(set, tables.values())) if tables else set()
    return tables if shared else dict(list(tables.items())[:1])


def _comparable(protocol: str | None) -> bool:
    return protocol in (None, "paper", "logged")


def _tested(table: Blocks, what: str, metric: str = "AUROC") -> tuple[Block, ...]:
    """Tests over a table: sentences, the critical-difference diagram, and every pair."""
    result = compare(table)
    blocks: list[Block] = [Text(sentence(result, metric)), Text(optimism_note(result.blocks), "note")]
    ranks = tuple(
        (name, (number(rank, "{:.2f}"), share(sum(table[name][block] for block in result.blocks) / len(result.blocks))))
        for name, rank in sorted(result.mean_ranks.items(), key=lambda each: each[1])
    )
    caption = f"Mean rank (1 is best) over {len(result.blocks)} blocks."
    ranked = Table(f"mean ranks: {what}", caption, ("method", "mean rank", f"mean {metric} (%)"), ranks)
    if result.friedman:
        data = figures.critical_difference_data(result)
        title = f"Critical difference: {what}"
        blocks.append(Chart(figures.drawn(lambda: figures.critical_difference_figure(data, title), title), ranked))
    else:
        blocks.append(ranked)
    blocks.append(_pairs_table(result, what, metric))
    return tuple(blocks)


def _pairs_table(result: Significance, what: str, metric: str) -> Table:
    caption = f"Pairs over {len(result.blocks)} blocks. Differences in points of {metric}; p after Holm's correction."
    columns = (
        "pair",
        "wins – ties – losses",
        "median difference",
        "rank-biserial",
        "p (Holm)",
        f"supported at {ALPHA}",
    )
    return Table(f"pairs: {what}", caption, columns, tuple(map(_pair_row, result.pairs)), folded=True)


def _pair_row(pair: PairedDifference) -> tuple[str, tuple[Entry, ...]]:
    counts = {"wins": pair.wins, "ties": pair.ties, "losses": pair.losses}
    p = (
        Entry(NONE)
        if pair.p_holm is None
        else Entry(p_text(pair.p_holm).removeprefix("p ").removeprefix("= "), {"p": pair.p_holm})
    )
    effect = f"{pair.rank_biserial:+.2f} ({effect_word(pair.rank_biserial)})"
    return (
        f"{pair.first} – {pair.second}",
        (
            Entry(f"{pair.wins} – {pair.ties} – {pair.losses}", {name: float(each) for name, each in counts.items()}),
            Entry(f"{100 * pair.median_difference:+.1f}", {"difference": pair.median_difference}),
            Entry(effect, {"effect": pair.rank_biserial}),
            p,
            Entry("yes" if pair.is_supported else "no" if pair.p_holm is not None else NONE),
        ),
    )


def _gains(evidence: Evidence, alone: str, hybrids: Sequence[str]) -> Table:
    """What each data set gains by an extractor."""
    rows = []
    for dataset in evidence.datasets:
        base = evidence.get(alone, dataset)
        if base is None or base.is_pool:
            continue
        entries = [share(base.summary().mean)]
        for name in hybrids:
            result = evidence.get(name, dataset)
            gain = result.summary().mean - base.summary().mean if result else None
            entries.append(Entry(NONE) if gain is None else Entry(f"{100 * gain:+.1f}", {"gain": gain}))
        rows.append((dataset, tuple(entries)))
    caption = "Mean AUROC in percent of f-AnoGAN on pixels, and points gained with each extractor; mean over budgets."
    return Table("gain by extractor", caption, ("data set", alone, *hybrids), tuple(rows))


def _pair(result: Significance, first: str, second: str) -> PairedDifference:
    return next(each for each in result.pairs if {each.first, each.second} == {first, second})


def _supported(result: Significance, better: str, worse: str) -> bool:
    """Whether a method's lead over another is supported."""
    pair = _pair(result, better, worse)
    sign = 1 if pair.first == better else -1
    return pair.is_supported and sign * pair.rank_biserial > 0


def _judged(
    result: Significance,
    names: Sequence[str],
    base: str,
    than: str,
    words: tuple[str, str, str] = ("Yes", "Partly", "No"),
) -> str:
    """Say in one line which methods are better than a base, as far as the tests support it."""
    if result.pairs[0].p_holm is None:
        return f"{NOT_SUPPORTED}: {len(result.blocks)} blocks are too few for a test ({MIN_BLOCKS} are needed)."
    better = [name for name in names if _supported(result, name, base)]
    worse = [name for name in names if _supported(result, base, name)]
    unclear = [name for name in names if name not in (*better, *worse)]
    if not better and not worse:
        return f"{NOT_SUPPORTED}: no difference from {than} is."
    word = words[0] if not worse and not unclear else words[1] if better else words[2]
    parts = [f"{listed(of)} {'is' if len(of) == 1 else 'are'} {how} than {than}"
             for of, how in ((better, "better"), (worse, "worse")) if of]  # fmt: skip
    if unclear:
        parts.append(f"for {listed(unclear)} no difference is supported")
    return f"{word}: {'; '.join(parts)}."


def _sentences(result: Significance, names: Sequence[str], base: str, metric: str = "AUROC") -> tuple[Block, ...]:
    """One sentence a method, against a base."""
    return tuple(Text(pair_sentence(_pair(result, name, base), metric)) for name in names)


def _not_run(evidence: Evidence, extractors: Sequence[str]) -> tuple[Block, ...]:
    """Say which extractors were not run, and how to."""
    with_weights = "resnet18_imagenet" in extractors
    text = "ImageNet weights are downloaded, or read from a file by -P weights=FILE."
    commands = missing(evidence, extractors, "hybrid", extractors=",".join(extractors))
    return (*commands, Text(text)) if with_weights else commands
