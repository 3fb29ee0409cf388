"""Holds a cell's anomaly maps against the masks of its test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyod.models.base import BaseDetector
from sklearn.metrics import roc_auc_score

from fanogan_mtl.anomaly_maps import AnomalyMaps, anomaly_maps, enlarged, says_where, shown_map
from fanogan_mtl.data.dataset import MASK_SIZE, PICTURE_SIZE, Dataset
from fanogan_mtl.data.splits import Part
from fanogan_mtl.evaluation.pixels import ALL, PixelFigures, ScoredMap, pixel_figures
from fanogan_mtl.sweep.pretraining import grid_of, input_size_of

_CHUNK_IMAGES = 64  # whose maps are made at once
SHOWN = 4  # images that are shown of those with the best maps, and as many of those with the worst

MakeMaps = Callable[[slice], AnomalyMaps]


@dataclass(frozen=True)
class MapExamples:
    """Anomalous test images beside their masks and maps, the best map first.

    Attributes
    ----------
    pictures : uint8 array of shape (n, size, size) or (n, size, size, 3)
    masks : bool array of shape (n, size, size)
    maps : float32 array of shape (n, size, size), in [0, 1]
        0 is the least value of all maps of the test, 1 the greatest.
    labels : int64 array of shape (n,)
    aurocs : float64 array of shape (n,)
        Of each image's own pixels.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    maps: NDArray[np.float32]
    labels: NDArray[np.int64]
    aurocs: NDArray[np.float64]


@dataclass(frozen=True)
class Where:
    """How well maps say where anomalies are: figures by kind of anomaly and of all (see `pixels.ALL`), and examples."""

    figures: dict[str, PixelFigures]
    examples: MapExamples

    @property
    def metrics(self) -> dict[str, float]:
        """As a cell records them: `pixel_auroc` and others over all, `pixel_auroc_<class>` of each kind."""
        whole = self.figures[ALL]
        names = ("auroc", "auprc", "aupro", "aupro_05", "f1")
        values = {f"pixel_{name}": float(getattr(whole, name)) for name in names}
        kinds = {name: each.auroc for name, each in self.figures.items() if name != ALL}
        return values | {f"pixel_auroc_{name}": value for name, value in kinds.items()}


def where_finder(
    dataset: Dataset, test: Part, test_rows: NDArray[np.float32], extractor_key: str | None, data_dir: Path
) -> Callable[[BaseDetector], Where | None]:
    """Give a function that holds a detector's maps against the masks; it gives None where there are none of either."""
    if dataset.masks is None:
        return lambda detector: None
    grid, shape = layout_of(test, extractor_key, data_dir)

    def find(detector: BaseDetector) -> Where | None:
        if not says_where(detector, grid, shape):
            return None
        return find_where(dataset, test, lambda rows: anomaly_maps(detector, test_rows[rows], grid, shape))

    return find


def map_maxima(
    detector: BaseDetector, part: Part, rows: NDArray[np.float32], extractor_key: str | None, data_dir: Path
) -> tuple[float, ...]:
    """Each row's greatest value of its map as a served model shows it, ascending; none where there are no maps."""
    grid, shape = layout_of(part, extractor_key, data_dir)
    if not says_where(detector, grid, shape):
        return ()
    size = shape[0] if shape else input_size_of(data_dir, str(extractor_key))
    chunks = (rows[start : start + _CHUNK_IMAGES] for start in range(0, len(rows), _CHUNK_IMAGES))
    maps = (each for chunk in chunks for each in anomaly_maps(detector, chunk, grid, shape))
    return tuple(sorted(float(shown_map(each, size).max()) for each in maps))


def layout_of(part: Part, extractor_key: str | None, data_dir: Path) -> tuple[int, tuple[int, ...] | None]:
    """Positions a side of a part's features, or the shape of images where rows are pixels; see `anomaly_maps`."""
    if extractor_key is not None:
        return grid_of(data_dir, extractor_key), None
    shape = part.pixels.shape[1:]
    return 1, shape if len(shape) > 1 else None


def find_where(dataset: Dataset, test: Part, make_maps: MakeMaps) -> Where | None:
    """Make the maps of a test part and hold them against the masks.

    Anomalous images without a mask are left out.

    Parameters
    ----------
    dataset : Dataset
    test : Part
    make_maps : callable
        Slice of the part's rows -> maps (n, height, width).

    Returns
    -------
    Where or None
        None without masks of the anomalies, and where normal images have some.
    """
    masks = dataset.masks
    if masks is None:
        return None
    positions = _masks_at(dataset, test)
    has_mask = positions >= 0
    if not (has_mask & test.anomaly).any() or (has_mask & ~test.anomaly).any():
        return None
    kept = np.flatnonzero(has_mask | ~test.anomaly)
    aurocs: dict[int, float] = {}
    small: dict[int, NDArray[np.float32]] = {}
    limits = [np.inf, -np.inf]

    def scored() -> Iterator[ScoredMap]:
        for row, values in _maps(kept, make_maps):
            limits[:] = min(limits[0], float(values.min())), max(limits[1], float(values.max()))
            if not test.anomaly[row]:
                yield ScoredMap(values)
                continue
            mask = masks.mask(int(positions[row]))
            aurocs[row] = float(roc_auc_score(mask.ravel(), values.ravel())) if not mask.all() else np.nan
            small[row] = values[:: MASK_SIZE // PICTURE_SIZE, :: MASK_SIZE // PICTURE_SIZE]
            yield ScoredMap(values, mask, dataset.classes[test.labels[row]])

    figures = pixel_figures(scored())
    ranked = sorted((row for row in aurocs if np.isfinite(aurocs[row])), key=lambda row: -aurocs[row])
    chosen = ranked if len(ranked) <= 2 * SHOWN else ranked[:SHOWN] + ranked[-SHOWN:]
    return Where(figures, _examples(dataset, test, positions, chosen, small, aurocs, (limits[0], limits[1])))


def _masks_at(dataset: Dataset, test: Part) -> NDArray[np.int64]:
    """Position of each test row's mask among the data set's, -1 without one."""
    assert dataset.masks is not None
    known = dataset.masks.rows
    images = test.rows - len(dataset.train.labels)
    at = np.minimum(np.searchsorted(known, images), len(known) - 1)
    return np.where(known[at] == images, at, -1)


def _maps(rows: NDArray[np.int64], make_maps: MakeMaps) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Rows of the test, each with its map as large as masks."""
    for start in range(0, int(rows[-1]) + 1, _CHUNK_IMAGES):
        own = rows[(rows >= start) & (rows < start + _CHUNK_IMAGES)]
        if not len(own):
            continue
        maps = make_maps(slice(start, start + _CHUNK_IMAGES))
        for row in own.tolist():
            yield row, enlarged(maps[row - start], MASK_SIZE)


def _examples(
    dataset: Dataset,
    test: Part,
    positions: NDArray[np.int64],
    rows: list[int],
    maps: dict[int, NDArray[np.float32]],
    aurocs: dict[int, float],
    limits: tuple[float, float],
) -> MapExamples:
    masks = dataset.masks
    assert masks is not None
    step, (low, high) = MASK_SIZE // PICTURE_SIZE, limits
    own = positions[rows]
    scaled = [(maps[row] - low) / ((high - low) or 1) for row in rows]
    return MapExamples(
        np.asarray(masks.pictures[own]),
        np.array([masks.mask(int(at))[::step, ::step] for at in own], bool).reshape(-1, PICTURE_SIZE, PICTURE_SIZE),
        np.array(scaled, np.float32).reshape(-1, PICTURE_SIZE, PICTURE_SIZE),
        test.labels[rows],
        np.array([aurocs[row] for row in rows]),
    )
