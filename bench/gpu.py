"""What a graphics card does for this project, a line as soon as it is known: `python -m bench.gpu`.

Detectors and extractors train and score on the card and on the processor, side by side; then how many processes feed
one card best, what the whole study would take by these seconds, and how many images a second extractors see. Neither
MLflow nor Dask is needed. With `python -m bench.gpu cpu` the processor stands for the card, with little data: a
rehearsal.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from statistics import fmean, median

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from bench.critic import PENALTY, fill_by_autograd
from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.detectors.fanogan import FAnoGAN
from fanogan_mtl.detectors.networks.gradients import flatten_parameters
from fanogan_mtl.detectors.networks.wgan import fill_critic_gradients
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.registry import default_parameters
from fanogan_mtl.sweep.cell import Cell, Comparison, run_cell
from fanogan_mtl.sweep.parameters import comparison_parameters
from fanogan_mtl.sweep.result import CellResult

DETECTORS = ("fanogan", "vae", "deep_svdd", "dagmm")
EXTRACTORS = ("lenet5", "resnet18", "resnet50", "autoencoder", "contrastive", "efficientnet_lite0")
DATA = {"handwritten": 28, "optdigits": 8, "streetdigits": 32, "handwritten+optdigits+streetdigits": 32}
STUDY = {"MNIST": 6_000, "SVHN": 7_325, "USPS": 729, "all three": 14_054}  # training images of a class
STUDY_EPOCHS, STUDY_DRAWS = 200, 10 * 3
REHEARSAL = sys.argv[1:] == ["cpu"]
DEVICE = "cpu" if REHEARSAL else "cuda"
CLASSES = "01" if REHEARSAL else "0123456789"
EPOCHS = 2 if REHEARSAL else 20
LIMIT = 100 if REHEARSAL else None
IMAGES = 128 if REHEARSAL else 4096
WORKERS = (1, 2) if REHEARSAL else (1, 2, 4, 8, 16)


def main() -> None:
    if DEVICE == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no card here; python -m bench.gpu cpu rehearses on the processor")
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "the processor, as a rehearsal"
    say(f"{name}; torch {torch.__version__}, torchvision {torchvision.__version__}; {os.cpu_count()} cores")
    seconds: dict[str, float] = {}
    best = [1]
    for part in (partial(cells, seconds), critic, partial(workers, best), partial(study, seconds, best)):
        told(part)
    told(lambda: sample(best[0]))
    for extractor in EXTRACTORS:
        told(partial(extraction, extractor))


def say(text: str) -> None:
    print(f"{time.perf_counter() - START:6.1f} s  {text}", flush=True)


def told(part: Callable[[], Iterator[str]]) -> None:
    """Say each line of a part; what fails is said too, and the next part begins."""
    try:
        for line in part():
            say(line)
    except Exception as error:
        say(f"FAILED: {type(error).__name__}: {error}")
        traceback.print_exc()


def cell_of(detector: str, dataset: str = "handwritten", normal: str = "0", limit: int | None = LIMIT) -> Cell:
    (spec,) = parse_datasets(dataset)
    digest = load_dataset(spec, default_data_dir()).digest
    return Cell(Comparison(spec, digest, detector, comparison_parameters(detector, {}), (EPOCHS,), limit), normal, 0)


def trained(cell: Cell, device: str) -> CellResult:
    return run_cell(cell, default_data_dir(), device)


def fit_seconds(result: CellResult) -> float:
    return result.metrics[EPOCHS]["fit_seconds"]


def auroc(result: CellResult) -> float:
    return result.metrics[EPOCHS]["auroc"]


def cells(seconds: dict[str, float]) -> Iterator[str]:
    """One cell of each detector: time, memory, the same bits twice, and the processor's AUROC."""
    trained(replace(cell_of("vae"), normal_class="1"), DEVICE)  # what a first use of the card takes
    for detector in DETECTORS:
        cell = cell_of(detector)
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        first, again = trained(cell, DEVICE), trained(cell, DEVICE)
        memory = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else 0
        by_core = trained(cell, "cpu")
        seconds[detector] = min(fit_seconds(first), fit_seconds(again))
        same = "the same bits twice" if np.array_equal(first.scores, again.scores) else "OTHER BITS the second time"
        yield (
            f"{detector}: {seconds[detector]:.2f} s for {EPOCHS} epochs, one core {fit_seconds(by_core):.2f}: "
            f"{fit_seconds(by_core) / seconds[detector]:.2f} times; {memory:.0f} MB; {same}; AUROC "
            f"{100 * auroc(first):.2f}, the core's {100 * auroc(by_core):.2f}"
        )


def critic() -> Iterator[str]:
    """f-AnoGAN's critic step as it is, against autograd's double backward, on the card."""
    torch.manual_seed(0)
    networks = FAnoGAN()._build(784).to(DEVICE)
    by_hand, by_autograd = networks.critic, deepcopy(networks.critic)
    sides = (
        (by_hand, fill_critic_gradients, [flatten_parameters(by_hand)]),
        (by_autograd, fill_by_autograd, list(by_autograd.parameters())),
    )
    taken = []
    for network, gradients, parameters in sides:
        optimizer = torch.optim.Adam(parameters, 1e-4, fused=True)
        times = []
        for _ in range(20 if REHEARSAL else 300):
            real, latent, mix = (torch.randn(64, n, device=DEVICE) for n in (784, 100, 1))
            start = synchronised()
            with torch.no_grad():
                fake = networks.generator(latent)
            gradients(network, real, fake, mix.sigmoid(), PENALTY)
            optimizer.step()
            times.append(synchronised() - start)
        taken.append(1000 * median(times))
    yield f"critic step: {taken[0]:.3f} ms, by autograd {taken[1]:.3f}: {taken[1] / taken[0]:.2f} times"


def synchronised() -> float:
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def workers(best: list[int]) -> Iterator[str]:
    """Cells of f-AnoGAN a minute by so many processes on one card; the most of them is kept for what follows."""
    cell, fastest = cell_of("fanogan"), 0.0
    for number in WORKERS:
        with pool(number) as processes:
            list(processes.map(partial(trained, device=DEVICE), [cell_of("vae")] * number))  # imports and first use
            start = time.perf_counter()
            list(processes.map(partial(trained, device=DEVICE), [cell] * 2 * number))
            rate = 2 * number / (time.perf_counter() - start)
        if rate > fastest:
            fastest, best[0] = rate, number
        yield f"{number} processes: {60 * rate:.1f} cells of f-AnoGAN a minute"


def pool(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))


def study(seconds: dict[str, float], best: list[int]) -> Iterator[str]:
    """What the study's trainings take one after the other, as long as each batch takes what it took here."""
    (spec,) = parse_datasets("handwritten")
    labels = load_dataset(spec, default_data_dir()).train.labels
    rows = min(int(np.bincount(labels).min() * 0.9), LIMIT or len(labels))
    batches = EPOCHS * -(-rows // 64)
    wanted = STUDY_EPOCHS * STUDY_DRAWS * sum(-(-images // 64) for images in STUDY.values())
    total = sum(seconds.values()) / batches * wanted
    yield f"the study to {STUDY_EPOCHS} epochs, by these seconds a batch: {total / 3600:.1f} h on one process"


def sample(number: int) -> Iterator[str]:
    """AUROC of every detector on every data set and digit, on the card and on the processor's cores."""
    for detector in DETECTORS:
        own = [cell_of(detector, dataset, digit) for dataset in DATA for digit in CLASSES]
        means = []
        for device, processes in ((DEVICE, number), ("cpu", os.cpu_count() or 1)):
            start = time.perf_counter()
            with pool(processes) as open_pool:
                found = [auroc(result) for result in open_pool.map(partial(trained, device=device), own)]
            means.append((fmean(found), time.perf_counter() - start, processes, device))
        (card, card_seconds, *_), (core, core_seconds, cores, _) = means
        yield (
            f"{detector} on {len(own)} cells: AUROC {100 * card:.2f}, the processor's {100 * core:.2f}, "
            f"{100 * (card - core):+.2f}; {card_seconds:.0f} s by {number}, {core_seconds:.0f} by {cores} cores"
        )


def extraction(name: str) -> Iterator[str]:
    """Train an extractor for an epoch, then images a second, beside torchvision's plain network where it has one."""
    more = {"epochs": 1} if "epochs" in default_parameters(name) else {}
    extractor = make_extractor(name, device=DEVICE, **more)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *extractor.input_spec.shape), dtype=np.uint8)
    start = time.perf_counter()
    extractor.fit(images, np.arange(IMAGES) % 10)
    fitted = time.perf_counter() - start
    line = f"{name}: fitted in {fitted:.1f} s, {rate(lambda: extractor.transform(images)):.0f} images/s"
    if name.startswith("resnet"):
        plain = getattr(torchvision.models, name)()
        plain.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        for kind in (torch.float32, torch.bfloat16):
            network = deepcopy(plain).eval().to(DEVICE, kind)
            plain_rate = rate(partial(seen, network, images, kind))
            line += f"; torchvision's in {str(kind).removeprefix('torch.')} {plain_rate:.0f}"
    yield line


def seen(network: torch.nn.Module, images: NDArray[np.uint8], kind: torch.dtype) -> None:
    with torch.inference_mode():
        for batch in torch.split(torch.from_numpy(images).unsqueeze(1), 64):
            network(batch.to(DEVICE, kind) / 255).float().cpu()


def rate(run: Callable[[], object]) -> float:
    run()
    start = time.perf_counter()
    run()
    return IMAGES / (time.perf_counter() - start)


START = time.perf_counter()
if __name__ == "__main__":
    main()
