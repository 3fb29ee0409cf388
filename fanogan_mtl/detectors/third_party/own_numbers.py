"""Random numbers of one's own, for code that draws from the global generators of Python, numpy or PyTorch."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

HASH_SEED = "PYTHONHASHSEED"  # PyOD's torch models write it


@contextmanager
def own_numbers(seed: int) -> Iterator[None]:
    """While active, the global generators start from that seed; afterwards they go on as if nothing had happened."""
    numpy_state, python_state, hash_seed = np.random.get_state(), random.getstate(), os.environ.get(HASH_SEED)
    torch = sys.modules.get("torch")  # who has not imported it draws nothing from it
    with _torch_numbers(torch, seed) if torch else nullcontext():
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
            os.environ.pop(HASH_SEED, None)
            if hash_seed is not None:
                os.environ[HASH_SEED] = hash_seed


@contextmanager
def _torch_numbers(torch: Any, seed: int) -> Iterator[None]:
    """The same for PyTorch; without a GPU not by `torch.manual_seed`, which takes longer than scoring a row."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices):
        if devices:
            torch.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)
        yield
