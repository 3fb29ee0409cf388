"""The log of `bench.crashes` as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


def summarise(lines: Iterable[dict[str, Any]]) -> str:
    """Count trials by fault and scenario, in Markdown, and hits by point, without those whose moment never came."""
    counted = [line for line in lines if line["verdict"] != "missed"]
    scenarios = sorted({line["scenario"] for line in counted})
    rows = [["fault", *scenarios, "all", "failed", "longest recovery, s"]]
    rows.append(["---", *["---:"] * (len(scenarios) + 3)])
    for what in sorted({_fault(line) for line in counted}):
        rows.append(_row(what, scenarios, [line for line in counted if _fault(line) == what]))
    rows.append(_row("all", scenarios, counted))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    hits = Counter(line["target"] for line in counted if line["what"] == "point")
    points = ", ".join(f"{point} {count}" for point, count in sorted(hits.items()))
    return f"{table}\n\nHits by point: {points}."


def _row(what: str, scenarios: list[str], lines: list[dict[str, Any]]) -> list[str]:
    by = Counter(line["scenario"] for line in lines)
    failed = sum(line["verdict"] == "failed" for line in lines)
    longest = max((line["recovery"] for line in lines), default=0.0)
    return [what, *(str(by[each]) for each in scenarios), str(len(lines)), str(failed), f"{longest:.1f}"]


def _fault(line: dict[str, Any]) -> str:
    return "killed at a point" if line["what"] == "point" else f"{line['what']} {line['target']}".strip()
