"""What drift means in words, and the page that shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from fanogan_mtl.evaluation.conformal import told_rate
from fanogan_mtl.evaluation.drift import Drift
from fanogan_mtl.figures.drift import martingale_figure, p_values_figure
from fanogan_mtl.pages.content import NONE, Beside, Chart, Entry, Items, Page, PageBlock, Row, Table, Text, section
from fanogan_mtl.pages.render import render
from fanogan_mtl.scores.by_head import HeadScores

_MOST_HEADS = 12  # with figures
READING = (
    "Each image is ranked among the held-out ones and those before it. If nothing has changed, its p-value is any "
    "number between 0 and 1 alike, and a martingale that bets against that stays low. It grows where scores rise, "
    "fall, spread or come closer together."
)

HeadDrift = tuple[HeadScores, Drift]


def told_drift(scores: HeadScores, drift: Drift) -> str:
    """Say in one sentence what came out, and when there is an alarm."""
    some = f"{len(scores.paths):,} image{'s' * (len(scores.paths) != 1)}"
    numbers = (
        f"KS p = {drift.p_value:.2g}, an alarm is at {drift.p_value_limit:.2g} or below; greatest martingale value "
        f"{_told(drift.log_greatest)}, an alarm is at {_told(math.log(drift.martingale_limit))} or above"
    )
    held_out = f"like the {drift.n_normal:,} held-out ones"
    if not drift.is_alarm:
        return f"{scores.head.spec.name}: {some} look {held_out} ({numbers})"
    at = drift.first_alarm
    when = "alarm by all together" if at is None else f"first alarm at image {at + 1:,}, {scores.paths[at]}"
    higher = f"scores are higher than held-out ones in {100 * drift.higher:.0f} % of pairs"
    return f"{scores.head.spec.name}: {some} no longer look {held_out}: {when} ({higher}; {numbers})"


def told_error_rate(error_rate: float) -> str:
    """Say how often an alarm is false."""
    return f"Where nothing has changed, at most {told_rate(error_rate)} % of such checks give an alarm at any head."


def drift_page(title: str, found: Sequence[HeadDrift], error_rate: float) -> str:
    """Make the page: a sentence for each head, and figures of the first heads, with those that alarm before others."""
    shown = sorted(found, key=lambda each: not each[1].is_alarm)[:_MOST_HEADS]
    opening = (Items(tuple(told_drift(*each) for each in found)), Text(told_error_rate(error_rate)))
    every = section("All heads", partial(_all_heads, found, len(shown)))
    of_each = [section(scores.head.spec.name, partial(_figures, drift)) for scores, drift in shown]
    return render(Page(title, (every, *of_each), opening))


def _all_heads(found: Sequence[HeadDrift], n_shown: int) -> list[PageBlock]:
    columns = ("head", "images", "held-out", "pairs higher", "KS", "KS p", "greatest martingale", "first alarm")
    more = f" Figures are of {n_shown} of {len(found)} heads; the option heads chooses others." * (n_shown < len(found))
    return [Text(READING + more), Table("drift", "New images against held-out ones.", columns, tuple(map(_row, found)))]


def _row(found: HeadDrift) -> Row:
    scores, drift = found
    at = drift.first_alarm
    numbers = (
        Entry(f"{len(scores.paths):,}", {"images": len(scores.paths)}),
        Entry(f"{drift.n_normal:,}"),
        Entry(f"{100 * drift.higher:.0f} %"),
        Entry(f"{drift.statistic:.3f}"),
        Entry(f"{drift.p_value:.2g}"),
        Entry(_told(drift.log_greatest)),
        Entry(f"image {at + 1:,}" if at is not None else "all together" if drift.is_alarm else NONE),
    )
    return scores.head.spec.name, numbers


def _figures(drift: Drift) -> list[PageBlock]:
    path = martingale_figure(drift, "Martingale after each image")
    values = p_values_figure(drift, "P-values of the images; the line is where nothing has changed")
    return [
        Beside(
            (Chart(path, "the martingale after each image, and the line of an alarm"),),
            (Chart(values, "histogram of p-values"),),
        )
    ]


def _told(logarithm: float) -> str:
    """A value of the martingale for people."""
    power = logarithm / math.log(10)
    if power >= 7:
        return f"10^{power:.0f}"
    return f"{math.exp(logarithm):,.{1 if power < 1 else 0}f}"
