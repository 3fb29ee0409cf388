"""A progress bar for loops that take longer than two seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_PATIENCE = 2.0  # seconds before the bar appears

_Item = TypeVar("_Item")


def progress(items: Iterable[_Item], total: int, shown_as: str) -> Iterable[_Item]:
    """Loop over files with a bar on stderr that appears after two seconds."""
    from tqdm import tqdm

    bar: Iterable[_Item] = tqdm(items, total=total, desc=shown_as, unit="file", delay=_PATIENCE, leave=False)
    return bar
