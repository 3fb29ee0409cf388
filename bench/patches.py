"""`padim` and `patchcore` beside anomalib's own modules, on the same maps and one thread: `python -m bench.patches`.

    python -m bench.patches [--maps FILE.npz] [--python PYTHON]

PYTHON is the interpreter of an environment that has anomalib (2.7.0 was tried) beside torch; without it this one is
asked. FILE.npz has `train` and `test`, float32 arrays (n, channels, grid, grid); without it maps of 200 and 100 images
are drawn, 152 × 14 × 14, whose channels are correlated. Each side runs in a process of its own.

The bars: coreset in at most a third of anomalib's time, scoring in two thirds, peak memory a half; rank correlation of
the images' scores at least 0.99.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.versions import peak_megabytes

CORESET = 0.1
SIDES = ("ours", "anomalib")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default=None)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--side", choices=SIDES, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        run_side(given.side, given.step, Path(given.maps))
        return
    with TemporaryDirectory() as folder:
        maps = Path(given.maps or Path(folder) / "maps.npz")
        if not given.maps:
            np.savez(maps, train=drawn_maps(200, 0), test=drawn_maps(100, 1))
        for step in ("padim", "patchcore"):
            found = {side: measure(side, step, maps, given.python) for side in SIDES}
            report(step, found)


def measure(side: str, step: str, maps: Path, python: str) -> dict[str, Any]:
    """Run one side's step in a fresh process."""
    interpreter = python if side == "anomalib" else sys.executable
    command = [interpreter, "-m", "bench.patches", "--side", side, "--step", step, "--maps", str(maps)]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **one})
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


def report(step: str, found: dict[str, dict[str, Any]]) -> None:
    """Print what was measured, as ratios to anomalib's."""
    from scipy.stats import spearmanr

    ours, theirs = (found[side] for side in SIDES)
    print(f"{step}: rank correlation of the images' scores {spearmanr(ours['scores'], theirs['scores']).statistic:.4f}")
    for name in ours["measured"]:
        mine, other = ours["measured"][name], theirs["measured"][name]
        print(f"  {name:24} {mine:9.3f}, anomalib {other:9.3f}: {mine / other:.2f} times anomalib's")


def run_side(side: str, step: str, maps: Path) -> None:
    """Measure one step, and print it as JSON."""
    with np.load(maps) as file:
        train, test = file["train"], file["test"]
    STEPS[side, step](train[:8], test[:2])  # imports
    measured, scores = STEPS[side, step](train, test)
    measured["peak memory, MB"] = peak_megabytes()
    print(json.dumps({"measured": measured, "scores": np.asarray(scores, float).tolist()}))


def ours(name: str, train: np.ndarray, test: np.ndarray, **parameters: Any) -> tuple[dict[str, float], np.ndarray]:
    """Fit and score with this project's detector."""
    from fanogan_mtl.detectors import make_detector

    detector = make_detector(name, grid=train.shape[-1], **parameters)
    rows, tested = train.reshape(len(train), -1), test.reshape(len(test), -1)
    fit, _ = timed(lambda: detector.fit(rows))
    score, scores = timed(lambda: detector.decision_function(tested))
    return {"fit, seconds": fit, "scoring, seconds": score}, scores


def our_patchcore(train: np.ndarray, test: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """The coreset alone, and scoring by it."""
    from fanogan_mtl.detectors.patches.patchcore import greedy_coreset

    patches = np.ascontiguousarray(train.transpose(0, 2, 3, 1).reshape(-1, train.shape[1]))
    seconds, _ = timed(lambda: greedy_coreset(patches, int(CORESET * len(patches))))
    measured, scores = ours("patchcore", train, test, coreset=CORESET, neighbourhood=1)
    return {"coreset, seconds": seconds, "scoring, seconds": measured["scoring, seconds"]}, scores


def their_padim(train: np.ndarray, test: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """anomalib's Gaussians and distances."""
    import torch
    from anomalib.models.components import MultiVariateGaussian
    from anomalib.models.image.padim.anomaly_map import AnomalyMapGenerator

    torch.set_num_threads(1)
    gaussian, own, tested = MultiVariateGaussian(), torch.from_numpy(train), torch.from_numpy(test)
    fit, statistics = timed(lambda: gaussian.fit(own))
    score, distances = timed(lambda: AnomalyMapGenerator.compute_distance(tested, statistics))
    return {"fit, seconds": fit, "scoring, seconds": score}, distances.flatten(1).max(dim=1).values.numpy()


def their_patchcore(train: np.ndarray, test: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """anomalib's coreset, nearest neighbours and weighing."""
    import torch
    from anomalib.models.components import KCenterGreedy
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = PatchcoreModel(layers=["layer1"], backbone="resnet18", pre_trained=False)
    embedding = model.reshape_embedding(torch.from_numpy(train))
    coreset, memory = timed(lambda: KCenterGreedy(embedding=embedding, sampling_ratio=CORESET).sample_coreset())
    model.memory_bank = memory

    def score() -> torch.Tensor:
        scores = []
        for image in torch.from_numpy(test):
            own = model.reshape_embedding(image[None])
            distances, nearest = model.nearest_neighbors(own, n_neighbors=1)
            scores.append(model.compute_anomaly_score(distances[None], nearest[None], own))
        return torch.cat(scores)

    seconds, scores = timed(score)
    return {"coreset, seconds": coreset, "scoring, seconds": seconds}, scores.numpy()


STEPS: dict[tuple[str, str], Callable[[np.ndarray, np.ndarray], tuple[dict[str, float], np.ndarray]]] = {
    ("ours", "padim"): lambda train, test: ours("padim", train, test, n_channels=None),
    ("ours", "patchcore"): our_patchcore,
    ("anomalib", "padim"): their_padim,
    ("anomalib", "patchcore"): their_patchcore,
}


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and what it gave."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def drawn_maps(number: int, seed: int) -> np.ndarray:
    """Random maps with correlated channels, (number, 152, 14, 14)."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(152, 152)) / 12
    return np.einsum("nchw,cd->ndhw", random.normal(size=(number, 152, 14, 14)), mixing).astype(np.float32)


if __name__ == "__main__":
    main()
