"""English sentences for the results of tests over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from fanogan_mtl.evaluation.significance import MIN_BLOCKS, Block, PairedDifference, Significance

EFFECT_WORDS = ((0.5, "large"), (0.3, "medium"), (0.1, "small"))
"""Cohen's words for correlations (1988, Statistical Power Analysis, ch. 3), which are used for Kendall's W as well."""


def effect_word(effect: float) -> str:
    """Word for an effect size in [-1, 1], by `EFFECT_WORDS`; `negligible` below them."""
    return next((word for least, word in EFFECT_WORDS if abs(effect) >= least), "negligible")


def p_text(p: float) -> str:
    """Text of a p-value with two significant digits: `p = 0.026`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def methods_sentence(significance: Significance, metric: str = "AUROC") -> str:
    """Say whether the methods differ, by Friedman's and Nemenyi's tests; of two methods, what their pair says.

    `metric` names what the values are, for values in [0, 1] that are no AUROC.
    """
    n_methods, n_blocks = len(significance.methods), len(significance.blocks)
    if n_methods == 2:
        return pair_sentence(significance.pairs[0], metric)
    best = min(significance.methods, key=significance.mean_ranks.__getitem__)
    best_rank = f"{best} has the best mean rank, {significance.mean_ranks[best]:.2f} of {n_methods}."
    assert significance.kendall_w is not None
    effect = f"Kendall's W {significance.kendall_w:.2f} ({effect_word(significance.kendall_w)})"
    test = significance.friedman
    if test is None:
        return f"{_too_few(n_blocks)} {best_rank} {effect}."
    evidence = (
        f"Friedman chi-square {test.statistic:.2f}, {p_text(test.p)}; Iman and Davenport's F "
        f"{'infinite' if test.f_statistic == float('inf') else f'{test.f_statistic:.2f}'}, {p_text(test.f_p)}; {effect}"
    )
    if not test.is_supported:
        return f"No difference between the {n_methods} methods is supported on {n_blocks} blocks ({evidence})."
    apart = _told_apart(significance.mean_ranks, test.critical_difference)
    supported = "no pair is"
    if apart:  # the best method's and the worst's mean ranks are then
        worse = [worse for better, worse in apart if better == best]
        supported = f"{len(apart)} of {len(significance.pairs)} pairs are, and {best} is better than {listed(worse)}"
    return (
        f"The {n_methods} methods differ on {n_blocks} blocks ({evidence}). {best_rank} By Nemenyi's test, mean ranks "
        f"differ if they are {test.critical_difference:.2f} or more apart: {supported}."
    )


def pair_sentence(pair: PairedDifference, metric: str = "AUROC") -> str:
    """Say how two methods differ, the better one first, with effect size and whether it is supported.

    `metric` as in `methods_sentence`.
    """
    better, worse, wins, losses = pair.first, pair.second, pair.wins, pair.losses
    if (pair.rank_biserial, pair.wins - pair.losses) < (0, 0):
        better, worse, wins, losses = worse, better, losses, wins
    n_blocks = wins + losses + pair.ties
    if pair.ties == n_blocks:
        return f"{better} and {worse} are equal on all {n_blocks} blocks."
    sign = 1 if better == pair.first else -1
    ties = f" ({pair.ties} tied)" if pair.ties else ""
    numbers = (
        f"median difference {round(sign * 100 * pair.median_difference, 1) + 0.0:.1f} points of {metric}, "
        f"rank-biserial {abs(pair.rank_biserial):.2f} ({effect_word(pair.rank_biserial)})"
    )
    counts = f"{better} beats {worse} on {wins} of {n_blocks} blocks{ties}, {numbers}"
    if pair.p_holm is None:
        return f"{counts}. {_too_few(n_blocks)}"
    corrected = " after Holm's correction" if pair.comparisons > 1 else ""
    verdict = "the difference is supported" if pair.is_supported else "the difference is not supported"
    return f"{counts}, {p_text(pair.p_holm)}{corrected}: {verdict}."


def optimism_note(blocks: Sequence[Block]) -> str:
    """Say how far the blocks are from independent, as the tests take them to be."""
    n_datasets = len({dataset for dataset, _ in blocks})
    if n_datasets == len(blocks):
        return f"Each of the {len(blocks)} blocks is of another data set: they share no images."
    sets = "1 data set" if n_datasets == 1 else f"{n_datasets} data sets"
    return (
        f"The {len(blocks)} blocks come from {sets}. The tests take blocks as independent, but those of one data set "
        "share images: p-values are optimistic."
    )


def _too_few(n_blocks: int) -> str:
    blocks = "1 block" if n_blocks == 1 else f"{n_blocks} blocks"
    return f"No p-value is computed: all methods have {blocks}, and a test needs at least {MIN_BLOCKS}."


def listed(names: Sequence[str]) -> str:
    """Names as people list them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _told_apart(mean_ranks: Mapping[str, float], critical: float) -> list[tuple[str, str]]:
    """Pairs (better, worse) whose mean ranks are the critical difference or more apart."""
    order = sorted(mean_ranks, key=mean_ranks.__getitem__)
    return [(one, other) for one, other in combinations(order, 2) if mean_ranks[other] - mean_ranks[one] >= critical]
