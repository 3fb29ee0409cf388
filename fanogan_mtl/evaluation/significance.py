"""Tests which differences between methods are more than chance (Demšar 2006).

A block is one class of one data set, on which every method has an AUROC. SciPy and scikit-posthocs do the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Block = tuple[str, str]
"""A data set and the class that is normal in it."""

ALPHA = 0.05
MIN_BLOCKS = 6  # of five differences, even the clearest have a two-sided Wilcoxon p of 2 / 2^5 = 0.0625
_DECIMALS = 12  # AUROCs and differences that are equal but for the last bits of the arithmetic are ties


@dataclass(frozen=True)
class PairedDifference:
    """Two methods on the same blocks. Differences are those of the first method less those of the second, in AUROC.

    Attributes
    ----------
    first, second : names of the methods
    wins, ties, losses : blocks on which the first is better, equal and worse
    median_difference : in [-1, 1]
    rank_biserial : effect size in [-1, 1], the matched-pairs rank-biserial correlation (Kerby 2014): of the sum of all
        ranks of absolute differences, the share for the first less the share for the second
    statistic : Wilcoxon's signed-rank statistic, the smaller rank sum; ranks of zero differences are split as Demšar
        does. None, as both p, below `MIN_BLOCKS`
    p : two-sided
    p_holm : p after Holm's correction for all pairs
    comparisons : number of these pairs
    """

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    median_difference: float
    rank_biserial: float
    statistic: float | None
    p: float | None
    p_holm: float | None
    comparisons: int

    @property
    def is_supported(self) -> bool:
        """Whether the corrected p is below `ALPHA`."""
        return self.p_holm is not None and self.p_holm < ALPHA


@dataclass(frozen=True)
class FriedmanTest:
    """Whether any of three or more methods differ, and which do.

    Attributes
    ----------
    statistic, p : Friedman's chi-square, corrected for ties, and its p
    f_statistic, f_p : Iman and Davenport's F of it, which is less conservative; infinite, and 0, where all blocks agree
    critical_difference : of mean ranks, at `ALPHA` (Nemenyi)
    nemenyi_p : method -> method -> p; 1 on the diagonal
    groups : methods not told apart, the best mean rank first; a method can be in several and in none. Where F's p is
        not below `ALPHA`, one group of all: Demšar goes on to Nemenyi's test only below it
    """

    statistic: float
    p: float
    f_statistic: float
    f_p: float
    critical_difference: float
    nemenyi_p: dict[str, dict[str, float]]
    groups: list[list[str]]

    @property
    def is_supported(self) -> bool:
        """Whether Iman and Davenport's p is below `ALPHA`."""
        return self.f_p < ALPHA


@dataclass(frozen=True)
class Significance:
    """What a table of methods and blocks supports.

    Attributes
    ----------
    methods : in the table's order
    blocks : that all methods have, in the first method's order
    mean_ranks : method -> mean over blocks of its rank, 1 the best, ties averaged
    kendall_w : agreement of the blocks' ranks, an effect size in [0, 1]; None for two methods
    friedman : None for two methods, and below `MIN_BLOCKS`
    pairs : of all methods, in their order
    """

    methods: list[str]
    blocks: list[Block]
    mean_ranks: dict[str, float]
    kendall_w: float | None
    friedman: FriedmanTest | None
    pairs: list[PairedDifference]


def compare(table: Mapping[str, Mapping[Block, float]]) -> Significance:
    """Test which of the methods differ.

    Parameters
    ----------
    table : method -> (data set, class) -> AUROC in [0, 1]; the blocks that all methods have are used

    Raises
    ------
    ValueError
        For fewer than two methods, no block that all have, and a value outside [0, 1].
    """
    methods = list(table)
    if len(methods) < 2:
        raise ValueError(f"needs two methods or more, got {len(methods)}")
    blocks = [block for block in table[methods[0]] if all(block in table[method] for method in methods)]
    if not blocks:
        raise ValueError(f"no block has a value of every method: {', '.join(methods)}")
    values = np.array([[table[method][block] for method in methods] for block in blocks], np.float64)
    n_bad = np.count_nonzero(~((values >= 0) & (values <= 1)))
    if n_bad:
        raise ValueError(f"{n_bad} of {values.size} values are no AUROC in [0, 1]")
    values = np.round(values, _DECIMALS)
    ranks = _ranks(-values)
    mean_ranks = dict(zip(methods, ranks.mean(axis=0).tolist(), strict=True))
    return Significance(
        methods=methods,
        blocks=blocks,
        mean_ranks=mean_ranks,
        kendall_w=_kendall_w(ranks) if len(methods) > 2 else None,
        friedman=_friedman(values, mean_ranks) if len(methods) > 2 and len(blocks) >= MIN_BLOCKS else None,
        pairs=_pairs(methods, values),
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of each row, the least first, ties averaged."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(values, axis=-1)
    return ranks


def _kendall_w(ranks: NDArray[np.float64]) -> float:
    """Variance of the mean ranks over the variance of all ranks, which corrects for ties; 0 if all are ties."""
    spread = ranks.var(axis=1).mean()
    return float(ranks.mean(axis=0).var() / spread) if spread > 0 else 0.0


def _friedman(values: NDArray[np.float64], mean_ranks: Mapping[str, float]) -> FriedmanTest:
    from scikit_posthocs import posthoc_nemenyi_friedman  # takes three seconds
    from scipy.stats import f, friedmanchisquare, studentized_range

    n, k = values.shape
    statistic, p = 0.0, 1.0
    if np.ptp(values, axis=1).any():
        statistic, p = map(float, friedmanchisquare(*values.T))
    rest = n * (k - 1) - statistic
    f_statistic = (n - 1) * statistic / rest if rest > 1e-9 * n * k else float("inf")
    f_p = float(f.sf(f_statistic, k - 1, (k - 1) * (n - 1)))
    critical = float(studentized_range.ppf(1 - ALPHA, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))
    matrix = posthoc_nemenyi_friedman(values).to_numpy().tolist()
    methods = list(mean_ranks)
    return FriedmanTest(
        statistic=statistic,
        p=p,
        f_statistic=f_statistic,
        f_p=f_p,
        critical_difference=critical,
        nemenyi_p={method: dict(zip(methods, row, strict=True)) for method, row in zip(methods, matrix, strict=True)},
        groups=_groups(mean_ranks, critical if f_p < ALPHA else float("inf")),
    )


def _groups(mean_ranks: Mapping[str, float], critical: float) -> list[list[str]]:
    """Largest groups of two or more whose mean ranks are all less than the critical difference apart."""
    order = sorted(mean_ranks, key=mean_ranks.__getitem__)
    groups: list[list[str]] = []
    reached = 0
    for start, best in enumerate(order):
        group = [method for method in order[start:] if mean_ranks[method] - mean_ranks[best] < critical]
        if len(group) > 1 and start + len(group) > reached:  # else it is part of the group before
            groups.append(group)
        reached = start + len(group)
    return groups


def _pairs(methods: Sequence[str], values: NDArray[np.float64]) -> list[PairedDifference]:
    pairs = list(combinations(range(len(methods)), 2))
    differences = [np.round(values[:, i] - values[:, j], _DECIMALS) for i, j in pairs]
    tests = [_wilcoxon(each) for each in differences] if len(values) >= MIN_BLOCKS else None
    corrected = _holm([p for _, p in tests]) if tests else None
    return [
        PairedDifference(
            first=methods[i],
            second=methods[j],
            wins=int(np.sum(each > 0)),
            ties=int(np.sum(each == 0)),
            losses=int(np.sum(each < 0)),
            median_difference=float(np.median(each)),
            rank_biserial=float(np.sum(np.sign(each) * _ranks(np.abs(each))) * 2 / (len(each) * (len(each) + 1))),
            statistic=tests[position][0] if tests else None,
            p=tests[position][1] if tests else None,
            p_holm=corrected[position] if corrected else None,
            comparisons=len(pairs),
        )
        for position, ((i, j), each) in enumerate(zip(pairs, differences, strict=True))
    ]


def _wilcoxon(differences: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import wilcoxon

    result = wilcoxon(differences, zero_method="zsplit")
    return float(result.statistic), float(result.pvalue)


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the smallest p times their number, the next times one less, and so on."""
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in corrected]
