"""Tells which parts of the study were not run: one line that says so, and the commands that run them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from fanogan_mtl.pages.content import Commands, PageBlock, Section, Text
from fanogan_mtl.report.evidence import Evidence
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, SHALLOW
from fanogan_mtl.report.sentences import listed
from fanogan_mtl.sweep.cell import ALL_SEEN, LABEL_FREE, PROTOCOLS, Comparison


def partial_run(evidence: Evidence) -> str:
    """Say in one line what was not run; empty where all was."""
    classes: dict[str, tuple[int, int]] = {}
    for each in evidence.results:
        if each.main and each.recorded.n_classes and len(each.classes) < each.recorded.n_classes:
            fewest = min(len(each.classes), classes.get(each.dataset, (len(each.classes), 0))[0])
            classes[each.dataset] = fewest, each.recorded.n_classes
    parts = [f"{dataset} has {some} of {all_} classes" for dataset, (some, all_) in classes.items()]
    if gaps := _gaps(evidence):
        parts.append(f"{listed([what for what, _, _ in gaps])} were not run (the commands are at the end)")
    return f"A partial run: {'; '.join(parts)}." if parts else ""


def gap_section(evidence: Evidence) -> list[Section]:
    """Give the commands that run what is missing, under the same conditions; no section if nothing is."""
    blocks: list[PageBlock] = [_command(evidence, *gap) for gap in _gaps(evidence)]
    if any("resnet18_imagenet" in what for what, _, _ in _gaps(evidence)):
        blocks.append(Text("ImageNet weights are downloaded, or read from a file by -P weights=FILE."))
    return [Section("What was not run", tuple(blocks), "not-run")] if blocks else []


def _gaps(evidence: Evidence) -> list[tuple[str, str, dict[str, str]]]:
    """What was not run, with the entry point and the options that run it."""
    main = [each.comparison for each in evidence.results if each.main]
    run = list(dict.fromkeys(each.extractor for each in main if each.extractor))
    kinds = {
        "detectors": [name for name in (*DETECTORS, *SHALLOW) if evidence.method(None, name) is None],
        "extractors": [name for name in EXTRACTORS if evidence.method(name, "fanogan") is None],
        "protocol": _protocols_not_run(main) if run else [],
    }
    gaps = []
    for option, names in kinds.items():
        if names:
            options = {"extractors": ",".join(run)} if option == "protocol" else {}
            what = f"the {option.removesuffix('s')}{'s' * (len(names) > 1)} {listed(names)}"
            entry = "benchmark" if option == "detectors" else "hybrid"
            gaps.append((what, entry, options | {option: ",".join(names)}))
    return gaps


def _protocols_not_run(main: Sequence[Comparison]) -> list[str]:
    """Of `paper` and `label-free` each extractor has one; those without labels alone are no gap of the others."""
    run = {"paper" if each.protocol in ALL_SEEN else each.protocol for each in main}
    return [name for name in PROTOCOLS if name not in {*run, *LABEL_FREE}]


def _command(evidence: Evidence, what: str, entry: str, options: Mapping[str, str]) -> Commands:
    limit, budgets = evidence.conditions
    main = [each for each in evidence.results if each.main]
    specs = dict.fromkeys("+".join(each.comparison.dataset.sources) for each in main)
    seeds = sorted({seed for each in main for seed in each.seeds})
    given = {"dataset": ",".join(specs), **options, "epochs": ",".join(map(str, budgets))}
    given |= {"seeds": ",".join(map(str, seeds))} | ({"limit": str(limit)} if limit else {})
    words = " ".join(f"-P {shlex.quote(f'{name}={value}')}" for name, value in given.items())
    return Commands(f"To run {what}:", (f"mlflow run . -e {entry} {words}",))
