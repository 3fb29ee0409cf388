"""What a report consists of: sections of text, tables, figures and pictures, before anything is HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fanogan_mtl.evaluation.statistics import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

NOT_RUN = "not run"
NONE = "–"


@dataclass(frozen=True)
class Entry:
    """One entry of a table: what a person reads, and the numbers in it.

    Attributes
    ----------
    text : str
    numbers : dict
        What it is (`mean`, `std`, ...) to its value, in the unit of the table; shares in [0, 1].
    best : bool
        Whether it is the best of its row.
    marked : bool
        Whether it is of a marked comparison, not to be taken as it stands.
    """

    text: str
    numbers: dict[str, float] = field(default_factory=dict)
    best: bool = False
    marked: bool = False


Row = tuple[str, tuple[Entry, ...]]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    name : str
        Unique on the page.
    caption : str
    columns : tuple of str
        Heads; the first is that of the rows' names.
    rows : tuple of (str, tuple of Entry)
        Each with its name.
    folded : bool
        Whether it is shown when asked for.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False

    @property
    def is_prose(self) -> bool:
        """Whether it holds words alone."""
        return not any(entry.numbers for _, entries in self.rows for entry in entries)


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is `plain`, `note` (what to be careful about) or `answer` (what a section comes to)."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Commands:
    """Commands that a person may copy, with what they are for."""

    text: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A figure with its numbers as a table."""

    figure: go.Figure
    table: Table


@dataclass(frozen=True)
class Picture:
    """An image in a data URL; `label` is read where it can't be seen, `caption` stands below."""

    url: str
    label: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures, each row with its name; shown when asked for."""

    title: str
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]


Block = Text | Commands | Table | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """A part of the page; `anchor` is its address there."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    summary: tuple[Block, ...]
    sections: tuple[Section, ...]

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every table on the page, those of figures too, with the title of its section."""
        for title, blocks in [("Summary", self.summary), *((each.title, each.blocks) for each in self.sections)]:
            for block in blocks:
                if isinstance(block, Table):
                    yield title, block
                elif isinstance(block, Chart):
                    yield title, block.table


def share(mean: float | None, std: float | None = None, absent: str = NOT_RUN, marked: bool = False) -> Entry:
    """Make an entry of a share in [0, 1], in percent for people; one of a marked comparison has an asterisk."""
    if mean is None:
        return Entry(absent)
    numbers = {"mean": mean} | ({} if std is None else {"std": std})
    return Entry(percent(mean, std) + "*" * marked, numbers, marked=marked)


def number(value: float | None, text: str = "{:.3g}", absent: str = NONE) -> Entry:
    """Make an entry of a number."""
    return Entry(absent) if value is None else Entry(text.format(value), {"value": float(value)})


def words(text: str) -> Entry:
    """Make an entry without a number."""
    return Entry(text)


def best_marked(entries: Sequence[Entry], key: str = "mean") -> tuple[Entry, ...]:
    """Say which is the greatest of a row, where there are two at least to choose from; equals as shown are all best.

    A marked comparison is only the best of a row in which all are marked.
    """
    sound = [entry for entry in entries if key in entry.numbers and not entry.marked]
    of = sound or [entry for entry in entries if key in entry.numbers]
    shown = [round(entry.numbers[key], 3) if entry in of else None for entry in entries]
    known = [value for value in shown if value is not None]
    if sum(key in entry.numbers for entry in entries) < 2:
        return tuple(entries)
    return tuple(replace(entry, best=value == max(known)) for entry, value in zip(entries, shown, strict=True))
