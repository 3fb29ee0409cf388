"""Write what is made of tables in the code, as `MLproject` of the options: `python -m entrypoints.project --write`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from inspect import getdoc
from itertools import groupby
from pathlib import Path
from textwrap import fill

import click

from fanogan_mtl.data.sources.registry import REGISTRY as SOURCES
from fanogan_mtl.detectors.registry import REGISTRY as DETECTORS
from fanogan_mtl.detectors.registry import default_parameters, detector_class
from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.extractors.registry import REGISTRY as EXTRACTORS

ROOT = Path(__file__).parents[1]
ENTRIES = (
    "main", "benchmark", "pretrain", "hybrid", "report", "tune", "register", "preprocess", "score", "export", "monitor",
    "demo", "cache",
)  # fmt: skip
COMMON = {
    "epochs", "batch_size", "learning_rate", "weight_decay", "preprocessing", "device", "random_state", "contamination",
}  # fmt: skip
"""Parameters of detectors that the docs' table leaves out, as text around it tells of them."""
INDENT = " " * 6
MADE = "made by `python -m entrypoints.project --write` of fanogan_mtl/plan/options.py"


def made_files() -> dict[Path, str]:
    """Every file that is made of such a table, or has one in it, with its text."""
    commands = {entry: import_module(f"entrypoints.{entry}").main for entry in ENTRIES}
    docs = ROOT / "docs"
    return {
        ROOT / "MLproject": project_file(commands),
        docs / "parameters.md": parameters_page(commands),
        docs / "data.md": with_table(docs / "data.md", "sources", sources_table()),
        docs / "detectors.md": with_table(docs / "detectors.md", "detectors", detectors_table()),
        docs / "extractors.md": with_table(docs / "extractors.md", "extractors", extractors_table()),
        docs / "numbers.md": with_table(docs / "numbers.md", "metrics", metrics_table()),
    }


def with_table(page: Path, name: str, table: str) -> str:
    """Give a page with a table between its comments `<!-- NAME -->` and `<!-- end -->`."""
    opening, closing = f"<!-- {name} -->\n", "<!-- end -->"
    before, rest = page.read_text(encoding="utf-8").split(opening)
    return before + opening + table + closing + rest.split(closing)[1]


def sources_table() -> str:
    """Give the docs' table of kinds of source."""
    specs = {name: name if kind.takes is None else f"{name}:PATH" for name, kind in SOURCES.items()}
    return _table(("source", "what it is"), [(f"`{specs[name]}`", kind.description) for name, kind in SOURCES.items()])


def detectors_table() -> str:
    """Give the docs' table of detectors, of their classes' first paragraphs and constructors."""
    rows = []
    for name in DETECTORS:
        paragraph = " ".join((getdoc(detector_class(name)) or "").partition("\n\n")[0].split())
        own = {key: value for key, value in default_parameters(name).items() if key not in COMMON}
        rows.append((f"`{name}`", paragraph, ", ".join(f"`{key}` {_plain(value)}" for key, value in own.items())))
    return _table(("detector", "what it is, and where it is from", "parameters with their defaults"), rows)


def extractors_table() -> str:
    """Give the docs' table of extractors."""
    rows = [(f"`{name}`", kind.description, kind.sees.rstrip(",")) for name, kind in sorted(EXTRACTORS.items())]
    return _table(("extractor", "what it is", "learns from"), rows)


def metrics_table() -> str:
    """Give the docs' table of metrics."""
    better = {True: "higher", False: "lower", None: ""}
    rows = [
        (f"`{name}`", metric.unit, better[metric.higher_is_better], metric.meaning) for name, metric in METRICS.items()
    ]
    return _table(("metric", "unit", "better", "what it is"), rows)


def project_file(commands: dict[str, click.Command]) -> str:
    """Give the text of `MLproject`: each entry with its parameters, their defaults, and its command."""
    parts = [f"# {MADE}\nname: fanogan-mtl\n\nconda_env: conda.yaml\n\nentry_points:"]
    for entry, command in commands.items():
        lines = [f"  {entry}:", "    parameters:"]
        for option in _options(command):
            lines.append(f"      {option.name}: {{type: string, default: {json.dumps(option.default)}}}")
        words = [f"python -m entrypoints.{entry}", *(f"--{o.name} {{{o.name}}}" for o in _options(command))]
        joined = " ".join(word.replace(" ", "\0") for word in words)  # an option stays beside its value
        folded = fill(joined, 118, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False)
        parts.append("\n".join([*lines, "    command: >-", folded.replace("\0", " ")]) + "\n")
    return "\n".join([parts[0], *parts[1:]])


def parameters_page(commands: dict[str, click.Command]) -> str:
    """Give the text of the docs' page: every parameter with its default, its entries and what it means."""
    uses = [(str(o.name), str(o.help), str(o.default), entry) for entry in commands for o in _options(commands[entry])]
    order = list(dict.fromkeys((name, meaning) for name, meaning, _, _ in uses))
    rows = []
    for (name, meaning), own in groupby(sorted(uses, key=lambda use: order.index(use[:2])), key=lambda use: use[:2]):
        used = list(own)
        rows.append((f"`{name}`", _defaults([use[2:] for use in used]), _listed(used), meaning))
    entries = [(f"`{entry}`", str(command.help)) for entry, command in commands.items()]
    return f"""<!-- {MADE} -->

# Parameters

Every parameter of every entry. With MLflow they are written `mlflow run . -e ENTRY -P NAME=VALUE`, without it
`python -m entrypoints.ENTRY --NAME VALUE`; `python -m entrypoints.ENTRY --help` lists an entry's own.

{_table(("entry", "what it does"), entries)}
{_table(("parameter", "default", "entries", "what it means"), rows)}"""


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def _defaults(used: Sequence[tuple[str, str]]) -> str:
    """The default, or each entry's where they differ."""
    values = {default: [entry for each, entry in used if each == default] for default, _ in used}
    if len(values) == 1:
        return f"`{used[0][0]}`"
    return "; ".join(f"`{default}` ({', '.join(entries)})" for default, entries in values.items())


def _listed(used: Sequence[tuple[str, str, str, str]]) -> str:
    return ", ".join(entry for *_, entry in used)


def _plain(value: object) -> str:
    """A default as a table shows it: 128-64-32 of several widths."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table of Markdown, a line for each row."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (header, *rows)]
    return "".join(f"| {line} |\n" for line in lines).replace("\n", f"\n|{'---|' * len(header)}\n", 1)


@click.command()
@click.option("--write", is_flag=True, help="Write the files; without it, say which are out of date.")
def main(write: bool) -> None:
    """Make the files that follow from the code."""
    for path, text in made_files().items():
        current = path.is_file() and path.read_text(encoding="utf-8") == text
        if write and not current:
            path.write_text(text, encoding="utf-8")
        state = "up to date" if current else "written" if write else "out of date: run with --write"
        click.echo(f"{path.relative_to(ROOT)}: {state}")


if __name__ == "__main__":
    main()
