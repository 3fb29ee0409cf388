"""Which thresholds decide in a table of scores: for a false-alarm rate, or, with all scores, a false-discovery rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.conformal import (
    discovery_threshold,
    fewest_discoveries,
    lowest_percent,
    lowest_rate,
    told_kept_rates,
    told_rate,
)
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.heads import Head


@dataclass(frozen=True)
class Decision:
    """What `is_anomaly` means in a table.

    Attributes
    ----------
    false_alarm_rate : float or None
        Share of normal images that it may be true of; None for what the heads were registered with.
    discovery_rate : float or None
        Instead of that, the share of normal images among those that it is true of.
    """

    false_alarm_rate: float | None = None
    discovery_rate: float | None = None

    def told(self, heads: Sequence[Head]) -> str:
        """For people: `a false-alarm rate of 10 %`."""
        if self.discovery_rate is not None:
            return f"a false-discovery rate of {told_rate(self.discovery_rate)} %"
        if not all(head.promises for head in heads):
            return "the detectors' own thresholds"
        asked = self.false_alarm_rate
        rates = {
            head.spec.false_alarm_rate if asked is None else asked: len(head.spec.calibration.unseen) for head in heads
        }
        return f"a false-alarm rate of {told_kept_rates(rates)} %"


def check_decision(decision: Decision, heads: Sequence[Head]) -> None:
    """Raise `UserError` for rates that a head can't promise, or at which it could find nothing among any images."""
    if decision.discovery_rate is not None:
        for head in heads:
            _check_discovery_rate(head, decision.discovery_rate)
    elif decision.false_alarm_rate is not None:
        try:
            for head in heads:
                head.threshold_at(decision.false_alarm_rate)
        except ValueError as error:
            raise UserError(f"false_alarm_rate: {error}") from None


def thresholds_of(decision: Decision, heads: Sequence[Head], rows: Iterable[ScoredRow]) -> dict[str, float]:
    """Each head's threshold for a table of all images; infinity where a false-discovery rate finds nothing."""
    if decision.discovery_rate is not None:
        return _discovery_thresholds(heads, rows, decision.discovery_rate)
    rate = decision.false_alarm_rate
    return {head.spec.name: head.threshold if rate is None else head.threshold_at(rate) for head in heads}


def decided(rows: Iterable[ScoredRow], thresholds: Mapping[str, float]) -> Iterator[ScoredRow]:
    """Rows with other thresholds, and what they decide."""
    for row in rows:
        if row.score is None or row.head not in thresholds:
            yield row
        else:
            threshold = thresholds[row.head]
            yield row._replace(threshold=threshold, is_anomaly=row.score > threshold)


def told_limits(decision: Decision, heads: Sequence[Head], found: Mapping[str, int], images: int) -> list[str]:
    """Say of each head that found nothing how many images it could have found at least, where a single one was too few.

    Parameters
    ----------
    decision : Decision
    heads : sequence of Head
    found : mapping
        Name of a head -> images above its threshold.
    images : int
        That were scored.
    """
    if decision.discovery_rate is None:
        return []
    told = []
    for head in heads:
        n = len(head.spec.calibration.unseen)
        fewest = fewest_discoveries(n, images, decision.discovery_rate)
        if fewest > 1 and not found[head.spec.name]:
            told.append(
                f"{head.spec.name}: at this rate {n:,} held-out images find anomalies among {images:,} images "
                f"only where {fewest:,} or more stand out; false_alarm_rate finds single ones"
            )
    return told


def _check_discovery_rate(head: Head, rate: float) -> None:
    if not head.promises:
        raise UserError(f"fdr: head {head.spec.name} has no held-out scores: register its model anew")
    n = len(head.spec.calibration.unseen)
    if lowest_rate(n) > rate:
        raise UserError(
            f"fdr: head {head.spec.name} has {n:,} held-out normal scores, too few to find anything at "
            f"{told_rate(rate)} %: {lowest_percent(n)} % is the lowest"
        )


def _discovery_thresholds(heads: Sequence[Head], rows: Iterable[ScoredRow], rate: float) -> dict[str, float]:
    scores: dict[str, list[float]] = {head.spec.name: [] for head in heads}
    for row in rows:
        if row.score is not None:
            scores[row.head].append(row.score)
    return {
        head.spec.name: discovery_threshold(head.spec.calibration.unseen, scores[head.spec.name], rate)
        for head in heads
    }
