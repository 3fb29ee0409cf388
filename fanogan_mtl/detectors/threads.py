"""Runs every training and scoring on one thread: with another number of threads, results differ in their last bits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any


@contextmanager
def one_thread(with_torch: bool = True) -> Iterator[None]:
    """While active, PyTorch and the linear algebra libraries compute on one thread.

    Parameters
    ----------
    with_torch : bool
        Import PyTorch for it, which takes a second; without, only where it was imported before.
    """
    torch: Any = import_module("torch") if with_torch else sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with _libraries(len(sys.modules)).limit(limits=1):
            yield
    finally:
        if torch:
            torch.set_num_threads(threads)


def stay_on_one_thread() -> None:
    """Call first in a thread that is started while `one_thread` is active: OpenMP counts for each thread apart."""
    import torch

    torch.set_num_threads(1)
    _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """The linear algebra libraries that are loaded; they come with modules, and looking for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
