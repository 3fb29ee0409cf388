"""Scoring: a folder of images through a model's heads, into a table and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import ScoreOptions
from fanogan_mtl.plan.words import parse_folder, parse_output, parse_rate
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.scores.contact_sheet import ScoreSummary, contact_sheet, summarise_scores
from fanogan_mtl.scores.decisions import Decision, check_decision, decided, thresholds_of, told_limits
from fanogan_mtl.scores.files import score_files
from fanogan_mtl.scores.images import list_images, masks_among, shown_name
from fanogan_mtl.scores.maps import check_maps, write_maps
from fanogan_mtl.scores.served import image_heads, load_served
from fanogan_mtl.scores.table import append_rows, complete, open_journal, read_rows
from fanogan_mtl.serving.heads import Head
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record


def score(options: ScoreOptions) -> int:
    """Score images by a model out of MLflow; what an interrupted run has finished is kept, and it goes on.

    Returns
    -------
    int
        Exit status 0, also where some images couldn't be read.

    Raises
    ------
    UserError
        For an unknown model or head, no images, or an output that can't be written.
    """
    if options.model == "none":
        raise UserError("model: which one? Give its address, as models:/NAME/VERSION")
    files = list_images(options.input)
    output = parse_output(options.output, (".csv", ".parquet"))
    check_maps(options.maps, options.input, files)
    maps = parse_folder("maps", options.maps)
    tracking = connect()
    model = load_served(options.model)
    heads = image_heads(model, options.model, options.heads)
    decision = _decision(options)
    check_decision(decision, heads)
    facts = {
        "model": options.model,
        "heads": ", ".join(head.spec.name for head in heads),
        "input": str(Path(options.input).expanduser().resolve()),
        "heads' digest": _digest(heads),
    } | ({"maps": str(maps)} if maps else {})
    with (
        open_journal(output, facts, [head.spec.name for head in heads]) as journal,
        entry_run(tracking, "score", Path(options.input).name, options) as run_id,
    ):
        with one_thread():  # as in training and in service, for the same scores to the bit
            masks = masks_among(files) if Path(options.input).expanduser().is_dir() else set()
            for rows in score_files(model, heads, files, masks, journal.done):
                if maps:  # first, so that no row is without
                    write_maps(maps, model, heads, {row.path: files[row.path] for row in rows if row.head})
                append_rows(journal, rows)
            thresholds = thresholds_of(decision, heads, read_rows(journal.path))
            summary = summarise_scores(decided(read_rows(journal.path), thresholds), thresholds)
            page = output.with_suffix(".html")
            _write_page(page, contact_sheet(_title(options), decision, summary, model, heads, files))
        complete(journal, decided(read_rows(journal.path), thresholds), output)
        values = [records.Value("images", summary.images, 0), records.Value("errors", summary.errors, 0)]
        records.write(tracking, run_id, Record(values=values, files=[page], time=records.now()))
    _print(tracking, run_id, output, maps, summary, decision, heads)
    return 0


def _decision(options: ScoreOptions) -> Decision:
    by_model, no_fdr = options.false_alarm_rate == "model", options.fdr == "none"
    if not by_model and not no_fdr:
        raise UserError("false_alarm_rate and fdr: one of them, please")
    return Decision(
        None if by_model else parse_rate("false_alarm_rate", options.false_alarm_rate),
        None if no_fdr else parse_rate("fdr", options.fdr),
    )


def _digest(heads: Sequence[Head]) -> str:
    """What tells a model's heads from those of another under the same address, as an alias may be moved."""
    content = [(asdict(head.spec), head.threshold) for head in heads]
    return digest_of(content)[:16]


def _title(options: ScoreOptions) -> str:
    return f"{shown_name(Path(options.input).name)}, scored by {options.model}"


def _write_page(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} can't be written ({error.strerror}): mend that and start the same command again to go on"
        ) from None


def _print(
    tracking: Tracking,
    run_id: str,
    output: Path,
    maps: Path | None,
    summary: ScoreSummary,
    decision: Decision,
    heads: Sequence[Head],
) -> None:
    click.echo(f"Anomalies, by {decision.told(heads)}:")
    for name, anomalies in summary.anomalies.items():
        click.echo(f"{name:40} {anomalies:9,} of {summary.images:,} images above the threshold")
    for line in told_limits(decision, heads, summary.anomalies, summary.images - summary.errors):
        click.echo(line)
    if summary.errors:
        some = f"{summary.errors:,} image{'s' * (summary.errors != 1)}"
        click.echo(f"{some} could not be read: see the column error")
    click.echo(f"\nAnomaly maps are in {maps}" if maps else "")
    click.echo(
        f"Scores are in {output}, the most anomalous images in {output.with_suffix('.html')} "
        f"and in run {run_id} in {tracking.shown}"
    )
