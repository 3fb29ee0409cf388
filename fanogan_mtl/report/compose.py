"""A whole report from its evidence: the order of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.specs import DatasetSpec
from fanogan_mtl.errors import unshown
from fanogan_mtl.pages.content import Page, Section, Text
from fanogan_mtl.report.adbench import adbench_sections
from fanogan_mtl.report.charts.data import data_section
from fanogan_mtl.report.charts.detectors import detector_section, hybrid_section
from fanogan_mtl.report.charts.extractors import Trained, extractor_section
from fanogan_mtl.report.charts.where import where_section
from fanogan_mtl.report.commands import gap_section
from fanogan_mtl.report.costs import cost_section
from fanogan_mtl.report.differences import significance_section
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.mistakes import mistake_section
from fanogan_mtl.report.overview import opening
from fanogan_mtl.report.protocols import protocol_section
from fanogan_mtl.report.provenance import Origin, provenance_section
from fanogan_mtl.report.questions import question_sections, questions
from fanogan_mtl.report.tables import table_sections

TITLE = "Deep one-class anomaly detection: the comparison"


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


def compose(evidence: Evidence, material: Material, progress: Callable[[str], object] = lambda part: None) -> Page:
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
            made = Section(name.capitalize(), (Text(unshown(error), "note"),), name.replace(" ", "-"))
        sections.extend(made if isinstance(made, list) else [made])

    progress("questions")
    answered = questions(evidence)
    data = {name: dataset for name, (_, dataset) in material.datasets.items()}
    sections += question_sections(answered)
    add("tables", lambda: table_sections(evidence))
    add("published on vectors", lambda: adbench_sections(evidence))
    add("significance", lambda: significance_section(evidence))
    add("protocols", lambda: protocol_section(evidence))
    add("costs", lambda: cost_section(evidence))
    add("detectors", lambda: detector_section(evidence))
    add("detectors on features", lambda: hybrid_section(evidence))
    add("where in the image", lambda: where_section(evidence, data))
    add("mistakes", lambda: mistake_section(evidence, data))
    add("data", lambda: data_section(material.datasets, material.data_dir))
    add("extractors", lambda: extractor_section(material.extractors, material.data_dir))
    add("what was not run", lambda: gap_section(evidence))
    add("provenance", lambda: provenance_section(evidence, material.origins))
    return Page(TITLE, tuple(sections), opening(evidence, answered))
