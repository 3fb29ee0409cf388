"""`--help` of every entry against an empty Python with click: `python -m bench.startup`. The bar: under 0.6 s each."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 7


def main() -> None:
    baseline = seconds(["-c", "import click"])
    print(f"{'python -c `import click`':40} {baseline:6.3f} s")
    for script in sorted((ROOT / "entrypoints").glob("*.py")):
        if "run(main)" in script.read_text():
            entry = seconds(["-m", f"entrypoints.{script.stem}", "--help"])
            ratio = f"{entry / baseline:.1f} times the baseline"
            print(f"{'entrypoints.' + script.stem + ' --help':40} {entry:6.3f} s, {ratio}")


def seconds(arguments: list[str]) -> float:
    """Median wall-clock seconds of a whole process."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
