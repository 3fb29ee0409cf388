"""What a user waits for, in seven minutes, or against a BASELINE in twelve: `python -m bench.all [BASELINE]`.

BASELINE is a checkout of another version, as `git worktree add BASELINE COMMIT` makes one, against which answers and
folders are measured in the same run. Nothing else may run beside it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHES = ("serving", "clients", "score", "startup")


def main() -> None:
    for name in BENCHES:
        print(f"== python -m bench.{name}", flush=True)
        baseline = sys.argv[1:] if name in ("serving", "score") else []
        subprocess.run([sys.executable, "-m", f"bench.{name}", *baseline], cwd=Path(__file__).parents[1], check=True)


if __name__ == "__main__":
    main()
