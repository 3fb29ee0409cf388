"""Exporting: heads of a model become one ONNX file, for programs that have no Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import click
from tqdm import tqdm

from fanogan_mtl.data.images.decode import ImageError
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.export.check import agreement
from fanogan_mtl.export.graph import check_exportable, onnx_file
from fanogan_mtl.plan.options import ExportOptions
from fanogan_mtl.plan.words import parse_output
from fanogan_mtl.recording.entry_run import entry_run
from fanogan_mtl.scores.images import list_images, read_image_file
from fanogan_mtl.scores.served import image_heads, load_with_example
from fanogan_mtl.tracking import records
from fanogan_mtl.tracking.connection import connect
from fanogan_mtl.tracking.records import Record, Value


def export(options: ExportOptions) -> int:
    """Write an ONNX file, and hold it against the model that it is made of.

    Returns
    -------
    int
        Exit status 0; 1 where a decision differs, with the file written.

    Raises
    ------
    UserError
        For an unknown model or head, a head that can't be exported, or an output that can't be written.
    """
    if options.model == "none":
        raise UserError("model: which one? Give its address, as models:/NAME/VERSION")
    files = {} if options.input == "none" else list_images(options.input)
    output = parse_output(options.output, (".onnx",))
    tracking = connect()
    model, example = load_with_example(options.model)
    heads = image_heads(model, options.model, options.heads)
    check_exportable(model, heads)
    with entry_run(tracking, "export", output.name, options) as run_id:
        content = onnx_file(model, heads)
        _write(output, content)
        with one_thread():  # as in training, for the same scores to the bit
            found = agreement(model, heads, content, chain(example, _images(files)))
        values = [
            Value("images", found.images, 0),
            Value("largest_relative_difference", found.difference, 0),
            Value("decisions_that_differ", found.decisions, 0),
        ]
        records.write(tracking, run_id, Record(values=values, time=records.now()))
    click.echo(found.told(len(heads)))
    click.echo(
        f"The file is {output} ({len(content) / 1e6:,.1f} MB); its figures are in run {run_id} in {tracking.shown}"
    )
    return 1 if found.decisions else 0


def _images(files: Mapping[str, Path]) -> Iterator[Pixels]:
    for name, path in tqdm(files.items(), desc="checking", unit="image", delay=2):
        try:
            yield read_image_file(path)
        except ImageError as error:
            click.echo(f"{name}: {error}", err=True)


def _write(path: Path, content: bytes) -> None:
    written = path.with_suffix(".partial.onnx")
    try:
        written.write_bytes(content)
        written.replace(path)
    except OSError as error:
        written.unlink(missing_ok=True)
        raise UserError(f"{path} can't be written ({error.strerror}): mend that, or choose another output") from None
