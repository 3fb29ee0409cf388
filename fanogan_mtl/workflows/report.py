"""The report: recorded comparisons become one HTML page beside the study's figures, with every number as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tqdm import tqdm

from fanogan_mtl.errors import UserError
from fanogan_mtl.pages.content import Page
from fanogan_mtl.pages.render import render
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import ReportOptions
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.recording.evidence import (
    Found,
    chosen_comparisons,
    main_extractors,
    origins,
    read_evidence,
    report_key,
    trained_extractors,
)
from fanogan_mtl.report.compose import Material, compose
from fanogan_mtl.report.export import write_numbers
from fanogan_mtl.supply.extractors import fetch_extractors
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.schema import ComparisonRun

PAGE = "report.html"


def report(options: ReportOptions, tracking: Tracking | None = None) -> int:
    """Write the report of an experiment's runs, and record it.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        For an unknown run, one of another experiment, a folder that can't be written, and where no cell has finished.
    """
    data_dir = read.parse_data_dir(options.data_dir)
    folder = _output_folder(options.output)
    tracking = tracking or connect()
    runs = chosen_comparisons(tracking, options.runs)
    found = read_evidence(tracking, runs, data_dir)
    with entry_run(tracking, "report", options.runs, options, data_dir=data_dir) as run_id:
        made = _compose(tracking, found, runs, data_dir)
        files = write_report(made, folder)
        record = Record(tags={schema.REPORT_KEY: report_key(runs)}, files=files, time=records.now())
        records.write(tracking, run_id, record)
    click.echo(f"\nThe report is {folder / PAGE}, its numbers are in results.csv and results.parquet beside it.")
    return 0


def write_report(made: Page, folder: Path) -> list[Path]:
    """Write the page and the tables; each file appears whole or not at all."""
    try:
        with TemporaryDirectory(dir=folder, prefix=".") as temporary:
            page = Path(temporary) / PAGE
            page.write_text(render(made), encoding="utf-8")
            return [file.replace(folder / file.name) for file in (*write_numbers(made, Path(temporary)), page)]
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}): mend that or choose another output") from None


def _output_folder(text: str) -> Path:
    folder = Path(text).expanduser().resolve()
    try:
        read.try_writing(folder)
    except OSError as error:
        raise UserError(f"output {text!r}: no folder that can be written ({error.strerror}); choose another") from None
    return folder


def _compose(tracking: Tracking, found: Found, runs: Sequence[ComparisonRun], data_dir: Path) -> Page:
    fetch_extractors(tracking, main_extractors(found).values(), data_dir)
    trained = trained_extractors(found, data_dir)
    material = Material(found.datasets, trained, origins(tracking, runs), data_dir)
    with tqdm(desc="writing", bar_format="{desc} {postfix}") as bar:
        return compose(found.evidence, material, lambda part: bar.set_postfix_str(part))
