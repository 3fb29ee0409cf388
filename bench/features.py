"""Extraction against plain PyTorch networks, and the joint sampler against torch's weighted one.

    python -m bench.features

Both on one thread, each pair in turns in one process; ratios of images a second, ours over the baseline's, so more is
better. Memory of the samplers is the peak of an epoch beside the images, in MB, without PyTorch's own tensors, of which
only the baseline has some.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from torchvision.models import resnet18

from fanogan_mtl.data.joint import JointSampler
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import BATCH_IMAGES
from fanogan_mtl.extractors.modules import to_tensor
from fanogan_mtl.extractors.registry import default_parameters

IMAGES = 1024
GRAPH_IMAGES = 256
TURNS = 7
DOMAINS = (60_000, 7_291, 20_000)


def extraction(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Seconds of our extractor and of torchvision's network on batches of the same size."""
    extractor = make_extractor("resnet18_untrained").fit(images[:64])
    plain = resnet18()
    plain.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    plain.eval()
    batches = list(torch.split(torch.from_numpy(images).unsqueeze(1).float() / 255, BATCH_IMAGES))

    def of_torchvision() -> None:
        with torch.inference_mode():
            for batch in batches:
                plain(batch)

    return in_turns(lambda: extractor.transform(images), of_torchvision)


def by_graph(name: str) -> str:
    """An extractor as a graph against its PyTorch module in batches of `BATCH_IMAGES`, to which one image is padded."""
    epochs = {"epochs": 1} if "epochs" in default_parameters(name) else {}
    unfitted = make_extractor(name, device="cpu", **epochs)
    images = np.random.default_rng(0).integers(0, 256, (GRAPH_IMAGES, *unfitted.input_spec.shape), dtype=np.uint8)
    extractor = unfitted.fit(images, np.arange(GRAPH_IMAGES) % 2)
    network = extractor.network_

    def of_pytorch() -> None:
        with torch.inference_mode():
            for start in range(0, len(images), BATCH_IMAGES):
                network.features(to_tensor(images[start : start + BATCH_IMAGES]))

    def one_of_pytorch() -> None:
        with torch.inference_mode():
            network.features(to_tensor(images[:BATCH_IMAGES]))  # an image alone, padded to have the same bits

    graph, module = (1000 * each / GRAPH_IMAGES for each in in_turns(lambda: extractor.transform(images), of_pytorch))
    alone, padded = (1000 * each for each in in_turns(lambda: extractor.transform(images[:1]), one_of_pytorch))
    return (
        f"{name}: {graph:.2f} ms an image, PyTorch {module:.2f}: ratio {module / graph:.2f}; "
        f"alone {alone:.2f} ms, PyTorch {padded:.1f}: ratio {padded / alone:.1f}"
    )


def sampling(images: NDArray[np.uint8], labels: NDArray[np.int64], domains: NDArray[np.int64]) -> dict[str, float]:
    """Images a second and memory of one epoch, by both samplers; every image of a batch is fetched."""
    joint = JointSampler(labels, domains, 64, seed=0)
    number = joint.n_images
    groups = labels * len(DOMAINS) + domains
    weights = 1 / np.bincount(groups)[groups]
    weighted = WeightedRandomSampler(weights.tolist(), number, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)), 64, sampler=weighted)

    def ours() -> None:
        for rows in joint:
            to_tensor(images[rows]), labels[rows]

    def torchs() -> None:
        for _ in loader:
            pass

    seconds, others = in_turns(ours, torchs, turns=3)
    return {
        "ours": number / seconds,
        "theirs": number / others,
        "our memory": peak(ours) / 1e6,
        "their memory": peak(torchs) / 1e6,
    }


def peak(function: Callable[[], object]) -> float:
    """Most bytes that Python and NumPy held at once while a function ran, beyond what they held before."""
    tracemalloc.start()
    function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(most)


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], turns: int = TURNS) -> tuple[float, float]:
    """Median seconds of two functions, run in turns after one run of each."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for function, taken in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            function()
            if turn:
                taken.append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1])


def main() -> None:
    random = np.random.default_rng(0)
    number = sum(DOMAINS)
    images = random.integers(0, 256, (number, 28, 28), dtype=np.uint8)
    labels = random.integers(0, 10, number)
    domains = np.repeat(np.arange(len(DOMAINS)), DOMAINS)
    with one_thread():
        ours, plain = extraction(images[:IMAGES])
        graphs = [by_graph(name) for name in ("efficientnet_lite0", "resnet18", "lenet5")]
        speeds = sampling(images, labels, domains)
    print(f"extraction: {IMAGES / ours:.0f} images/s, torchvision {IMAGES / plain:.0f}: ratio {plain / ours:.2f}")
    print("\n".join(graphs))
    print(
        f"sampling:   {speeds['ours']:.0f} images/s, WeightedRandomSampler {speeds['theirs']:.0f}: "
        f"ratio {speeds['ours'] / speeds['theirs']:.1f}; "
        f"memory {speeds['our memory']:.1f} MB, {speeds['their memory']:.1f} MB"
    )


if __name__ == "__main__":
    main()
