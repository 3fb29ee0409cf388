"""What a page holds: sections of text, tables, figures and pictures, before anything is HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from fanogan_mtl.errors import unshown
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
        Whether it is the best of those that it is set against.
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
    turned : bool
        Whether the page shows rows as columns and columns as rows.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    turned: bool = False

    @property
    def is_prose(self) -> bool:
        """Whether it holds words alone."""
        return not any(entry.numbers for _, entries in self.rows for entry in entries)

    def shown(self) -> Table:
        """Give the table as the page lays it."""
        if not self.turned:
            return self
        heads = (self.columns[0], *(name for name, _ in self.rows))
        by_column = zip(*(entries for _, entries in self.rows), strict=True)
        return replace(self, columns=heads, rows=tuple(zip(self.columns[1:], by_column, strict=True)), turned=False)


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` says what to be careful about."""

    text: str
    kind: Literal["plain", "note"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list of short texts."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A question with its answer: one word, and a sentence; `beside` is what others say."""

    question: str
    verdict: str
    text: str
    beside: str
    anchor: str = ""


@dataclass(frozen=True)
class Commands:
    """Commands that a person may copy, with what they are for."""

    text: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A figure; with a table, its numbers unfold below it."""

    figure: go.Figure
    label: str
    table: Table | None = None


@dataclass(frozen=True)
class Picture:
    """An image in a data URL; `label` is read where it can't be seen."""

    url: str
    label: str


@dataclass(frozen=True)
class Card:
    """Pictures that belong together, with a caption and facts below; `stands_out` gives it an edge."""

    pictures: tuple[Picture, ...]
    caption: str
    facts: Mapping[str, str] = field(default_factory=dict)
    stands_out: bool = False


@dataclass(frozen=True)
class Gallery:
    """Rows of cards, each with its name, which may be empty; `small` ones show every pixel as a square."""

    rows: tuple[tuple[str, tuple[Card, ...]], ...]
    small: bool = False


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown when asked for."""

    title: str
    blocks: tuple[PageBlock, ...]


@dataclass(frozen=True)
class Beside:
    """Two columns where the screen is wide, one below the other where it is not."""

    first: tuple[PageBlock, ...]
    second: tuple[PageBlock, ...]


PageBlock = Text | Items | Answer | Commands | Table | Chart | Gallery | Fold | Beside


@dataclass(frozen=True)
class Section:
    """A part of a page; `anchor` is its address there, and with one it is listed at the top."""

    title: str
    blocks: tuple[PageBlock, ...]
    anchor: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page; what it opens with stands above the list of sections."""

    title: str
    sections: tuple[Section, ...]
    opening: tuple[PageBlock, ...] = ()

    def blocks(self) -> Iterator[tuple[str, PageBlock]]:
        """Every block, those within others too, with the title of its section."""
        for title, blocks in [("Summary", self.opening), *((each.title, each.blocks) for each in self.sections)]:
            for block in _within(blocks):
                yield title, block

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every table, those of figures too, with the title of its section."""
        for title, block in self.blocks():
            table = block.table if isinstance(block, Chart) else block
            if isinstance(table, Table):
                yield title, table


def _within(blocks: Iterable[PageBlock]) -> Iterator[PageBlock]:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from _within(block.blocks)
        elif isinstance(block, Beside):
            yield from _within((*block.first, *block.second))


def section(title: str, make: Callable[[], Iterable[PageBlock]], anchor: str = "") -> Section:
    """Make a section; one that can't be made is replaced by the reason."""
    try:
        return Section(title, tuple(make()), anchor)
    except Exception as error:
        return Section(title, (Text(unshown(error), "note"),), anchor)


def plain_table(name: str, caption: str, rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of texts; the first row is its head."""
    head, *body = rows
    return Table(name, caption, tuple(head), tuple((first, tuple(map(Entry, rest))) for first, *rest in body))


def share(mean: float | None, std: float | None = None, absent: str = NOT_RUN, marked: bool = False) -> Entry:
    """Make an entry of a share in [0, 1], in percent for people; one of a marked comparison has an asterisk."""
    if mean is None:
        return Entry(absent)
    numbers = {"mean": mean} | ({} if std is None else {"std": std})
    return Entry(percent(mean, std) + "*" * marked, numbers, marked=marked)


def number(value: float | None, text: str = "{:.3g}", absent: str = NONE) -> Entry:
    """Make an entry of a number."""
    return Entry(absent) if value is None else Entry(text.format(value), {"value": float(value)})


def best_marked(entries: Sequence[Entry], key: str = "mean") -> tuple[Entry, ...]:
    """Say which is the greatest of several, where there are two at least to choose from; equals as shown are all best.

    A marked comparison is only the best where all are marked.
    """
    sound = [entry for entry in entries if key in entry.numbers and not entry.marked]
    of = sound or [entry for entry in entries if key in entry.numbers]
    shown = [round(entry.numbers[key], 3) if entry in of else None for entry in entries]
    known = [value for value in shown if value is not None]
    if sum(key in entry.numbers for entry in entries) < 2:
        return tuple(entries)
    return tuple(replace(entry, best=value == max(known)) for entry, value in zip(entries, shown, strict=True))
