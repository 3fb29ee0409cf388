"""Where in an image a detector finds what it scores: maps in the detector's own values, and how they are enlarged.

| detector | value of a position |
|---|---|
| of patches (`padim`, `patchcore`) | the score of the patch there |
| on a grid's features, that says what each adds (`mahalanobis`, `pca`, `knn`) | the sum of what its features add |
| of pixels, that reconstructs (`fanogan`, `vae`, `pca`) | the absolute residual |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 4 / 224
"""Standard deviation of the Gaussian that smooths an enlarged map, as a share of its side: PaDiM's and PatchCore's."""

LARGEST = 1024
"""Side to which a map is enlarged at most: smoothing takes time that grows with the third power of the side."""

AnomalyMaps = NDArray[np.float64]


def says_where(detector: Any, grid: int = 1, image_shape: tuple[int, ...] | None = None) -> bool:
    """Whether a detector has maps; parameters as in `anomaly_maps`."""
    on_grid = any(hasattr(detector, name) for name in ("anomaly_maps", "feature_shares"))
    return (grid > 1 and on_grid) or (image_shape is not None and hasattr(detector, "reconstruct"))


def anomaly_maps(
    detector: Any, rows: NDArray[np.float32], grid: int = 1, image_shape: tuple[int, ...] | None = None
) -> AnomalyMaps:
    """Make the maps of rows in the detector's own resolution.

    Parameters
    ----------
    detector : fitted detector or hybrid, of which `says_where` is true
    rows : array of shape (n, d)
        As the detector takes them.
    grid : int
        Positions a side of the features; 1 for features without positions, and for pixels.
    image_shape : tuple of int, optional
        Of rows of pixels (height, width[, 3]); None for features.

    Returns
    -------
    array of shape (n, height, width), float64
    """
    if grid > 1 and hasattr(detector, "anomaly_maps"):
        maps: AnomalyMaps = detector.anomaly_maps(rows)
        return maps
    if grid > 1:
        shares = detector.feature_shares(rows).reshape(len(rows), -1, grid, grid)
        return np.asarray(shares.sum(axis=1), np.float64)
    assert image_shape is not None
    residual = np.abs(rows - detector.reconstruct(rows)).reshape(len(rows), *image_shape)
    return np.asarray(residual if residual.ndim == 3 else residual.mean(axis=3), np.float64)


def shown_map(values: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Make a map (height, width) as large as its image, (size, size), and at least 0.

    One that was smaller is smooth, and has `LARGEST` values a side at most.
    """
    positive = np.maximum(values, 0).astype(np.float32)
    return positive if positive.shape == (size, size) else enlarged(positive, min(size, LARGEST))


def enlarged(values: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Enlarge a map (height, width) to (size, size) by bilinear interpolation, and smooth it."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    small = Image.fromarray(np.ascontiguousarray(values, np.float32))
    large = np.asarray(small.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    smooth: NDArray[np.float32] = gaussian_filter(large, size * SMOOTHING)
    return smooth
