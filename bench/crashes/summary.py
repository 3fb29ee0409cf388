"""The log of `bench.crashes` as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


def summarise(lines: Iterable[dict[str, Any]]) -> str:
    """Count trials by fault and scenario, in Markdown; those whose moment never came are left out."""
    counted = [line for line in lines if line["verdict"] != "missed"]
    scenarios = sorted({line["scenario"] for line in counted})
    rows = [["fault", *scenarios, "all", "failed", "longest recovery, s"]]
    rows.append(["---", *["---:"] * (len(scenarios) + 3)])
    for what in sorted({_fault(line) for line in counted}):
        own = [line for line in counted if _fault(line) == what]
        by = Counter(line["scenario"] for line in own)
        failed = sum(line["verdict"] == "failed" for line in own)
        longest = max(line["recovery"] for line in own)
        rows.append([what, *(str(by[each]) for each in scenarios), str(len(own)), str(failed), f"{longest:.1f}"])
    failed = sum(line["verdict"] == "failed" for line in counted)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\n{len(counted)} injections, {failed} failed"


def _fault(line: dict[str, Any]) -> str:
    return line["target"] if line["what"] == "point" else f"{line['what']} {line['target']}".strip()
