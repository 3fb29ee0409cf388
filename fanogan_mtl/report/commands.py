"""Commands that fill a gap of the report under its main conditions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fanogan_mtl.report.content import Commands
from fanogan_mtl.report.evidence import Evidence


def missing(evidence: Evidence, what: Sequence[str], entry: str, **options: str) -> tuple[Commands, ...]:
    """Say what was not run, with the command that runs it on the same data under the same conditions.

    Parameters
    ----------
    what : sequence of str
        Names for people; with none there is nothing to say.
    entry : str
        The entry point; `options` are its own parameters.
    """
    if not what:
        return ()
    limit, budgets = evidence.conditions
    main = [each for each in evidence.results if each.main]
    specs = dict.fromkeys("+".join(each.comparison.dataset.sources) for each in main)
    seeds = sorted({seed for each in main for seed in each.seeds})
    given = {"dataset": ",".join(specs), **options, "epochs": ",".join(map(str, budgets))}
    given |= {"seeds": ",".join(map(str, seeds))} | ({"limit": str(limit)} if limit else {})
    words = " ".join(f"-P {shlex.quote(f'{name}={value}')}" for name, value in given.items())
    return (Commands(f"Not run: {', '.join(what)}. To run it:", (f"mlflow run . -e {entry} {words}",)),)
