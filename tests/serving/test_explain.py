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
from hypothesis.extra.numpy import arrays
from PIL import Image
from served_heads import CALIBRATION, Array

from fanogan_mtl.anomaly_maps import shown_map
from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.transforms import Preparation, cropped_part, prepare
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.serving.explain import SQUARES, Box, HeatMap, boxes_of, heat_maps
from fanogan_mtl.serving.heads import Head, HeadSpec, Model
from fanogan_mtl.serving.pictures import OUTLINE, deep_png, grey_png, overlaid

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
        values = heat_map.values
        assert (values.shape, values.dtype) == ((SIZE, SIZE), np.float32)
        assert values.min() >= 0
        strongest = np.array(np.unravel_index(values.argmax(), values.shape))
        slack = 0 if head.spec.name == "1" else cell  # a residual is sharp, occlusion as coarse as its grid
        assert (strongest >= np.array(place) - slack).all()
        assert (strongest < np.array(place) + SQUARE + slack).all()
        inside = np.zeros((SIZE, SIZE), bool)
        inside[place[0] : place[0] + SQUARE, place[1] : place[1] + SQUARE] = True
        assert values[inside].mean() > 3 * values[~inside].mean()


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
    assert (heat_map.values.shape, heat_map.values.dtype) == ((SIZE, SIZE), np.float32)
    strongest = np.unravel_index(heat_map.values.argmax(), heat_map.values.shape)
    assert [at // BLOCK for at in strongest] == [at // BLOCK for at in place]


def test_a_detector_that_does_not_share_its_score_among_features_is_shown_by_occlusion() -> None:
    extractor, preparation = _BlockMeans(4), Preparation(SIZE)
    images = np.random.default_rng(0).integers(0, 20, (80, SIZE, SIZE), dtype=np.uint8)
    fitted = Hybrid(make_detector("lof")).fit(extractor.transform(images))
    head = Head(HeadSpec("a", "lof", 0, 1, preparation, CALIBRATION, "means"), fitted)
    (heat_map,) = heat_maps(Model((head,), {"means": extractor}), [head], anomaly(14, 14))  # type: ignore[dict-item]
    top, left = np.unravel_index(heat_map.values.argmax(), heat_map.values.shape)
    assert 10 <= min(top, left) <= max(top, left) < 23


def test_a_map_on_a_grid_is_enlarged_to_its_image_but_not_without_end() -> None:
    values = np.array([[-1.0, 2.0], [3.0, 4.0]])
    assert [shown_map(values, size).shape for size in (2, 300, 4000)] == [(2, 2), (300, 300), (1024, 1024)]
    assert shown_map(values, 2).min() == 0
    peak = shown_map(values, 4000)
    assert min(np.unravel_index(peak.argmax(), peak.shape)) > 700


def test_a_map_covers_the_part_that_is_kept() -> None:
    model = model_of(Preparation(SIZE, crop=0.5))
    for heat_map in heat_maps(model, model.heads, anomaly(8, 8)):  # the crop begins at 7
        top, left = np.unravel_index(heat_map.values.argmax(), heat_map.values.shape)
        assert max(top, left) <= 16


@pytest.mark.parametrize("preparation", [Preparation(5), Preparation(30, "rgb"), Preparation(7), Preparation(1)])
def test_maps_have_the_size_of_the_prepared_image(preparation: Preparation) -> None:
    rows = pixel_rows(prepare(np.random.default_rng(2).integers(0, 256, (30, 20, 20), dtype=np.uint8), preparation))
    detectors = [make_detector("knn").fit(rows), make_detector("vae", epochs=1).fit(rows)]
    heads = tuple(Head(HeadSpec("a", "x", 0, 1, preparation, CALIBRATION), each) for each in detectors)
    image = np.random.default_rng(3).integers(0, 256, (44, 31, 3), dtype=np.uint8)
    for heat_map in heat_maps(Model(heads, {}), heads, image):
        assert heat_map.values.shape == (preparation.image_size,) * 2


@given(
    arrays(np.float32, (9, 9), elements=st.floats(0, 5, width=32)), st.floats(0, 5), st.floats(0.1, 1),
    st.tuples(st.integers(9, 60), st.integers(9, 60)),
)  # fmt: skip
def test_boxes_hold_all_that_lies_above_the_threshold(
    values: Array, threshold: float, crop: float, shape: tuple[int, int]
) -> None:
    boxes = boxes_of(HeatMap(values, 0.0, crop), threshold, *shape)
    assert [box.highest for box in boxes] == sorted((box.highest for box in boxes), reverse=True)
    top, left, height, width = cropped_part(*shape, crop)
    for box in boxes:
        assert top <= box.top < box.bottom <= top + height
        assert left <= box.left < box.right <= left + width
        assert box.highest > threshold
    above = np.argwhere(values > threshold)
    for line, column in above:  # the middle of each such place is in a box
        y, x = top + (line + 0.5) * height / 9, left + (column + 0.5) * width / 9
        assert any(box.top <= y < box.bottom and box.left <= x < box.right for box in boxes)
    assert bool(boxes) == bool(len(above))


def test_a_box_says_where_in_the_sent_image_a_region_is() -> None:
    values = np.zeros((10, 10), np.float32)
    values[2:4, 5:6], values[4, 6], values[8, 0] = 2, 3, 9  # two that touch at a corner, and one apart
    assert boxes_of(HeatMap(values, 0.0, 1.0), 1.0, 20, 30) == [Box(0, 16, 3, 18, 9.0), Box(15, 4, 21, 10, 3.0)]
    assert boxes_of(HeatMap(values, 0.0, 0.5), 5.0, 40, 20) == [Box(5, 26, 6, 28, 9.0)]  # of rows 10 to 30


@pytest.mark.filterwarnings("error")
def test_a_map_is_shown_white_where_it_is_strongest_and_black_where_there_is_nothing() -> None:
    values = np.full((6, 6), 1, np.float32)
    values[2, 3], values[5, 5] = 1.25, 1.5
    pixels = _pixels(grey_png(HeatMap(values, 1.0, 1.0)))
    assert (pixels[5, 5], pixels[2, 3], pixels[0, 0]) == (255, 128, 0)
    assert (_pixels(grey_png(HeatMap(np.zeros((6, 6), np.float32), 0.0, 1.0))) == 0).all()


@given(arrays(np.float32, (5, 5), elements=st.floats(0, 1e6, width=32)))
def test_a_deep_png_gives_the_values_back(values: Array) -> None:
    png, highest = deep_png(HeatMap(values, float(values.min()), 1.0))
    pixels = _pixels(png)
    assert pixels.dtype == np.uint16
    np.testing.assert_allclose(pixels * (highest / 65535), values, rtol=0, atol=highest / 131070 * 1.001)


def test_an_outline_lies_around_what_is_above_the_threshold_within_what_the_map_covers() -> None:
    values = np.zeros((20, 20), np.float32)
    values[5:15, 5:15] = 1
    plain = np.full((80, 80, 3), 90, np.uint8)
    picture = overlaid(plain, HeatMap(values, 0.0, 0.5), 0.5)
    yellow = (picture == OUTLINE.astype(np.uint8)).all(axis=2)
    rows, columns = np.nonzero(yellow)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 49, 30, 49)  # of pixels 20 to 59
    assert not yellow[33:47, 33:47].any()
    assert (picture[:20] == 90).all()
    assert not (overlaid(plain, HeatMap(values, 0.0, 0.5)) == OUTLINE.astype(np.uint8)).all(axis=2).any()


def _pixels(png: str) -> Array:
    return np.asarray(Image.open(BytesIO(b64decode(png))))
