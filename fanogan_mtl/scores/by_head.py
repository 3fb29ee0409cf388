"""Scores by head, out of the rows of images that were just scored, or of a table that the entry `score` wrote."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.scores.table import ScoredRow
from fanogan_mtl.serving.heads import Head

TABLES = (".csv", ".parquet")
TEXTS, NUMBERS = ("path", "head", "error"), ("score", "probability")


@dataclass(frozen=True)
class HeadScores:
    """One head's scores of images, in the order in which they came."""

    head: Head
    paths: list[str]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class ScoredImages:
    """Scores of each head, and of the images that have none the reason, by path."""

    of_heads: tuple[HeadScores, ...]
    errors: dict[str, str]


def scores_of_rows(rows: Iterable[ScoredRow], heads: Sequence[Head]) -> ScoredImages:
    """Sort rows by their head."""
    return _by_head(pd.DataFrame(rows, columns=ScoredRow._fields), heads)


def read_scores(path: Path, heads: Sequence[Head]) -> ScoredImages:
    """Read a table that the entry `score` wrote.

    Raises
    ------
    UserError
        For another table, one that lacks a head, scores that are no finite numbers, and those of another model.
    """
    table = _read(path)
    lacking = [name for name in (*TEXTS, *NUMBERS) if name not in table.columns]
    if lacking:
        raise UserError(f"input {str(path)!r} is no table that score wrote: it has no column {', '.join(lacking)}")
    table[list(TEXTS)] = table[list(TEXTS)].fillna("")
    there = [str(name) for name in table["head"].unique() if name]
    absent = [head.spec.name for head in heads if head.spec.name not in there]
    if absent:
        has = f"it has {', '.join(there[:8])}{', ...' * (len(there) > 8)}" if there else "it has none at all"
        raise UserError(f"input {str(path)!r} has no scores of head {', '.join(absent[:8])}; {has}")
    found = _by_head(table, heads)
    for each in found.of_heads:
        _check(path, each, _numbers(table.loc[table["head"] == each.head.spec.name, "probability"]))
    return found


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"input {str(path)!r} is not there: give a folder, a list or a table that score wrote")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        with path.open(newline="", encoding="utf-8") as file:  # not by pandas, of which some round numbers
            records = csv.DictReader(file)
            return pd.DataFrame(list(records), columns=list(records.fieldnames or ()))
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's own are ValueErrors
        raise UserError(f"input {str(path)!r} can't be read as a table ({one_line(error)})") from None


def _by_head(table: pd.DataFrame, heads: Sequence[Head]) -> ScoredImages:
    of_heads = []
    for head in heads:
        own = table[table["head"] == head.spec.name]
        of_heads.append(HeadScores(head, own["path"].tolist(), _numbers(own["score"])))
    failed = table[table["head"] == ""]
    return ScoredImages(tuple(of_heads), dict(zip(failed["path"], failed["error"], strict=True)))


def _numbers(column: Iterable[Any]) -> NDArray[np.float64]:
    """Numbers or their texts as an array; what is neither is NaN."""

    def number(value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            return np.nan

    return np.array([number(value) for value in column], np.float64)


def _check(path: Path, found: HeadScores, probabilities: NDArray[np.float64]) -> None:
    """Raise `UserError` for what can't be this head's: its probabilities follow from its scores."""
    name = found.head.spec.name
    bad = ~np.isfinite(found.scores)
    if bad.any():
        first = found.paths[int(bad.argmax())]
        raise UserError(f"input {str(path)!r}: scores of head {name} are no finite numbers, the first of {first}")
    if not np.allclose(found.head.spec.calibration.probabilities(found.scores), probabilities, rtol=1e-6, atol=1e-9):
        raise UserError(f"input {str(path)!r}: another model gave its scores of head {name}: name that one")
