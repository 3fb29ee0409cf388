"""Runs the same measurement in this version of the project and in another, in turn, each time in a fresh process.

The other version is a checkout, as `git worktree add BASELINE COMMIT` makes one; without one only this is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PACKAGE_FIRST = f"import sys, fanogan_mtl; sys.path.insert(0, {str(ROOT)!r})\n"

Figures = dict[str, float]


def measured(code: str, *arguments: str, rounds: int = 2) -> dict[str, Figures]:
    """Run code whose last line of output is a JSON object of figures; the least of each over the rounds, by version.

    Parameters
    ----------
    code : str
        Python; it finds its arguments in `sys.argv`, the last of them an empty folder. It imports the package of the
        version, and `bench` and `tests` of this one.
    """
    versions = {"this": ROOT} | ({"baseline": Path(sys.argv[1]).resolve()} if len(sys.argv) > 1 else {})
    found: dict[str, list[Figures]] = {name: [] for name in versions}
    for _ in range(rounds):
        for name, version in versions.items():
            with TemporaryDirectory() as folder:
                command = [sys.executable, "-c", PACKAGE_FIRST + code, *arguments, folder]
                process = subprocess.run(command, cwd=version, check=True, stdout=subprocess.PIPE, text=True)
            found[name].append(json.loads(process.stdout.splitlines()[-1]))
    return {name: {each: min(one[each] for one in of) for each in of[0]} for name, of in found.items()}


def peak_megabytes() -> float:
    """The most memory that this process has had; `getrusage` would begin with what its parent had, at a fork."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def show(title: str, figures: dict[str, Figures]) -> None:
    """Print them, and how many times as much the baseline takes."""
    print(title)
    for name, value in figures["this"].items():
        before = figures.get("baseline", {}).get(name)
        against = f", baseline {before:10.2f}: {before / value:.2f} times" if before else ""
        print(f"  {name:42} {value:10.2f}{against}")
    sys.stdout.flush()
