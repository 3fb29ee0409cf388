"""What a folder holds after a run, and what of it is not as after a quiet one."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from fanogan_mtl.tracking import schema

KEYS = {
    "cell": schema.CELL_KEY,
    "comparison": schema.COMPARISON_KEY,
    "extractor": schema.EXTRACTOR_KEY,
    "trial": schema.TRIAL,
}
"""Levels of runs of which there is one for each value of a tag; all others are runs of entry points."""

TIMES = ("seconds", "per_second")
OF_TORCH = "torchinductor_"  # its cache in the folder of temporary files, by whichever process comes first
LEAVE = 30.0  # seconds that the processes of a killed run may take to end

Query = Callable[[str], list[tuple[Any, ...]]]


def snapshot(query: Query, experiment: str, folder: Path) -> dict[str, Any]:
    """All that has to be the same after every run: by level and key the parameters, metrics and files of each run, the
    registered models, and what lies in the folder."""
    runs: dict[str, Any] = {}
    entries = []
    found = query(
        "SELECT run_uuid, status FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
        f"WHERE r.lifecycle_stage = 'active' AND e.name = '{experiment}'"
    )
    tags, parameters = _by_run(query, "tags"), _by_run(query, "params")
    metrics: dict[str, set[tuple[str, int, float]]] = {}
    for run, name, step, value in query("SELECT run_uuid, key, step, value FROM metrics"):
        if not any(each in name for each in TIMES):
            metrics.setdefault(run, set()).add((name, step, value))
    for run, status in found:
        level = tags.get(run, {}).get(schema.LEVEL, "none")
        of = {"status": status, "metrics": sorted(metrics.get(run, ()))}
        if level not in KEYS:
            entries.append((level, of))
            continue
        key = f"{level} {tags[run][KEYS[level]]}"
        runs.setdefault(key, []).append({**of, "parameters": parameters.get(run, {})})
    _number_trials(runs)
    versions = query(
        "SELECT v.name, v.version, v.description, (SELECT count(*) FROM registered_model_aliases a "
        "WHERE a.name = v.name AND a.version = v.version) FROM model_versions v"
    )
    return {"runs": runs, "entries": entries, "versions": sorted(versions), "files": _files(folder)}


def _number_trials(runs: dict[str, Any]) -> None:
    """Number trials without gaps: one that was cut short keeps its number at Optuna's, its repetition gets another."""
    numbers = sorted(int(key.split()[1]) for key in runs if key.startswith("trial "))
    for place, number in enumerate(numbers):
        runs[f"trial {place}"] = runs.pop(f"trial {number}")
        for run in runs[f"trial {place}"]:
            run["parameters"].pop(schema.TRIAL, None)


def _by_run(query: Query, table: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run, key, value in query(f"SELECT run_uuid, key, value FROM {table}"):
        found.setdefault(run, {})[key] = value
    return found


def _files(folder: Path) -> dict[str, Any]:
    data = folder / "cache" / "fanogan-mtl"
    paths = [path.relative_to(data) for path in data.rglob("*") if path.is_file()]
    kept = {str(path) for path in paths if not any(part[0] == "." for part in path.parts[:-1])}  # halves have a dot
    scores = folder / "scores.csv"
    return {
        "data": sorted(name for name in kept if not name.endswith(".lock")),
        "scores": scores.read_text() if scores.exists() else "",
        "here": sorted(path.name for path in folder.iterdir() if path.name != "tmp"),
    }


def problems(after: dict[str, Any], quiet: dict[str, Any]) -> list[str]:
    """What is lost, doubled, changed or left behind, in sentences; none where all is as after a quiet run."""
    found = []
    for key in sorted(after["runs"].keys() | quiet["runs"].keys()):
        here, there = after["runs"].get(key, []), quiet["runs"].get(key, [])
        if not here or not there:
            found.append(f"{key} is {'lost' if there else 'too much'}")
        elif len(here) > 1:
            found.append(f"{key} is there {len(here)} times: {[each['status'] for each in here]}")
        else:
            found += [f"{key}: other {part}" for part in there[0] if here[0][part] != there[0][part]]
    statuses = Counter((level, of["status"]) for level, of in after["entries"])
    found += [f"{count} runs of {level} are {status}" for (level, status), count in statuses.items()
              if status not in ("FINISHED", "KILLED", "FAILED")]  # fmt: skip
    for level, of in quiet["entries"]:
        if of not in [other for name, other in after["entries"] if name == level]:
            found.append(f"no run of {level} ended as the quiet one")
    if after["versions"] != quiet["versions"]:
        found.append(f"registered versions {after['versions']} in the place of {quiet['versions']}")
    for part in quiet["files"]:
        here, there = after["files"][part], quiet["files"][part]
        if part == "scores":
            found += ["other scores"] * (here != there)
        elif here != there:
            found.append(f"{part}: {sorted(set(here) ^ set(there))}")
    return found


def strays(sessions: set[int]) -> list[str]:
    """Processes of a trial that go on although its command has ended."""
    end = time.monotonic() + LEAVE
    while alive := [_shown(process) for process in processes(sessions)]:
        if time.monotonic() > end:
            return alive
        time.sleep(0.1)
    return []


def processes(sessions: set[int]) -> list[psutil.Process]:
    """Processes of these sessions."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _shown(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:80]}"
    except psutil.Error:
        return str(process.pid)


def temporary(folder: Path) -> list[str]:
    """What lies in a trial's folder of temporary files."""
    return sorted(path.name for path in (folder / "tmp").iterdir() if not path.name.startswith(OF_TORCH))
