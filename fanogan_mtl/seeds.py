"""One seed becomes an independent seed for each purpose."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def derived_seed(seed: int, purpose: str) -> int:
    """Make the seed of one purpose's own stream, so that drawing more for one purpose changes no other."""
    return int(np.random.SeedSequence([seed, crc32(purpose.encode())]).generate_state(1, np.uint64)[0] >> 1)
