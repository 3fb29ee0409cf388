"""Tables for terminals."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def text_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Align texts in columns, two spaces apart; the columns at `left` begin, the others end at one place.

    >>> print(text_table([["detector", "digits"], ["pca", "97.8"], ["fanogan", "8.5"]]))
    detector  digits
    pca         97.8
    fanogan      8.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [text.ljust(width) if place in left else text.rjust(width) for place, (text, width) in enumerate(cells)]
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)
