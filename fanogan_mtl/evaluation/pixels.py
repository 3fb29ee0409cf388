"""Figures of anomaly maps against masks, pixel by pixel.

Computed exactly, from the scores of all pixels: for each anomalous pixel the share of normal pixels that score at least
as high, and of those that score higher, give every figure; no curve is drawn up. AUPRO is the area under the per-region
overlap (Bergmann, Batzner, Fauser, Sattlegger and Steger 2021, *The MVTec anomaly detection dataset*, 4.2): at each
threshold the share that is found of every connected region (diagonal neighbours count), in the mean over all regions of
all images, against the false-positive rate, up to a limit of it, divided by that limit.

Memory: the scores of all pixels twice, in four bytes each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

LIMITS = (0.3, 0.05)  # of the false-positive rate under AUPRO
BINS = 1_000  # of normal scores, in which images are drawn again for an interval
RESAMPLES = 1_000
ALL = "all"

_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class ScoredMap:
    """An image's anomaly map beside the truth.

    Attributes
    ----------
    values : float32 array of shape (height, width)
    mask : bool array of shape (height, width) or None
        True for anomalous pixels; None for an image without an anomaly.
    kind : str
        The class of its anomaly; of no account without one.
    """

    values: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None
    kind: str = ""


@dataclass(frozen=True)
class PixelFigures:
    """Figures of the pixels of one kind of anomaly, or of all, each in [0, 1].

    Attributes
    ----------
    n_images : int
        Images with a mask.
    auroc : float
    auroc_low, auroc_high : float
        Bootstrap interval of 95 % over images (percentiles), drawn again within the normal ones and within each kind.
    auprc : float
        Average precision, as scikit-learn's `average_precision_score` sums it.
    aupro, aupro_05 : float
        Up to false-positive rates of 0.3 and of 0.05.
    f1 : float
        The best F1 that any threshold gives.
    """

    n_images: int
    auroc: float
    auroc_low: float
    auroc_high: float
    auprc: float
    aupro: float
    aupro_05: float
    f1: float


def pixel_figures(maps: Iterable[ScoredMap], seed: int = 0) -> dict[str, PixelFigures]:
    """Compute the figures of each kind of anomaly, and of all as `ALL`.

    Normal pixels are those of images without an anomaly, and those beside the anomalies of the kind.

    Parameters
    ----------
    maps : iterable of ScoredMap
        Read one by one; at least one with an anomalous and one with a normal pixel. All of one size.
    seed : int
        Of the interval's draws; no global random state is touched.

    Raises
    ------
    ValueError
        Without an anomalous or without a normal pixel, for an empty mask, and for values that are not finite.
    """
    groups: dict[str | None, list[_Image]] = {}
    for each in maps:
        groups.setdefault(None if each.mask is None else each.kind, []).append(_Image.of(each))
    good = groups.pop(None, [])
    kinds = {str(name): _Pixels.of(own) for name, own in sorted(groups.items(), key=str)}
    if not kinds or not (good or any(len(each.normal) for each in kinds.values())):
        raise ValueError("pixel figures need an anomalous and a normal pixel")
    background = _Pixels.of(good)
    edges = _edges([background, *kinds.values()])
    random = np.random.default_rng(seed)
    drawn = {name: each.drawn(edges, random) for name, each in kinds.items()}
    drawn_background = background.drawn(edges, random)
    named = {name: [name] for name in kinds} | {ALL: list(kinds)}
    return {
        name: _figures(background, [kinds[kind] for kind in own], drawn_background, [drawn[kind] for kind in own])
        for name, own in named.items()
    }


Draws = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Normal and anomalous pixels in each bin, (resamples, bins), by resample."""


@dataclass(frozen=True)
class _Image:
    """The pixels of an image.

    Attributes
    ----------
    normal, anomalous : float32 arrays
    shares : float array, in the order of `anomalous`
        What each pixel counts in the mean overlap: 1 / pixels of its region.
    n_regions : int
    """

    normal: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    shares: NDArray[np.float64]
    n_regions: int

    @classmethod
    def of(cls, scored: ScoredMap) -> _Image:
        values, mask = scored.values.astype(np.float32, copy=False), scored.mask
        if not np.isfinite(values).all():
            raise ValueError("an anomaly map holds NaN or infinity")
        if mask is None:
            return cls(values.ravel(), np.zeros(0, np.float32), np.zeros(0), 0)
        if not mask.any():
            raise ValueError("a mask has no anomalous pixel: leave that image out")
        regions, number = label(mask, _NEIGHBOURS)
        shares = 1 / np.bincount(regions.ravel(), minlength=number + 1)[regions[mask]]
        return cls(values[~mask], values[mask], shares, number)


@dataclass(frozen=True)
class _Pixels:
    """The pixels of images of one kind.

    Attributes
    ----------
    images : list of _Image
    normal, anomalous : float32 arrays, ascending
    shares : float array, in the order of `anomalous`
    n_regions : int
    """

    images: list[_Image]
    normal: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    shares: NDArray[np.float64]
    n_regions: int

    @classmethod
    def of(cls, images: list[_Image]) -> _Pixels:
        none = np.zeros(0, np.float32)
        normal = np.concatenate([none, *(each.normal for each in images)])
        anomalous = np.concatenate([none, *(each.anomalous for each in images)])
        shares = np.concatenate([np.zeros(0), *(each.shares for each in images)])
        normal.sort()
        order = np.argsort(anomalous, kind="stable")
        return cls(images, normal, anomalous[order], shares[order], sum(each.n_regions for each in images))

    def drawn(self, edges: NDArray[np.float32], random: np.random.Generator) -> Draws:
        """Draw the images again, as many as there are."""
        number, bins = len(self.images), len(edges) + 1
        if not number:
            return np.zeros((RESAMPLES, bins)), np.zeros((RESAMPLES, bins))
        weights = random.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(np.float64)
        counts = [
            [np.bincount(np.searchsorted(edges, own), minlength=bins) for own in (each.normal, each.anomalous)]
            for each in self.images
        ]
        normal, anomalous = (weights @ np.array(each, np.float64) for each in zip(*counts, strict=True))
        return normal, anomalous


def _edges(groups: list[_Pixels]) -> NDArray[np.float32]:
    """Edges of bins that hold about as many normal pixels each."""
    normal = np.sort(np.concatenate([each.normal[:: max(1, len(each.normal) // 100_000)] for each in groups]))
    return np.unique(normal[np.linspace(0, len(normal) - 1, BINS).astype(int)])


def _figures(background: _Pixels, kinds: list[_Pixels], drawn_background: Draws, drawn: list[Draws]) -> PixelFigures:
    normal = [background.normal, *(each.normal for each in kinds)]
    anomalous = np.concatenate([each.anomalous for each in kinds])
    shares = np.concatenate([each.shares for each in kinds])
    order = np.argsort(anomalous, kind="stable")
    anomalous, shares = anomalous[order], shares[order]
    n_normal, n_anomalous = sum(map(len, normal)), len(anomalous)
    at_or_above, above = (_normal_above(normal, anomalous, side) for side in ("left", "right"))
    low, high = above / n_normal, at_or_above / n_normal
    found = n_anomalous - np.searchsorted(anomalous, anomalous, "left")
    overlaps = [
        float((shares * _area(low, high, limit)).sum() / sum(each.n_regions for each in kinds) / limit)
        for limit in LIMITS
    ]
    interval = np.quantile(_aurocs([drawn_background, *drawn]), (0.025, 0.975))
    return PixelFigures(
        n_images=sum(len(each.images) for each in kinds),
        auroc=float(1 - (low + high).mean() / 2),
        auroc_low=float(interval[0]),
        auroc_high=float(interval[1]),
        auprc=float((found / (found + at_or_above)).mean()),
        aupro=overlaps[0],
        aupro_05=overlaps[1],
        f1=float((2 * found / (found + at_or_above + n_anomalous)).max()),
    )


def _normal_above(
    normal: list[NDArray[np.float32]], anomalous: NDArray[np.float32], side: Literal["left", "right"]
) -> NDArray[np.int64]:
    """Normal pixels that score above each anomalous one, with `left` those of the same score, too."""
    count = np.zeros(len(anomalous), np.int64)
    for each in normal:
        count += len(each) - np.searchsorted(each, anomalous, side)
    return count


def _area(low: NDArray[np.float64], high: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Area that each pixel adds under a curve up to a false-positive rate, found from `low` on, and surely at `high`.

    Between the two, where normal pixels have the same score, the curve rises in a straight line.
    """
    whole = np.maximum(limit - np.maximum(high, low), 0) + np.maximum(np.minimum(high, limit) - low, 0) / 2
    cut = (low < limit) & (high > limit)
    whole[cut] = (limit - low[cut]) ** 2 / (2 * (high - low)[cut])
    return whole


def _aurocs(parts: list[Draws]) -> NDArray[np.float64]:
    """AUROC of every resample, pixels of one bin counted as equal."""
    normal, anomalous = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
    below = np.cumsum(normal, axis=1) - normal / 2
    areas: NDArray[np.float64] = (below * anomalous).sum(axis=1) / (normal.sum(axis=1) * anomalous.sum(axis=1))
    return areas
