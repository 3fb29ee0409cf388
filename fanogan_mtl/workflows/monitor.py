"""Monitoring: whether new images still look like those that a model's heads held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.drift import detect_drift, fewest_scores
from fanogan_mtl.plan.options import MonitorOptions
from fanogan_mtl.plan.words import parse_output, parse_rate
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.scores.by_head import TABLES, ScoredImages, read_scores, scores_of_rows
from fanogan_mtl.scores.drift_page import HeadDrift, drift_page, told_drift, told_error_rate
from fanogan_mtl.scores.files import score_files
from fanogan_mtl.scores.images import list_images, masks_among, shown_name
from fanogan_mtl.scores.served import image_heads, load_served
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.tracking.records import Record, Value


def monitor(options: MonitorOptions) -> int:
    """Hold scores of new images against those of held-out ones, and say whether they still look alike.

    Returns
    -------
    int
        Exit status 0, also after an alarm, which is an answer.

    Raises
    ------
    UserError
        For an unknown model or head, one without held-out scores, too few images, a table of something else, or an
        output that can't be written.
    """
    if options.model == "none":
        raise UserError("model: which one? Give its address, as models:/NAME/VERSION")
    error_rate = parse_rate("error_rate", options.error_rate)
    is_table = options.input.lower().endswith(TABLES) and not Path(options.input).expanduser().is_dir()
    files = {} if is_table else list_images(options.input)
    output = parse_output(options.output, (".html",))
    tracking = connect()
    model = load_served(options.model)
    heads = image_heads(model, options.model, options.heads)
    _check_promises(heads, options)
    own_rate = error_rate / len(heads)  # Bonferroni
    if is_table:
        scored = read_scores(Path(options.input).expanduser(), heads)
    else:
        _check_number(len(files), heads, own_rate, options)
        scored = _score(model, heads, files, options)
    _tell_errors(scored)
    _check_number(min(len(each.scores) for each in scored.of_heads), heads, own_rate, options)
    found = [
        (each, detect_drift(each.head.spec.calibration.held_out, each.scores, own_rate)) for each in scored.of_heads
    ]
    with entry_run(tracking, "monitor", Path(options.input).name, options) as run_id:
        title = f"{shown_name(Path(options.input).name)} and the held-out images of {options.model}"
        _write_page(output, drift_page(title, found, error_rate))
        values = list(_values(found, len(scored.errors)))
        records.write(tracking, run_id, Record(values=values, files=[output], time=records.now()))
    for each in found:
        click.echo(told_drift(*each))
    click.echo(told_error_rate(error_rate))
    click.echo(f"\nFigures are in {output} and in run {run_id} in {tracking.shown}")
    return 0


def _check_promises(heads: Sequence[Head], options: MonitorOptions) -> None:
    for head in heads:
        if not head.promises:
            raise UserError(f"model {options.model}: head {head.spec.name} has no held-out scores: register it anew")


def _check_number(number: int, heads: Sequence[Head], error_rate: float, options: MonitorOptions) -> None:
    """Raise `UserError` for so few images that no scores at all could be an alarm."""
    needed = max(fewest_scores(len(head.spec.calibration.held_out), error_rate) for head in heads)
    if number < needed:
        raise UserError(
            f"input {options.input!r}: of {number} image{'s' * (number != 1)} nothing can be told at error_rate "
            f"{options.error_rate}: give {needed} at least"
        )


def _score(model: Model, heads: Sequence[Head], files: dict[str, Path], options: MonitorOptions) -> ScoredImages:
    masks = masks_among(files) if Path(options.input).expanduser().is_dir() else set()
    with one_thread():  # as in training, for the same scores to the bit
        return scores_of_rows((row for rows in score_files(model, heads, files, masks) for row in rows), heads)


def _tell_errors(scored: ScoredImages) -> None:
    if scored.errors:
        path, reason = next(iter(scored.errors.items()))
        some = f"{len(scored.errors):,} file{'s' * (len(scored.errors) != 1)}"
        click.echo(f"{some} could not be scored, the first is {path}: {reason}")


def _values(found: Sequence[HeadDrift], n_errors: int) -> Iterator[Value]:
    yield Value("images", len(found[0][0].scores), 0)
    yield Value("errors", n_errors, 0)
    yield Value("alarms", sum(drift.is_alarm for _, drift in found), 0)
    for scores, drift in found:
        name = scores.head.spec.name
        yield Value(f"{name}/ks_p_value", drift.p_value, 0)
        yield Value(f"{name}/log_martingale_max", drift.log_greatest, 0)
        if drift.first_alarm is not None:
            yield Value(f"{name}/first_alarm", drift.first_alarm + 1, 0)


def _write_page(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written ({error.strerror}): mend that, or choose another output") from None
