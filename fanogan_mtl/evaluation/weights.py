"""Weights by which each class of a test counts the same, however many of its images there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.float64]


def class_weights(labels: ArrayLike) -> Weights | None:
    """Weigh rows so that every class has the same sum of weights; None where classes are of one size already.

    A row of class c weighs n / (number of classes · n_c). The AUROC under these weights is the mean over anomalous
    classes of the AUROC of normal rows against that class alone.

    Parameters
    ----------
    labels : (n,) int
        The class of each row, the normal one's too.

    Returns
    -------
    array of shape (n,), above 0, with mean 1, or None
    """
    labels = np.asarray(labels)
    classes, sizes = np.unique(labels, return_counts=True)
    if len(set(sizes.tolist())) < 2:
        return None
    weights: Weights = len(labels) / (len(sizes) * sizes[np.searchsorted(classes, labels)])
    return weights
