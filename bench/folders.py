"""Reading a folder of 60,000 small images against another version of this project: `python -m bench.folders BASELINE`.

BASELINE is a checkout of that version, as `git worktree add BASELINE COMMIT` makes one. Both list the same files and
digest them, cold (nothing is noted yet) and warm, in turn in one run, each time in a process of its own. The bar: at
most 1.1 times the baseline.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES, CLASSES, ROUNDS = 60_000, 10, 5
DIFFERENT = 500  # their bytes differ by a counter behind the image
SETTLED = 3.0  # seconds after which digests are noted

MEASURE = """
import json, sys, time
from pathlib import Path
from fanogan_mtl.data.sources.folder import folder_digests, list_folder
folder, data_dir = map(Path, sys.argv[1:])
seconds = {}
for step in ("cold", "warm"):
    start, processor = time.perf_counter(), time.process_time()
    files = list_folder(folder)
    digests = folder_digests(folder, files, data_dir)
    seconds[step] = time.perf_counter() - start
    seconds[f"{step}, of the processor"] = time.process_time() - processor
assert len(digests) == len(files.names)
print(json.dumps(seconds))
"""


def main() -> None:
    baseline = Path(sys.argv[1]).resolve()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        write_images(folder)
        time.sleep(SETTLED)
        rounds = [
            {name: measure(version, folder) for name, version in (("baseline", baseline), ("this", ROOT))}
            for _ in range(ROUNDS)
        ]
    print(f"{IMAGES:,} images, least seconds of {ROUNDS} rounds in turn")
    for step in rounds[0]["this"]:
        ours, theirs = (min(each[name][step] for each in rounds) for name in ("this", "baseline"))
        print(f"{step:28} {ours:7.3f} s, the baseline {theirs:7.3f} s: {ours / theirs:.2f} times the baseline")


def write_images(folder: Path) -> None:
    """Write PNG files of 28x28 noise, in two parts and ten classes."""
    random = np.random.default_rng(0)
    encoded = []
    for _ in range(DIFFERENT):
        path = folder.parent / "one.png"
        Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(path)
        encoded.append(path.read_bytes())
    for number in range(IMAGES):
        part = "test" if number % 7 == 0 else "train"
        path = folder / part / str(number % CLASSES) / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded[number % DIFFERENT] + number.to_bytes(4, "big"))


def measure(version: Path, folder: Path) -> dict[str, float]:
    """Seconds of each step, in a fresh process with an empty data folder."""
    with TemporaryDirectory() as data_dir:
        command = [sys.executable, "-c", MEASURE, str(folder), data_dir]
        process = subprocess.run(command, cwd=version, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(process.stdout)
    return seconds


if __name__ == "__main__":
    main()
