"""Chooses a model's heads: for each class the first seed, at the budget with the best validation AUROC."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.alarms import NormalScores
from fanogan_mtl.evaluation.conformal import conformal_threshold, kept_rate, lowest_percent, told_kept_rates, told_rate
from fanogan_mtl.evaluation.metrics import ASKED
from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.recording.summary import best_heads
from fanogan_mtl.sweep.cell import Cell
from fanogan_mtl.sweep.folds import FoldScores
from fanogan_mtl.sweep.result import DoneCell

WIDE = "\u2003"  # MLflow shows tables without a space between columns
Rates = tuple[float, ...]
BY_DEFAULT: Rates = (ASKED,)


@dataclass(frozen=True)
class ChosenHead:
    """A head that a model is going to have.

    Attributes
    ----------
    done : DoneCell
        The cell whose detector it is.
    budget : int
        Epochs, the best by validation AUROC.
    folds : FoldScores or None
        Of its training rows, where too few rows are held out for the false-alarm rates that are asked for.
    """

    done: DoneCell
    budget: int
    folds: FoldScores | None = None

    @property
    def cell(self) -> Cell:
        """The cell whose detector it is."""
        return self.done.cell

    @property
    def name(self) -> str:
        """`<data set>/<class>`."""
        return f"{self.cell.comparison.dataset.name}/{self.cell.normal_class}"

    @property
    def metrics(self) -> dict[str, float]:
        """As recorded, at its budget."""
        return self.done.result.metrics[self.budget]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of the test rows, as recorded, at its budget."""
        scores: NDArray[np.float64] = self.done.result.scores[sorted(self.done.result.metrics).index(self.budget)]
        return scores

    @property
    def of_normal(self) -> NormalScores:
        """Scores of normal rows, held out (those of its folds among them) and tested, as recorded, at its budget."""
        result = self.done.result
        assert result.normal_scores is not None, "of a version that kept none"
        held_out = result.normal_scores[sorted(result.metrics).index(self.budget)]
        if self.folds:
            held_out = np.concatenate([held_out, self.folds.scores])
        return NormalScores(held_out, self.scores[~result.anomaly])

    @property
    def told_held_out(self) -> str:
        """How many rows its thresholds rest on: `3`, or `3 + 27` with those of its folds."""
        n = len(self.of_normal.held_out)
        return f"{n - len(self.folds.scores)} + {len(self.folds.scores)}" if self.folds else f"{n:,}"

    def rate(self, asked: float) -> float:
        """The false-alarm rate that was asked for, or the lowest that it can promise."""
        return kept_rate(len(self.of_normal.held_out), asked)

    def false_alarms(self, asked: float) -> float:
        """Share of the normal test rows above its threshold for a false-alarm rate."""
        return self.of_normal.realised(self.rate(asked))

    def recall(self, asked: float) -> float:
        """Weighted share of the anomalies of the test above its threshold for a false-alarm rate."""
        result = self.done.result
        weights = None if result.weights is None else result.weights[result.anomaly]
        threshold = conformal_threshold(self.of_normal.held_out, self.rate(asked))
        return float(np.average(self.scores[result.anomaly] > threshold, weights=weights))


def heads_by_validation(comparisons: Sequence[Sequence[DoneCell]]) -> list[ChosenHead]:
    """Choose one head for each class of each comparison, see `best_heads`.

    Heads on features share one extractor (under `normal-only` one of each class), so all are of one seed: the one with
    the most cells.

    Parameters
    ----------
    comparisons : sequence of sequence of DoneCell
        Of each comparison its finished cells, at least one.
    """
    if comparisons[0][0].extractor_key is not None:
        seed = _fullest_seed([cell for cells in comparisons for cell in cells])
        comparisons = [[cell for cell in cells if cell.seed == seed] for cells in comparisons]
    return [
        ChosenHead(done, budget) for cells in comparisons for _, (done, budget) in sorted(best_heads(cells).items())
    ]


def model_key(heads: Sequence[ChosenHead], rates: Rates = BY_DEFAULT) -> str:
    """Digest of all that a model is made of."""
    parts = [(head.name, head.cell.key, head.budget, *(("folds",) if head.folds else ())) for head in heads]
    return hashlib.sha256(str(parts if rates == BY_DEFAULT else (parts, rates)).encode()).hexdigest()[:32]


def check_rates(heads: Sequence[ChosenHead], rates: Rates) -> None:
    """Raise `UserError` for a false-alarm rate that was asked for and that a head can't promise."""
    for rate in rates:
        for head in heads:
            try:
                conformal_threshold(head.of_normal.held_out, rate)
            except ValueError as error:
                raise UserError(f"false_alarm_rate: head {head.name}: {error}") from None


def description(heads: Sequence[ChosenHead], rates: Rates = BY_DEFAULT) -> str:
    """What a model is and what its heads reach, as Markdown."""
    label = heads[0].cell.comparison.label
    test = percent(fmean(head.metrics["auroc"] for head in heads))
    lines = [f"**{label}**: mean test AUROC of {len(heads)} heads {test} %. Validation data chose the epochs.", ""]
    for warning in warnings(heads, rates):
        lines += [f"**Warning**: {warning}.", ""]
    if folded := told_folds(heads):
        lines += [f"{folded}.", ""]
    asked = [f"{what} at {told_rate(rate)} %" for rate in rates for what in ("false alarms", "found")]
    names = ["head", "test AUROC", "validation AUROC", "held out", *asked, "epochs", "seed"]
    rows = [names, ["---"] * len(names)]
    for head in heads:
        of_rates = [share for rate in rates for share in (head.false_alarms(rate), head.recall(rate))]
        aurocs = [percent(head.metrics[name]) for name in ("auroc", "validation_auroc")]
        own = [head.told_held_out, *map(percent, of_rates), str(head.budget), str(head.cell.seed)]
        rows.append([head.name, *aurocs, *own])
    return "\n".join([*lines, *(f"| {f'{WIDE} | '.join(row)} |" for row in rows)])


def told_rates(heads: Sequence[ChosenHead], rates: Rates) -> Iterator[str]:
    """Say what the thresholds for each false-alarm rate do on the test."""
    unit, of = heads[0].cell.comparison.unit, f"{len(heads)} head{'s' * (len(heads) > 1)}"
    for rate in rates:
        alarms, found = (
            percent(fmean(values))
            for values in ([head.false_alarms(rate) for head in heads], [head.recall(rate) for head in heads])
        )
        kept = {head.rate(rate): len(head.of_normal.held_out) for head in heads}
        meant = "asked for" if max(kept) <= rate else "promised"
        yield (
            f"{told_kept_rates(kept)} % false alarms {meant}: on the test {alarms} % of normal {unit} are flagged, "
            f"and {found} % of anomalies found (mean of {of})"
        )
    if folded := told_folds(heads):
        yield folded


def told_folds(heads: Sequence[ChosenHead]) -> str:
    """Say which heads have thresholds by cross-validation; an empty text where none has."""
    folded = [head for head in heads if head.folds]
    if not folded:
        return ""
    fewest = min(folded, key=lambda head: len(head.of_normal.held_out)).told_held_out
    names = [head.name for head in folded]
    more = " or more" * any(head.told_held_out != fewest for head in folded)
    return (
        f"few {heads[0].cell.comparison.unit} are held out: thresholds by cross-validation in {_some(names, heads)}, "
        f"from {fewest}{more} held out + trained on, see docs/thresholds.md"
    )


def warnings(heads: Sequence[ChosenHead], rates: Rates = BY_DEFAULT) -> list[str]:
    """Say which heads can't promise the false-alarm rate, and which raise far more false alarms than they promise."""
    rate, unit = rates[0], heads[0].cell.comparison.unit
    said = []
    if few := {head.name: len(head.of_normal.held_out) for head in heads if head.rate(rate) > rate}:
        least = min(few.values())
        said.append(
            f"{least:,} held-out normal {unit}: the lowest false-alarm rate that can be promised is "
            f"{lowest_percent(least)} %, which is_anomaly means in {_some(few, heads)}"
        )
    if alarms := {head.name: head.false_alarms(rate) for head in heads if head.of_normal.too_many(head.rate(rate))}:
        rates_ = sorted(alarms.values())
        low, high = (f"{100 * each:.0f}" for each in (rates_[0], rates_[-1]))
        said.append(
            f"is_anomaly is true of {low if low == high else f'{low} to {high}'} % of the test's normal {unit}, where "
            f"{told_rate(rate)} % is asked for, in {_some(alarms, heads)}: they differ from the held-out ones, see "
            "docs/thresholds.md"
        )
    return said


def _some(names: Iterable[str], heads: Sequence[ChosenHead]) -> str:
    names = list(names)
    return f"{len(names)} of {len(heads)} heads ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _fullest_seed(cells: Sequence[DoneCell]) -> int:
    """The seed with the most cells; the smallest of equals."""
    numbers = Counter(sorted(cell.seed for cell in cells))
    return max(numbers, key=lambda seed: numbers[seed])
