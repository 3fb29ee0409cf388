"""Write what is made of tables in the code, as `MLproject` of the options: `python -m entrypoints.project --write`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from textwrap import fill

import click

from fanogan_mtl.evaluation.metrics import METRICS

ROOT = Path(__file__).parents[1]
ENTRIES = (
    "main", "benchmark", "pretrain", "hybrid", "report", "tune", "register", "preprocess", "score", "demo", "cache",
)  # fmt: skip
INDENT = " " * 6
MADE = "made by `python -m entrypoints.project --write` of fanogan_mtl/plan/options.py"


def made_files() -> dict[Path, str]:
    """Every file that is made of such a table, or has one in it, with its text."""
    commands = {entry: import_module(f"entrypoints.{entry}").main for entry in ENTRIES}
    numbers = ROOT / "docs" / "numbers.md"
    return {
        ROOT / "MLproject": project_file(commands),
        ROOT / "docs" / "parameters.md": parameters_page(commands),
        numbers: with_table(numbers.read_text(encoding="utf-8"), "metrics", metrics_table()),
    }


def with_table(page: str, name: str, table: str) -> str:
    """Put a table between the comments `<!-- NAME -->` and `<!-- end -->` of a page."""
    before, opening, rest = page.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition("<!-- end -->")
    return f"{before}{opening}{table}\n{closing}{after}"


def metrics_table() -> str:
    """Give the docs' table of metrics."""
    better = {True: "higher", False: "lower", None: ""}
    rows = [
        f"| `{name}` | {metric.unit} | {better[metric.higher_is_better]} | {_escaped(metric.meaning)} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(["| metric | unit | better | |", "|---|---|---|---|", *rows])


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
        rows.append(f"| `{name}` | {_defaults([use[2:] for use in used])} | {_listed(used)} | {_escaped(meaning)} |")
    entries = "\n".join(f"| `{entry}` | {_escaped(str(command.help))} |" for entry, command in commands.items())
    return f"""<!-- {MADE} -->

# Parameters

Every parameter of every entry. With MLflow they are written `mlflow run . -e ENTRY -P NAME=VALUE`, without it
`python -m entrypoints.ENTRY --NAME VALUE`; `python -m entrypoints.ENTRY --help` lists an entry's own.

| entry | what it does |
|---|---|
{entries}

| parameter | default | entries | what it means |
|---|---|---|---|
{chr(10).join(rows)}
"""


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


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


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
