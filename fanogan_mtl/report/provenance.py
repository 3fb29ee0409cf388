"""How to get each number again: command, commit, seeds, data, versions, hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanogan_mtl.report.content import Block, Commands, Section, Table, Text, words
from fanogan_mtl.report.evidence import Evidence


@dataclass(frozen=True)
class Origin:
    """A run that made comparisons: its id, the command that does the same again, and what it ran on."""

    run_id: str
    command: str
    facts: Mapping[str, str]


FACTS = ("commit", "seeds", "device", "processor", "cores", "versions")


def provenance_section(evidence: Evidence, origins: Sequence[Origin]) -> Section:
    """Say how each number comes about again."""
    blocks: list[Block] = [
        Text(
            "The same command at the same commit, on the same kind of processor with the same versions, gives the same "
            "numbers to the last bit, times aside. Every number on this page is in results.csv and results.parquet "
            "beside it."
        ),
        Commands("The commands", tuple(origin.command for origin in origins)),
        Table(
            "runs", "Runs in MLflow, and what they ran on.", ("run", *FACTS),
            tuple((each.run_id, tuple(words(each.facts.get(name, "")) for name in FACTS)) for each in origins),
        ),
        Table(
            "data digests", "SHA-256 of each data set's prepared pixels, labels and class names.",
            ("data set", "digest"),
            tuple(
                (name, (words(_digest(evidence, name)),)) for name in evidence.datasets
            ),
        ),
        Table(
            "comparisons", "Where each comparison is.",
            ("method and data set", "run", "setting", "classes", "seeds", "cells"),
            tuple(
                (
                    f"{each.method} on {each.dataset}",
                    (
                        words(each.recorded.run_id),
                        words(each.recorded.setting),
                        words(" ".join(each.classes)),
                        words(" ".join(map(str, each.seeds))),
                        words(str(len(each.cells))),
                    ),
                )
                for each in evidence.results
            ),
            folded=True,
        ),
    ]  # fmt: skip
    return Section("again", "How to get each number again", tuple(blocks))


def _digest(evidence: Evidence, dataset: str) -> str:
    return next(each.comparison.data_digest for each in evidence.results if each.dataset == dataset)
