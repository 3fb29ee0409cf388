"""What the checks of every cell cost, beside the same cells without them.

    python -m bench.checks [--classes 0,1] [--data_dir FOLDER]

Runs the cells of the default benchmark on `sample` in one process, on one thread, and prints the seconds that their
checks took as a share of all others: by detector and over all. The one cell of each comparison that is compared with
its untrained network is among them.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tqdm import tqdm

from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan
from fanogan_mtl.sweep import cell as cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="all")
    parser.add_argument("--data_dir", default=None)
    given = parser.parse_args()
    folder = Path(given.data_dir or mkdtemp(prefix="bench-checks-"))
    plan = make_plan(BenchmarkOptions(classes=given.classes, data_dir=str(folder)))
    checking = 0.0
    check_cell = cells.check_cell

    def timed(*arguments: Any) -> Any:
        nonlocal checking
        start = time.perf_counter()
        found = check_cell(*arguments)
        checking += time.perf_counter() - start
        return found

    cells.check_cell = timed
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for cell in tqdm(plan.cells, unit="cell"):
        before, start = checking, time.perf_counter()
        cells.run_cell(cell, plan.execution.data_dir, "cpu")
        own = checking - before
        for name in (cell.comparison.detector, "all"):
            seconds[name][0] += own
            seconds[name][1] += time.perf_counter() - start - own
    print("detector        checks (s)  all else (s)  checks / all else")
    for name, (own, rest) in seconds.items():
        print(f"{name:15} {own:10.2f} {rest:13.2f} {own / rest:18.2%}")


if __name__ == "__main__":
    main()
