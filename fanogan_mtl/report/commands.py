"""What of the study these runs lack: one line that says so, and the commands that run it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fanogan_mtl.pages.content import Block, Commands, Section, Text
from fanogan_mtl.report.evidence import PROTOCOLS, Evidence
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, SHALLOW
from fanogan_mtl.report.sentences import listed


def partial_run(evidence: Evidence) -> str:
    """Say in one line what was left out; nothing where nothing was."""
    classes: dict[str, tuple[int, int]] = {}
    for each in evidence.results:
        if each.main and each.recorded.n_classes and len(each.classes) < each.recorded.n_classes:
            fewest = min(len(each.classes), classes.get(each.dataset, (len(each.classes), 0))[0])
            classes[each.dataset] = fewest, each.recorded.n_classes
    parts = [f"{dataset} has {some} of {all_} classes" for dataset, (some, all_) in classes.items()]
    gaps = [*_detectors(evidence), *_extractors(evidence), *(f"protocol {name}" for name in _protocols(evidence))]
    if gaps:
        parts.append(f"{listed(gaps)} {'was' if len(gaps) == 1 else 'were'} not run (the commands are at the end)")
    return f"A partial run: {'; '.join(parts)}." if parts else ""


def gap_section(evidence: Evidence) -> list[Section]:
    """Give the commands that run what is missing on the same data under the same conditions, if anything is."""
    detectors, extractors, protocols = _detectors(evidence), _extractors(evidence), _protocols(evidence)
    run = [name for each in evidence.results if each.main and (name := each.comparison.extractor)]
    blocks: list[Block] = []
    if detectors:
        blocks.append(_command(evidence, detectors, "benchmark", detectors=",".join(detectors)))
    if extractors:
        blocks.append(_command(evidence, extractors, "hybrid", extractors=",".join(extractors)))
    if protocols:
        chosen = ",".join(dict.fromkeys(run)) or "resnet18"
        named = [f"protocol {name}" for name in protocols]
        blocks.append(_command(evidence, named, "hybrid", extractors=chosen, protocol=",".join(protocols)))
    if "resnet18_imagenet" in extractors:
        blocks.append(Text("ImageNet weights are downloaded, or read from a file by -P weights=FILE."))
    return [Section("What was not run", tuple(blocks), "not-run")] if blocks else []


def _detectors(evidence: Evidence) -> list[str]:
    return [name for name in (*DETECTORS, *SHALLOW) if evidence.method(None, name) is None]


def _extractors(evidence: Evidence) -> list[str]:
    return [name for name in EXTRACTORS if evidence.method(name, "fanogan") is None]


def _protocols(evidence: Evidence) -> list[str]:
    run = {each.comparison.protocol for each in evidence.results if each.main}
    return [name for name in PROTOCOLS if name not in run]


def _command(evidence: Evidence, what: Sequence[str], entry: str, **options: str) -> Commands:
    limit, budgets = evidence.conditions
    main = [each for each in evidence.results if each.main]
    specs = dict.fromkeys("+".join(each.comparison.dataset.sources) for each in main)
    seeds = sorted({seed for each in main for seed in each.seeds})
    given = {"dataset": ",".join(specs), **options, "epochs": ",".join(map(str, budgets))}
    given |= {"seeds": ",".join(map(str, seeds))} | ({"limit": str(limit)} if limit else {})
    words = " ".join(f"-P {shlex.quote(f'{name}={value}')}" for name, value in given.items())
    return Commands(f"To run {listed(what)}:", (f"mlflow run . -e {entry} {words}",))
