"""Tables of methods and blocks, made by hand."""

import numpy as np


def table_of(values, names="abcdefghijk", datasets=1):
    """Table of an array (blocks, methods), with the blocks dealt out to so many data sets."""
    return {
        name: {(f"data {row % datasets}", str(row)): float(value) for row, value in enumerate(column)}
        for name, column in zip(names, np.asarray(values, float).T, strict=False)
    }


def separated(gap=0.1, n=20, k=4):
    """Methods a, b, c, ... each worse than the one before on every block."""
    return table_of(0.9 - gap * np.arange(k) + np.random.default_rng(0).normal(0, 1e-3, size=(n, k)), datasets=4)
