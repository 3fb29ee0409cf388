"""Kills small runs at random and chosen moments: `python -m bench.crashes FOLDER --seeds 0-99`.

Each seed draws a scenario, a fault and its moment; the same command is then started again until it ends, and what it
leaves is held against a quiet run's: runs, metrics to the last bit, files, processes. A line of JSON a trial goes to
FOLDER/crashes.jsonl; seeds that it has are not tried again. A trial that failed keeps its folder.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]  # the tests have the servers

from summary import summarise  # noqa: E402
from trial import KINDS, commit, run_trial  # noqa: E402

LOG = "crashes.jsonl"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seeds", default="0-99", show_default=True, help="As 7 or 0-99.")
@click.option("--store", type=click.Choice(sorted(KINDS)), default="sqlite", show_default=True)
@click.option("--jobs", default=2, show_default=True, help="Trials at a time.")
def main(folder: Path, seeds: str, store: str, jobs: int) -> None:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    first, _, last = seeds.partition("-")
    lines = read_log(folder / LOG)
    done = {(line["store"], line["seed"]) for line in lines if line["commit"] == commit()}
    todo = [seed for seed in range(int(first), int(last or first) + 1) if (store, seed) not in done]
    with ThreadPoolExecutor(jobs) as trials, (folder / LOG).open("a") as log:
        for number, line in enumerate(trials.map(lambda seed: run_trial(seed, store, folder), todo), 1):
            log.write(json.dumps(line) + "\n")
            log.flush()
            told = f"{line['scenario']}: {line['what']} {line['target']} at {line['moment']}".replace("  ", " ")
            click.echo(f"{number} of {len(todo)}, seed {line['seed']}, {told}: {line['verdict']}")
            for problem in line["problems"]:
                click.echo(f"    {problem}")
    click.echo(summarise(read_log(folder / LOG)))
    click.echo(f"The log is {folder / LOG}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, if there is one."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
