"""Scoring a folder of 20,000 small PNG images, as the entry `score` does, against another version.

    python -m bench.score [BASELINE]

Files are listed, read, decoded and scored, and their rows are written; the model's loading and MLflow's run are not
counted. The figures are seconds, and MB of memory more than after the first images.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from bench.serving import some_images, write_model_of
from bench.versions import measured, show
from fanogan_mtl.detectors.threads import one_thread

IMAGES, DIFFERENT = 20_000, 200
MODELS = {
    "pixels": "30 heads on pixels, three preparations",
    "shared": "30 heads on ResNet18, one preparation",
}
MEASURE = """
import json, sys, time
from pathlib import Path
from bench.versions import peak_megabytes
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.scores.files import score_files
from fanogan_mtl.scores.images import list_images
from fanogan_mtl.scores.table import append_rows, open_journal
from fanogan_mtl.serving.heads import read_model
from fanogan_mtl.serving.scoring import named_heads

def scored(heads, files):
    names = [head.spec.name for head in heads]
    with open_journal(Path(sys.argv[3]) / "scores.csv", {}, names) as journal, one_thread():
        for rows in score_files(model, heads, files, set()):
            append_rows(journal, rows)
        journal.file.truncate(0)

model, files = read_model(Path(sys.argv[1])), list_images(sys.argv[2])
few = dict(list(files.items())[:256])
figures = {}
for names in ("0/0", "all"):
    heads = named_heads(model, names)
    scored(heads, few)
    before, start = peak_megabytes(), time.perf_counter()
    scored(heads, list_images(sys.argv[2]))
    what = "all heads" if names == "all" else "one head"
    figures[f"{what}, seconds"] = time.perf_counter() - start
    figures[f"{what}, MB more"] = peak_megabytes() - before
print(json.dumps(figures))
"""


def write_images(folder: Path) -> None:
    """Write PNG files of 28x28, which differ."""
    random = np.random.default_rng(1)
    different = np.clip(random.normal(128, 40, (DIFFERENT, 28, 28)), 0, 255).astype(np.uint8)
    folder.mkdir()
    for number in range(IMAGES):
        pixels = different[number % DIFFERENT]
        pixels[0, :2] = divmod(number % 2**16, 256)
        Image.fromarray(pixels).save(folder / f"{number:05}.png")


def main() -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images(folder / "images")
        for kind, title in MODELS.items():
            (folder / kind).mkdir()
            with one_thread():
                write_model_of(folder / kind, kind, some_images())
            figures = measured(MEASURE, str(folder / kind), str(folder / "images"), rounds=1)
            show(f"{IMAGES:,} images, {title}", figures)


if __name__ == "__main__":
    main()
