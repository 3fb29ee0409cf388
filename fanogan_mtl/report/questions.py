"""The study's five research questions: its answer, ours, and what ours rests on.

An answer is given where a test over blocks (data set × normal class) supports it; otherwise it reads "not supported",
and "not answered" where what it needs was not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fanogan_mtl.evaluation.significance import MIN_BLOCKS, Significance, compare
from fanogan_mtl.pages.content import (
    NONE,
    Answer,
    Entry,
    Fold,
    Items,
    PageBlock,
    Section,
    Table,
    Text,
    best_marked,
    share,
)
from fanogan_mtl.report.differences import (
    BlockTable,
    block_table,
    differences_of,
    is_supported,
    on_common_blocks,
    pair_of,
)
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, SHALLOW
from fanogan_mtl.report.sentences import listed, pair_sentence

NOT_SUPPORTED = "Not supported"
NOT_ANSWERED = "Not answered"
LABELS_SEEN = "Under this protocol the extractor has learned with the labels of the anomalies' classes."


@dataclass(frozen=True)
class Verdict:
    """What the tests say: one word, and a sentence."""

    word: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """A research question with the study's answer and ours.

    Attributes
    ----------
    number : str
    question, studys : str
        Whole sentences, as those of the verdict.
    verdict : Verdict
    blocks : tuple of PageBlock
        What the answer rests on.
    """

    number: str
    question: str
    studys: str
    verdict: Verdict
    blocks: tuple[PageBlock, ...] = ()

    @property
    def answer(self) -> Answer:
        """Ours beside the study's."""
        question = f"{self.number}: {self.question}"
        anchor = self.number.lower() if self.blocks else ""
        return Answer(question, self.verdict.word, self.verdict.sentence, self.studys, anchor)


Answered = tuple[Verdict, tuple[PageBlock, ...]]


def questions(evidence: Evidence) -> list[Question]:
    """Answer all five from the results under the main conditions and the protocols `paper` and `label-free`."""
    answered = []
    for number, question, studys, answer in _QUESTIONS:
        verdict, blocks = answer(evidence)
        answered.append(Question(number, question, studys, _with_marked(evidence, verdict), blocks))
    return answered


def question_sections(answered: Sequence[Question]) -> list[Section]:
    """Make one section per question that something was found out about."""
    return [
        Section(
            f"{each.number}: {each.question}",
            (Text(f"{each.verdict.word}. {each.verdict.sentence} {each.studys}"), *each.blocks),
            each.number.lower(),
        )
        for each in answered
        if each.blocks
    ]


def _best_detector(evidence: Evidence) -> Answered:
    deep = [name for detector in DETECTORS if (name := evidence.method(None, detector))]
    table = block_table(evidence, deep)
    verdict = _best_of(table, "deep detectors", len(DETECTORS))
    blocks: list[PageBlock] = [_fold(table, "deep detectors")] if len(table) > 1 else []
    shallow = [name for detector in SHALLOW if (name := evidence.method(None, detector))]
    both = block_table(evidence, [*table, *shallow])
    if 1 < len(table) < len(both):
        result = compare(both)
        best = min(both, key=result.mean_ranks.__getitem__)
        if best in shallow:
            beaten = [name for name in table if is_supported(result, best, name)]
            lead = f", and its lead over {listed(beaten)} is supported." if beaten else "."
            said = f"{verdict.sentence} A shallow baseline, {best}, has the best mean rank of all{lead}"
            verdict = replace(verdict, sentence=said)
        blocks.append(_fold(both, "deep detectors and shallow baselines"))
    return verdict, tuple(blocks)


def _deep_or_shallow(evidence: Evidence) -> Answered:
    shallow = evidence.method("pca", "fanogan")
    table = block_table(evidence, _hybrids(evidence))
    deep = [name for name in table if name != shallow]
    if shallow not in table or not deep:
        said = "f-AnoGAN was not run on both a deep extractor's and PCA's features of the same data."
        return Verdict(NOT_ANSWERED, said), ()
    result = compare(table)
    verdict = _against(result, deep, str(shallow), "PCA's features", ("Deep", "Partly deep", "Shallow"))
    blocks = (_tests(table, result, deep, str(shallow), "f-AnoGAN on extractors"),)
    return verdict, blocks


def _several_tasks(evidence: Evidence) -> Answered:
    alone, hybrids = evidence.method(None, "fanogan"), _hybrids(evidence)
    pooled = [each for each in evidence.where(None, "fanogan", pool=True) if each.method == alone]
    if not pooled or not hybrids:
        said = "f-AnoGAN was not run on all data sets at once both with and without an extractor."
        return Verdict(NOT_ANSWERED, said), ()
    pool = pooled[0].dataset
    on_pool = {name: found for name in (str(alone), *hybrids) if (found := evidence.get(name, pool))}
    table = on_common_blocks({name: found.by_block() for name, found in on_pool.items()})
    if len(table) < 2:
        said = f"f-AnoGAN was run on no extractor's features of the same classes of {pool}."
        return Verdict(NOT_ANSWERED, said), ()
    result = compare(table)
    names = [name for name in table if name != alone]
    rows = []
    for name, found in on_pool.items():
        singles = [each for each in evidence.of(name) if each.main and not each.is_pool]
        single = fmean(each.summary().mean for each in singles) if singles else None
        entries = [
            share(single, absent=NONE, marked=any(each.marks for each in singles)),
            share(found.summary().mean, marked=bool(found.marks)),
        ]
        rows.append((name, best_marked(entries)))
    kept = Table(
        "one task and several", "Mean AUROC in percent, mean over budgets: one detector a data set, and one for all.",
        ("method", "a detector a data set", pool), tuple(rows),
    )  # fmt: skip
    verdict = _against(result, names, str(alone), f"{alone} alone on {pool}")
    blocks = (kept, _tests(table, result, names, str(alone), f"f-AnoGAN on {pool}"))
    return verdict, blocks


def _transfer(evidence: Evidence) -> Answered:
    alone, hybrids = evidence.method(None, "fanogan"), _hybrids(evidence)
    table = block_table(evidence, [*([alone] if alone else []), *hybrids])
    deep = [name for name in table if name != alone and not name.startswith("pca+")]
    blocks: list[PageBlock] = []
    if alone not in table or not deep:
        said = "f-AnoGAN was not run both on pixels and on a deep extractor's features of the same data."
        verdict = Verdict(NOT_ANSWERED, said)
    else:
        result = compare(table)
        verdict = _against(result, deep, str(alone), f"{alone} alone")
        labels = any(each.comparison.protocol == "paper" for name in deep for each in evidence.of(name))
        if labels and verdict.word not in (NOT_SUPPORTED, NOT_ANSWERED):
            verdict = replace(verdict, sentence=f"{verdict.sentence} {LABELS_SEEN}")
        blocks += [
            _gains(evidence, str(alone), deep),
            _tests(table, result, deep, str(alone), "f-AnoGAN with and without extractors"),
        ]
    unseen = [
        each.method
        for each in evidence.results
        if each.main
        and each.comparison.detector == "fanogan"
        and each.comparison.protocol in ("unseen-domain", "unseen-class")
    ]
    unseen_table = block_table(evidence, [*([alone] if alone else []), *unseen])
    if alone in unseen_table and len(unseen_table) > 1:
        result = compare(unseen_table)
        names = [name for name in unseen_table if name != alone]
        honest = _against(result, names, str(alone), f"{alone} alone")
        said = f"{verdict.sentence} Where the extractor had not seen what it is tested on: {honest.sentence}"
        verdict = replace(verdict, sentence=said)
        what = "f-AnoGAN with extractors that had not seen the domain or class"
        blocks.append(_tests(unseen_table, result, names, str(alone), what))
    return verdict, tuple(blocks)


def _missed(evidence: Evidence) -> Answered:
    alone, hybrids = evidence.method(None, "fanogan"), _hybrids(evidence)
    table = block_table(evidence, [*([alone] if alone else []), *hybrids], "recall_at_5_fpr")
    if alone not in table or len(table) < 2:
        said = "f-AnoGAN was not run both with and without an extractor on the same data."
        return Verdict(NOT_ANSWERED, said), ()
    result = compare(table)
    rows = tuple(
        (name, (share(1 - sum(of.values()) / len(of)), share(sum(of.values()) / len(of)))) for name, of in table.items()
    )
    rates = Table(
        "missed anomalies", "In percent, with at most 5 % false alarms for every method; mean over blocks and budgets.",
        ("method", "missed (false-negative rate)", "found (recall)"), rows,
    )  # fmt: skip
    names = [name for name in table if name != alone]
    verdict = _against(result, names, str(alone), f"{alone} alone, with at most 5 % false alarms")
    tests = _tests(table, result, names, str(alone), "anomalies found at 5 % false alarms", "recall")
    return verdict, (rates, tests)


def _hybrids(evidence: Evidence) -> list[str]:
    return [name for each in EXTRACTORS if (name := evidence.method(each, "fanogan"))]


def _with_marked(evidence: Evidence, verdict: Verdict) -> Verdict:
    """Say which methods that a verdict names have marked comparisons."""
    methods = dict.fromkeys(each.method for each in evidence.results if each.main and each.marks)
    said = verdict.sentence
    named = [method for method in methods if re.search(rf"(?<![\w+]){re.escape(method)}(?![\w+])", said)]
    if not named:
        return verdict
    many = len(named) > 1
    marked = f"{'are' if many else 'is'} marked, and not to be taken as {'they stand' if many else 'it stands'}"
    return replace(verdict, sentence=f"{said} {listed(named)} {marked}.")


def _too_few(result: Significance) -> Verdict:
    count = len(result.blocks)
    classes = "1 class" if count == 1 else f"{count} classes"
    return Verdict(NOT_ANSWERED, f"The methods share only {classes} of the data sets, and a test needs {MIN_BLOCKS}.")


def _best_of(table: BlockTable, what: str, of: int) -> Verdict:
    """Say which of several is best, if the data carries it."""
    if len(table) < 2:
        return Verdict(NOT_ANSWERED, f"Fewer than two of the {of} {what} were run on the same data.")
    result = compare(table)
    best = min(table, key=result.mean_ranks.__getitem__)
    beaten = [name for name in table if name != best and is_supported(result, best, name)]
    left = [name for name in table if name != best and name not in beaten]
    if result.pairs[0].p_holm is None:
        verdict = _too_few(result)
    elif not left:
        verdict = Verdict(best, f"The lead of {best} over each of the others is supported.")
    elif beaten:
        verdict = Verdict(NOT_SUPPORTED, f"{best} leads, but its lead over {listed(left)} is not supported.")
    else:
        verdict = Verdict(NOT_SUPPORTED, f"{best} has the best mean rank, but no lead of it is supported.")
    if len(table) < of:
        verdict = replace(verdict, sentence=f"{verdict.sentence} Only {len(table)} of the {of} {what} were run.")
    return verdict


def _against(
    result: Significance,
    names: Sequence[str],
    base: str,
    than: str,
    words: tuple[str, str, str] = ("Yes", "Partly", "No"),
) -> Verdict:
    """Say which methods are better than a base, as far as the tests support it."""
    if result.pairs[0].p_holm is None:
        return _too_few(result)
    better = [name for name in names if is_supported(result, name, base)]
    worse = [name for name in names if is_supported(result, base, name)]
    unclear = [name for name in names if name not in (*better, *worse)]
    if not better and not worse:
        return Verdict(NOT_SUPPORTED, f"No difference of {listed(names)} from {than} is supported.")
    parts = [f"{listed(of)} {'is' if len(of) == 1 else 'are'} {how} than {than}"
             for of, how in ((better, "better"), (worse, "worse")) if of]  # fmt: skip
    if unclear:
        parts.append(f"for {listed(unclear)} no difference is supported")
    word = words[0] if not worse and not unclear else words[1] if better else words[2]
    return Verdict(word, f"{'; '.join(parts)}.")


def _fold(table: BlockTable, what: str) -> Fold:
    return Fold(f"The tests behind it: {what}", differences_of(table, what))


def _tests(
    table: BlockTable, result: Significance, names: Sequence[str], base: str, what: str, metric: str = "AUROC"
) -> Fold:
    """Fold the tests away: one sentence per method against a base, and the tests of all."""
    pairs = Items(tuple(pair_sentence(pair_of(result, name, base), metric) for name in names))
    return Fold(f"The tests behind it: {what}", (pairs, *differences_of(table, what, metric)))


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


_QUESTIONS: tuple[tuple[str, str, str, Callable[[Evidence], Answered]], ...] = (
    ("RQ1", "Which deep unsupervised detector is best?", "The study names f-AnoGAN.", _best_detector),
    (
        "RQ2",
        "Is a deep extractor better than a shallow one?",
        "The study says: deep, with residual connections; LeNet-5 is too small, and PCA beats it, but not ResNet.",
        _deep_or_shallow,
    ),
    ("RQ3", "Can one detector serve more than one task?", "The study says yes, with an extractor.", _several_tasks),
    (
        "RQ4",
        "Does transfer learning benefit the generalisation ability?",
        "The study says yes, SVHN most; ImageNet weights vary less.",
        _transfer,
    ),
    (
        "RQ5",
        "Does feature decomposition decrease the rate of missed anomalies?",
        "The study says yes, since recall is higher; its thresholds differ, so recall alone can't answer it.",
        _missed,
    ),
)
