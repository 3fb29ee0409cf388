"""Scoring: a folder of images through a model's heads, into a table and a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click
from tqdm import tqdm

from fanogan_mtl.data.cache import digest_of
from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import ScoreOptions
from fanogan_mtl.plan.words import parse_rate, try_writing
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.scores.contact_sheet import ScoreSummary, contact_sheet, summarise_scores
from fanogan_mtl.scores.decisions import Decision, check_decision, decided, thresholds_of
from fanogan_mtl.scores.images import list_images, masks_among, read_image_file
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.scores.table import ScoredRow, UnfinishedTable, append, complete, open_journal, read_rows
from fanogan_mtl.serving.heads import Head, Model
from fanogan_mtl.serving.requests import answer_table
from fanogan_mtl.serving.scoring import CHUNK_IMAGES, named_heads, score_images
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record

_MASK = "a mask, by its name or its folder's: rename it to have it scored"


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
    output = _parse_output(options.output)
    tracking = connect()
    model = load_served(options.model)
    heads = _heads(model, options)
    decision = _decision(options)
    check_decision(decision, heads)
    facts = {
        "model": options.model,
        "heads": ", ".join(head.spec.name for head in heads),
        "input": str(Path(options.input).expanduser().resolve()),
        "heads' digest": _digest(heads),
    }
    with (
        open_journal(output, facts, [head.spec.name for head in heads]) as journal,
        entry_run(tracking, "score", Path(options.input).name, options) as run_id,
    ):
        with one_thread():  # as in training and in service, for the same scores to the bit
            masks = masks_among(files) if Path(options.input).expanduser().is_dir() else set()
            _score_files(journal, model, heads, files, masks)
            thresholds = thresholds_of(decision, heads, read_rows(journal.path))
            summary = summarise_scores(decided(read_rows(journal.path), thresholds), thresholds)
            page = output.with_suffix(".html")
            _write_page(page, contact_sheet(_title(options), decision.told(heads), summary, model, heads, files))
        complete(journal, decided(read_rows(journal.path), thresholds), output)
        values = [records.Value("images", summary.images, 0), records.Value("errors", summary.errors, 0)]
        records.write(tracking, run_id, Record(values=values, files=[page], time=records.now()))
    _print(tracking, run_id, output, summary, decision.told(heads))
    return 0


def _decision(options: ScoreOptions) -> Decision:
    by_model, no_fdr = options.false_alarm_rate == "model", options.fdr == "none"
    if not by_model and not no_fdr:
        raise UserError("false_alarm_rate and fdr: one of them, please")
    return Decision(
        None if by_model else parse_rate("false_alarm_rate", options.false_alarm_rate),
        None if no_fdr else parse_rate("fdr", options.fdr),
    )


def _parse_output(text: str) -> Path:
    """Where the table goes; its folder is made, and tried."""
    output = Path(text).expanduser().absolute()
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"output {text!r}: a name that ends in .csv or .parquet, please")
    if output.is_dir():
        raise UserError(f"output {text!r} is a folder: give the name of a file")
    try:
        try_writing(output.parent)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"output {text!r}: {str(output.parent)!r} is no folder: choose another place") from None
    except OSError as error:
        raise UserError(f"output {text!r} can't be written ({error.strerror}): choose another place") from None
    return output


def _heads(model: Model, options: ScoreOptions) -> tuple[Head, ...]:
    if not model.takes_images:
        raise UserError(f"model {options.model} scores vectors: name one of images")
    try:
        return named_heads(model, options.heads)
    except ValueError as error:
        raise UserError(str(error)) from None


def _digest(heads: Sequence[Head]) -> str:
    """What tells a model's heads from those of another under the same address, as an alias may be moved."""
    content = [(asdict(head.spec), head.threshold) for head in heads]
    return digest_of(content)[:16]


def _score_files(
    journal: UnfinishedTable, model: Model, heads: Sequence[Head], files: dict[str, Path], masks: set[str]
) -> None:
    """Score what the journal lacks, chunk by chunk; masks are rows with an error."""
    remaining = iter([name for name in files if name not in journal.done])
    interval = 0.1 if os.isatty(2) else 10
    with tqdm(total=len(files), initial=len(journal.done), unit="image", mininterval=interval) as bar:
        while names := list(islice(remaining, CHUNK_IMAGES)):
            append(journal, _rows(model, heads, {name: files[name] for name in names}, masks))
            bar.update(len(names))


def _rows(model: Model, heads: Sequence[Head], files: dict[str, Path], masks: set[str]) -> list[ScoredRow]:
    errors: dict[str, str] = {}

    def images() -> Iterator[Pixels]:
        for name, path in files.items():
            if name in masks:
                errors[name] = _MASK
                continue
            try:
                yield read_image_file(path)
            except ImageError as error:
                errors[name] = str(error)

    try:
        scores = score_images(model, heads, images())
    except ValueError as error:  # a score of infinity, as of pixels that training never saw
        if len(files) == 1:
            return [ScoredRow(name, error=str(error).removeprefix("image 0: ")) for name in files]
        return [row for name, path in files.items() for row in _rows(model, heads, {name: path}, masks)]
    table = answer_table(tuple(heads), scores).drop(columns="image").astype(object)
    scored = table.where(table.notna(), None).itertuples(index=False, name=None)  # older models have no p-values
    return [
        row
        for name in files
        for row in (
            [ScoredRow(name, error=errors[name])] if name in errors else [ScoredRow(name, *next(scored)) for _ in heads]
        )
    ]


def _title(options: ScoreOptions) -> str:
    return f"{Path(options.input).name}, scored by {options.model}"


def _write_page(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} can't be written ({error.strerror}): mend that and start the same command again to go on"
        ) from None


def _print(tracking: Tracking, run_id: str, output: Path, summary: ScoreSummary, decision: str) -> None:
    click.echo(f"Anomalies, by {decision}:")
    for name, anomalies in summary.anomalies.items():
        click.echo(f"{name:40} {anomalies:9,} of {summary.images:,} images above the threshold")
    if summary.errors:
        some = f"{summary.errors:,} image{'s' * (summary.errors != 1)}"
        click.echo(f"{some} could not be read: see the column error")
    click.echo(
        f"\nScores are in {output}, the most anomalous images in {output.with_suffix('.html')} "
        f"and in run {run_id} in {tracking.shown}"
    )
