"""A whole report from its evidence: the order of its parts, and the summary at its top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.errors import unshown
from fanogan_mtl.report.adbench import adbench_sections
from fanogan_mtl.report.charts.data import data_section
from fanogan_mtl.report.charts.detectors import detector_section, hybrid_section
from fanogan_mtl.report.charts.extractors import Trained, extractor_section
from fanogan_mtl.report.content import Block, Report, Section, Table, Text, words
from fanogan_mtl.report.costs import cost_section
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.mistakes import mistake_section
from fanogan_mtl.report.protocols import protocol_section
from fanogan_mtl.report.provenance import Origin, provenance_section
from fanogan_mtl.report.questions import Question, question_sections, questions, significance_section
from fanogan_mtl.report.tables import coverage, table_sections


@dataclass(frozen=True)
class Material:
    """What a report is made of beside its evidence.

    Attributes
    ----------
    datasets : mapping
        Name in the evidence to spec and data; None for data that isn't here as it was.
    extractors : sequence of Trained
    origins : sequence of Origin
    data_dir : Path
    """

    datasets: Mapping[str, tuple[DatasetSpec, Dataset | None]]
    extractors: Sequence[Trained]
    origins: Sequence[Origin]
    data_dir: Path


def compose(evidence: Evidence, material: Material, progress: Callable[[str], object] = lambda part: None) -> Report:
    """Make the report.

    Parameters
    ----------
    progress : callable
        Told the name of each part before it is made.
    """
    sections: list[Section] = []

    def add(name: str, make: Callable[[], Section | list[Section]]) -> None:
        progress(name)
        try:
            made = make()
        except Exception as error:  # one part that can't be made takes no other with it
            made = Section(name.replace(" ", "-"), name.capitalize(), (Text(unshown(error), "note"),))
        sections.extend(made if isinstance(made, list) else [made])

    progress("questions")
    answered = questions(evidence)
    data = {name: dataset for name, (_, dataset) in material.datasets.items()}
    add("tables", lambda: table_sections(evidence))
    add("published on vectors", lambda: adbench_sections(evidence))
    sections += question_sections(answered)
    add("significance", lambda: significance_section(evidence))
    add("protocols", lambda: protocol_section(evidence))
    add("data", lambda: data_section(material.datasets, material.data_dir))
    add("extractors", lambda: extractor_section(material.extractors, material.data_dir))
    add("detectors", lambda: detector_section(evidence))
    add("detectors on features", lambda: hybrid_section(evidence))
    add("mistakes", lambda: mistake_section(evidence, data))
    add("costs", lambda: cost_section(evidence))
    add("provenance", lambda: provenance_section(evidence, material.origins))
    return Report("Deep one-class anomaly detection: the comparison", _summary(evidence, answered), tuple(sections))


def _summary(evidence: Evidence, answered: Sequence[Question]) -> tuple[Block, ...]:
    main = [each for each in evidence.results if each.main]
    others = len(evidence.results) - len(main)
    blocks: list[Block] = [
        Text(
            f"{len(main)} comparisons of {len({each.method for each in main})} methods on "
            f"{', '.join(dict.fromkeys(each.dataset for each in main))}. {coverage(main)}"
        ),
    ]
    if others:
        blocks.append(
            Text(
                f"{others} more comparisons were run under other limits or budgets. They are shown by name and are not "
                "set against these.", "note",
            )
        )  # fmt: skip
    if marked := [each for each in evidence.results if each.marks]:
        rows = [
            (each.method, (words(each.dataset), words(mark), words(sentence)))
            for each in marked
            for mark, sentence in each.marks.items()
        ]
        caption = "Marked comparisons (*), not to be taken as they stand"
        blocks.append(Table("marked comparisons", caption, ("method", "data set", "mark", "why"), tuple(rows)))
    for each in answered:
        blocks += [Text(f"{each.number}: {each.question} The study: {each.studys}"), Text(each.answer, "answer")]
    return tuple(blocks)
