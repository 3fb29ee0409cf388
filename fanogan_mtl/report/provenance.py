"""How to get each number again: command, commit, seeds, data, versions, hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanogan_mtl.pages.content import Commands, Fold, PageBlock, Section, Text, plain_table
from fanogan_mtl.report.evidence import Evidence, Result


@dataclass(frozen=True)
class Origin:
    """A run that made comparisons: its id, the command that does the same again, and what it ran on."""

    run_id: str
    command: str
    facts: Mapping[str, str]


FACTS = ("commit", "seeds", "device", "processor", "cores", "versions")


def provenance_section(evidence: Evidence, origins: Sequence[Origin]) -> Section:
    """Say how to get each number again."""
    text = (
        "The same command at the same commit, on the same kind of processor with the same versions, gives the same "
        "numbers to the last bit, times aside. Every number on this page is in results.csv and results.parquet beside "
        "it."
    )
    runs = plain_table(
        "runs",
        "Runs in MLflow, and what they ran on.",
        [("run", *FACTS), *((each.run_id, *(each.facts.get(name, "") for name in FACTS)) for each in origins)],
    )
    digests = plain_table(
        "data digests",
        "SHA-256 of each data set's prepared pixels, labels and class names.",
        [("data set", "digest"), *((name, _digest(evidence, name)) for name in evidence.datasets)],
    )
    comparisons = plain_table(
        "comparisons",
        "Where each comparison is.",
        [("method and data set", "run", "setting", "classes", "seeds", "cells"), *map(_facts, evidence.results)],
    )
    folded = (Fold("Runs, and what they ran on", (runs,)), Fold("Digests of the data", (digests,)))
    blocks: tuple[PageBlock, ...] = (
        Text(text),
        Commands("The commands:", tuple(origin.command for origin in origins)),
        *folded,
        Fold("Where each comparison is", (comparisons,)),
    )
    return Section("How to get each number again", blocks, "again")


def _facts(each: Result) -> tuple[str, ...]:
    seeds = " ".join(map(str, each.seeds))
    recorded = each.recorded
    name = f"{each.method} on {each.dataset}"
    return name, recorded.run_id, recorded.setting, " ".join(each.classes), seeds, str(len(each.cells))


def _digest(evidence: Evidence, dataset: str) -> str:
    return next(each.comparison.data_digest for each in evidence.results if each.dataset == dataset)
