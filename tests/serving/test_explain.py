"""Heat maps are strongest where the anomaly is."""

from __future__ import annotations

from base64 import b64decode
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from served_heads import CALIBRATION, Array

from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import InputSpec
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.explain import SQUARES, heat_maps, png_of
from fanogan_mtl.serving.heads import Head, HeadSpec, Model

SIZE = 28
SQUARE = 5
places = st.tuples(*[st.integers(0, SIZE - SQUARE)] * 2)
BLOCK = 7
inside_a_block = st.tuples(*[st.sampled_from([at for at in range(SIZE) if at % BLOCK <= BLOCK - SQUARE])] * 2)


@cache
def model_of(preparation: Preparation) -> Model:
    """Occluded pixels, residuals, and occluded features; all of almost blank images."""
    images = np.random.default_rng(0).integers(0, 20, (80, SIZE, SIZE), dtype=np.uint8)
    rows = pixel_rows(prepare(images, preparation))
    extractor = make_extractor("pca", n_components=60, device="cpu").fit(_busy(), np.arange(400) % 2)
    features = extractor.transform(prepare(images, Preparation(28, crop=preparation.crop)))
    detectors: list[tuple[str, Any, str | None]] = [
        ("knn", make_detector("knn").fit(rows), None),
        ("pca", make_detector("pca", n_components=3).fit(rows), None),
        ("knn", Hybrid(make_detector("knn"), common_scale=True).fit(features), "shared"),
    ]
    heads = tuple(
        Head(HeadSpec(str(at), name, 0, 1, preparation, CALIBRATION, key), detector)
        for at, (name, detector, key) in enumerate(detectors)
    )
    return Model(heads, {"shared": extractor})


def _busy() -> Array:
    """Images with squares at all places, so that principal components see them."""
    random = np.random.default_rng(1)
    images = random.integers(0, 20, (400, SIZE, SIZE), dtype=np.uint8)
    for image in images:
        top, left = random.integers(0, SIZE - SQUARE, 2)
        image[top : top + SQUARE, left : left + SQUARE] = 255
    return images


def anomaly(top: int, left: int) -> Array:
    image = np.full((SIZE, SIZE), 10, np.uint8)
    image[top : top + SQUARE, left : left + SQUARE] = 255
    return image


@settings(max_examples=25)
@given(places)
def test_maps_are_strongest_at_the_anomaly(place: tuple[int, int]) -> None:
    model = model_of(Preparation(SIZE))
    cell = SIZE / SQUARES
    for head, heat_map in zip(model.heads, heat_maps(model, model.heads, anomaly(*place)), strict=True):
        assert (heat_map.shape, heat_map.dtype) == ((SIZE, SIZE), np.float32)
        assert heat_map.min() >= 0
        strongest = np.array(np.unravel_index(heat_map.argmax(), heat_map.shape))
        slack = 0 if head.spec.name == "1" else cell  # a residual is sharp, occlusion as coarse as its grid
        assert (strongest >= np.array(place) - slack).all()
        assert (strongest < np.array(place) + SQUARE + slack).all()
        inside = np.zeros((SIZE, SIZE), bool)
        inside[place[0] : place[0] + SQUARE, place[1] : place[1] + SQUARE] = True
        assert heat_map[inside].mean() > 3 * heat_map[~inside].mean()


class _BlockMeans:
    """An extractor whose features are the means of squares of the image."""

    input_spec, n_components = InputSpec(SIZE), None

    def __init__(self, grid: int) -> None:
        self.grid = self.positions = grid

    def transform(self, images: Array) -> Array:
        side = SIZE // self.grid
        blocks = images.reshape(-1, self.grid, side, self.grid, side)
        return blocks.mean(axis=(2, 4)).reshape(len(images), -1).astype(np.float32)


PARAMETERS: dict[str, dict[str, Any]] = {
    "pca": {"n_components": 2},
    "padim": {"grid": 4},
    "patchcore": {"grid": 4, "neighbourhood": 1},
}


@pytest.mark.parametrize("detector", ["mahalanobis", "pca", "knn", "padim", "patchcore"])
@settings(max_examples=10)
@given(inside_a_block)  # one that lies across several is shared among them, by PCA not always as its pixels are
def test_features_on_a_grid_show_which_square_adds_most_to_the_score(detector: str, place: tuple[int, int]) -> None:
    extractor, preparation = _BlockMeans(4), Preparation(SIZE)
    images = np.random.default_rng(0).integers(0, 20, (80, SIZE, SIZE), dtype=np.uint8)
    fitted = Hybrid(make_detector(detector, **PARAMETERS.get(detector, {})))
    head = Head(
        HeadSpec("a", detector, 0, 1, preparation, CALIBRATION, "means"), fitted.fit(extractor.transform(images))
    )
    image = anomaly(*place)
    (heat_map,) = heat_maps(Model((head,), {"means": extractor}), [head], image)  # type: ignore[dict-item]
    assert (heat_map.shape, heat_map.dtype) == ((SIZE, SIZE), np.float32)
    strongest = np.unravel_index(heat_map.argmax(), heat_map.shape)
    assert [at // BLOCK for at in strongest] == [at // BLOCK for at in place]


def test_a_detector_that_does_not_share_its_score_among_features_is_shown_by_occlusion() -> None:
    extractor, preparation = _BlockMeans(4), Preparation(SIZE)
    images = np.random.default_rng(0).integers(0, 20, (80, SIZE, SIZE), dtype=np.uint8)
    fitted = Hybrid(make_detector("lof")).fit(extractor.transform(images))
    head = Head(HeadSpec("a", "lof", 0, 1, preparation, CALIBRATION, "means"), fitted)
    (heat_map,) = heat_maps(Model((head,), {"means": extractor}), [head], anomaly(14, 14))  # type: ignore[dict-item]
    top, left = np.unravel_index(heat_map.argmax(), heat_map.shape)
    assert 10 <= min(top, left) <= max(top, left) < 23


def test_a_map_covers_the_part_that_is_kept() -> None:
    model = model_of(Preparation(SIZE, crop=0.5))
    for heat_map in heat_maps(model, model.heads, anomaly(8, 8)):  # the crop begins at 7
        top, left = np.unravel_index(heat_map.argmax(), heat_map.shape)
        assert max(top, left) <= 16


@pytest.mark.parametrize("preparation", [Preparation(5), Preparation(30, "rgb"), Preparation(7), Preparation(1)])
def test_maps_have_the_size_of_the_prepared_image(preparation: Preparation) -> None:
    rows = pixel_rows(prepare(np.random.default_rng(2).integers(0, 256, (30, 20, 20), dtype=np.uint8), preparation))
    detectors = [make_detector("knn").fit(rows), make_detector("vae", epochs=1).fit(rows)]
    heads = tuple(Head(HeadSpec("a", "x", 0, 1, preparation, CALIBRATION), each) for each in detectors)
    image = np.random.default_rng(3).integers(0, 256, (44, 31, 3), dtype=np.uint8)
    for heat_map in heat_maps(Model(heads, {}), heads, image):
        assert heat_map.shape == (preparation.image_size,) * 2


@pytest.mark.filterwarnings("error")
def test_a_png_is_white_where_the_map_is_strongest_and_black_where_there_is_nothing() -> None:
    half = np.zeros((6, 6), np.float32)
    half[2, 3], half[5, 5] = 0.25, 0.5
    pixels = _pixels(png_of(half))
    assert (pixels[5, 5], pixels[2, 3], pixels[0, 0]) == (255, 128, 0)
    assert (_pixels(png_of(np.zeros((6, 6), np.float32))) == 0).all()


def _pixels(png: str) -> Array:
    return np.asarray(Image.open(BytesIO(b64decode(png))))
