"""Every number of a report as a table for programs: `results.csv` and `results.parquet`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fanogan_mtl.pages.content import Page

_COLUMNS = ("section", "table", "row", "column", "statistic", "value", "text", "best")


def number_table(report: Page) -> pd.DataFrame:
    """One row per number; `value` is in the table's unit, shares in [0, 1], and `text` what the page shows."""
    rows = [
        (section, table.name, name, column, statistic, value, entry.text, entry.best)
        for section, table in report.tables()
        for name, entries in table.rows
        for column, entry in zip(table.columns[1:], entries, strict=True)
        for statistic, value in entry.numbers.items()
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def write_numbers(report: Page, folder: Path) -> list[Path]:
    """Write both files."""
    numbers = number_table(report)
    as_csv, as_parquet = folder / "results.csv", folder / "results.parquet"
    numbers.to_csv(as_csv, index=False)
    numbers.to_parquet(as_parquet, index=False)
    return [as_csv, as_parquet]
