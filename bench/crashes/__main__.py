"""Kills small runs at random and chosen moments: `python -m bench.crashes FOLDER --seeds 0-99`.

Each seed draws a scenario, a fault and its moment; the same command is then started again until it ends, and what it
leaves is held against a quiet run's: runs, metrics to the last bit, files, processes. A line of JSON a trial goes to
FOLDER/crashes.jsonl; seeds that it has are not tried again. A trial that failed keeps its folder. Commands are forked
from a process that has imported what they import.
"""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]  # the tests have the servers

from starting import Forks, launch_cold  # noqa: E402
from stores import Stores  # noqa: E402
from summary import summarise  # noqa: E402
from trial import KINDS, Place, commit, environment, run_trial  # noqa: E402

LOG = "crashes.jsonl"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seeds", default="0-99", show_default=True, help="As 7, 0-99 or 3,7,20-29.")
@click.option("--store", type=click.Choice(sorted(KINDS)), default="sqlite", show_default=True)
@click.option("--jobs", default=2, show_default=True, help="Trials at a time.")
@click.option("--cold", is_flag=True, help="Start each command as a person does, which takes three times as long.")
def main(folder: Path, seeds: str, store: str, jobs: int, cold: bool) -> None:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kind = (commit(), store, cold)
    done = {line["seed"] for line in read_log(folder / LOG) if (line["commit"], line["store"], line["cold"]) == kind}
    ranges = (part.partition("-") for part in seeds.split(","))
    asked = [seed for first, _, last in ranges for seed in range(int(first), int(last or first) + 1)]
    todo = [seed for seed in asked if seed not in done]
    with ExitStack() as stack:
        launch = launch_cold
        if not cold:
            forks = Forks(folder, environment(folder))
            stack.callback(forks.close)
            launch = forks.launch
        stores = Stores(folder) if store == "team" else None
        if stores:
            stack.callback(stores.close)
            for known in (folder / "templates").glob("*-team*.json"):  # whose stores ended with their process
                known.unlink()
        place = Place(folder, store, stores, launch, cold)
        trials = ThreadPoolExecutor(jobs)
        stack.callback(trials.shutdown, cancel_futures=True)  # of an interrupted run those that go on are waited for
        log = stack.enter_context((folder / LOG).open("a"))
        for number, ended in enumerate(as_completed(trials.submit(run_trial, seed, place) for seed in todo), 1):
            line = ended.result()
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the process that commands are forked from goes on
    main()
