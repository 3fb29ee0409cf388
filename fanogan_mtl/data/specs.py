"""Data set specs: what a user types after `dataset=`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from fanogan_mtl.data.sources.registry import GROUPS, PATHS, REGISTRY, SETS
from fanogan_mtl.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NAMED = re.compile(r"(?P<name>[^:=]*)=(?P<rest>.*)", re.DOTALL)
_WITH_PATH = re.compile(rf"(?P<kind>{'|'.join(name for name in REGISTRY if name not in SETS)}):(?P<rest>.*)", re.DOTALL)
_CHOICES = ", ".join([*sorted([*SETS, *GROUPS]), *PATHS[:-1]]) + f" or {PATHS[-1]}"

_SPLIT_WORDS = ("contaminated", "unique")

Setting = tuple[str, int | float | str]


@dataclass(frozen=True)
class Source:
    """One set of images, or of vectors.

    Attributes
    ----------
    name : str
        Name of the set and of its domain in a pool.
    kind : str
        A name of the registry of kinds: `handwritten`, `mnist`, ..., `folder`, `npz`, `adbench`.
    path : Path or None
        The folder or file, decoded; None for a kind that is one set.
    contaminated : bool
        Whether training keeps the anomalies; of vectors alone.
    unique : bool
        Whether copies of a row stay on one side of the split; of vectors alone, as images always do.
    settings : tuple of (str, value)
        Fields of `Preparation` that are set otherwise than the name does; of images with a path alone.
    """

    name: str
    kind: str
    path: Path | None = None
    contaminated: bool = False
    unique: bool = False
    settings: tuple[Setting, ...] = ()

    @property
    def place(self) -> Path | str:
        """Where the source is, as its kind's module takes it: the path, or the name of a set."""
        return self.kind if self.path is None else self.path

    @property
    def holds_vectors(self) -> bool:
        """Whether it holds vectors; images otherwise."""
        return REGISTRY[self.kind].holds == "vectors"


@dataclass(frozen=True)
class DatasetSpec:
    """One data set that detectors are compared on: a single source, or the pool of several.

    Attributes
    ----------
    name : str
        Unique in one list; a pool's is its members' names joined by `+`.
    sources : tuple of str
        The members as typed (`handwritten`, `mnist=npz:PATH`); `parse_source` reads each.
    """

    name: str
    sources: tuple[str, ...]

    @property
    def holds_vectors(self) -> bool:
        """Whether it is of vectors; they are never pooled."""
        return parse_source(self.sources[0]).holds_vectors


def parse_datasets(text: str) -> tuple[DatasetSpec, ...]:
    """Read a list of data set specs.

    Parameters
    ----------
    text : str
        `a,b` is a list, `a+b` a pool, `folder:PATH` a folder of images, `NAME=npz:PATH` a file under a name, both with
        `?image_size=64&colour=rgb` for a preparation of their own; `adbench:PATH` is a file of vectors, with
        `?contaminated` if training keeps its anomalies, `?unique` if copies of a row stay on one side, or both joined
        by `&`; `sample` and `paper` stand for their three sets and the pool of them. `,`, `+`, `?` and `%` in a path
        are written `%2C`, `%2B`, `%3F` and `%25`.

    Raises
    ------
    UserError
        For an unknown, empty or repeated name, and for a pool of fewer than two different members or of vectors.
    """
    specs: list[DatasetSpec] = []
    for item in text.split(","):
        specs += _expand(item.strip(), text)
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"data set '{name}' occurs twice in '{text}'; leave one out, or give it another name")
    return tuple(specs)


def parse_source(text: str) -> Source:
    """Read the spec of one source: the name of a set, or `KIND:PATH` with or without `NAME=` before it.

    Raises
    ------
    UserError
        For anything else.
    """
    named = _NAMED.fullmatch(text)
    spec = named["rest"] if named else text
    if named and not _NAME.fullmatch(named["name"]):
        raise UserError(f"'{named['name']}' in '{text}' can't name a data set; use letters, digits, '_', '-' and '.'")
    if found := _WITH_PATH.fullmatch(spec):
        kind = found["kind"]
        path, words, settings = _path(kind, found["rest"], text)
        name = named["name"] if named else _name_of(path, kind)
        return Source(name, kind, path, "contaminated" in words, "unique" in words, settings)
    if named:
        takers = f"{', '.join(PATHS[:-1])} and {PATHS[-1]}"
        raise UserError(f"'{text}': only {takers} take a name, as in {named['name']}=npz:PATH")
    if spec not in SETS:
        raise UserError(f"unknown data set '{spec}'; one of: {_CHOICES}")
    return Source(spec, spec)


def sources_of(spec: DatasetSpec) -> list[DatasetSpec]:
    """Each member of a pool as a data set of its own; a single data set itself."""
    return [DatasetSpec(parse_source(text).name, (text,)) for text in spec.sources]


def pool_of(domains: Sequence[DatasetSpec]) -> DatasetSpec:
    """All domains as one data set; a single one itself."""
    return DatasetSpec(
        "+".join(domain.name for domain in domains), tuple(source for domain in domains for source in domain.sources)
    )


def _expand(item: str, text: str) -> list[DatasetSpec]:
    """Read one item of a list."""
    if not item:
        raise UserError(f"empty data set name in '{text}'; one of: {_CHOICES}")
    if item in GROUPS:
        return [*(DatasetSpec(name, (name,)) for name in GROUPS[item]), _pool(GROUPS[item], item)]
    members = tuple(member.strip() for member in item.split("+"))
    if len(members) > 1:
        return [_pool(members, item)]
    return [DatasetSpec(parse_source(item).name, (item,))]


def _pool(members: tuple[str, ...], item: str) -> DatasetSpec:
    if "" in members:
        raise UserError(f"empty data set name in the pool '{item}'; write it as a+b")
    for member in members:
        if member in GROUPS:
            raise UserError(f"'{member}' in '{item}' is a list of data sets; a pool names each, as in mnist+usps")
    sources = [parse_source(member) for member in members]
    for source in sources:
        if source.holds_vectors:
            raise UserError(f"'{source.name}' in the pool '{item}' holds vectors; only images can be pooled, write a,b")
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"'{name}' occurs twice in the pool '{item}'; a pool needs different members")
    return DatasetSpec("+".join(names), members)


def _path(kind: str, rest: str, text: str) -> tuple[Path, tuple[str, ...], tuple[Setting, ...]]:
    """Read what follows `KIND:`: the path, how vectors are split, and how images are prepared."""
    encoded, question_mark, after = rest.partition("?")
    vectors = REGISTRY[kind].holds == "vectors"
    words = _split_words(kind, after, text) if question_mark and vectors else ()
    if not encoded:
        raise UserError(f"'{text}' lacks the path; write {kind}:PATH")
    settings = _settings(after, text) if question_mark and not vectors else ()
    return Path(unquote(encoded)).expanduser(), words, settings


def _split_words(kind: str, after: str, text: str) -> tuple[str, ...]:
    """Read how vectors are split: `contaminated`, `unique` or both."""
    words = tuple(after.split("&"))
    for word in words:
        if word not in _SPLIT_WORDS:
            raise UserError(
                f"'{text}': {kind} takes no setting but {' and '.join(_SPLIT_WORDS)} after '?', joined by &; "
                "a question mark in a path is written %3F"
            )
        if words.count(word) > 1:
            raise UserError(f"'{text}': {word} is there twice; leave one out")
    return words


def _settings(after: str, text: str) -> tuple[Setting, ...]:
    """Read how images are prepared: `image_size=64&colour=rgb`."""
    settings: dict[str, int | float | str] = {}
    for item in after.split("&"):
        name, equals, value = item.partition("=")
        if name not in _SETTINGS or not equals:
            known = ", ".join(_SETTINGS)
            raise UserError(
                f"'{text}': '{item}' is no setting; write NAME=VALUE with one of {known} (a ? in a path is %3F)"
            )
        if name in settings:
            raise UserError(f"'{text}': {name} is there twice; leave one out")
        read, what = _SETTINGS[name]
        try:
            settings[name] = read(value)
        except ValueError:
            raise UserError(f"'{text}': {name} '{value}' must be {what}") from None
    return tuple(settings.items())


def _size(value: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", value) or not 4 <= int(value) <= 512:
        raise ValueError
    return int(value)


def _colour(value: str) -> str:
    if value not in ("grey", "rgb"):
        raise ValueError
    return value


def _share(value: str) -> float:
    share = float(value)
    if not 0 < share <= 1:
        raise ValueError
    return share


def _depth(value: str) -> int:
    if not re.fullmatch("[0-9]{1,2}", value) or not 8 <= int(value) <= 16:
        raise ValueError
    return int(value)


def _factor(value: str) -> float:
    factor = float(value)
    if not (math.isfinite(factor) and 0 <= factor <= 100):  # far beyond, 32 bits overflow
        raise ValueError
    return factor


_SETTINGS: dict[str, tuple[Callable[[str], int | float | str], str]] = {
    "image_size": (_size, "a whole number from 4 to 512"),
    "colour": (_colour, "grey or rgb"),
    "crop": (_share, "a number above 0, at most 1"),
    "contrast": (_factor, "a number from 0 to 100"),
    "sharpness": (_factor, "a number from 0 to 100"),
    "depth": (_depth, "a whole number from 8 to 16"),
}


def _name_of(path: Path, kind: str) -> str:
    """Make a name of a file's stem, or a folder's name, other characters replaced."""
    name = path.name if REGISTRY[kind].takes == "folder" else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-") or kind
