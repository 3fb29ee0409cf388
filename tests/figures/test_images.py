from base64 import b64decode
from io import BytesIO

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from fanogan_mtl import figures

RANDOM = np.random.default_rng(0)


class TestReconstruction:
    IMAGES = RANDOM.random((4, 5, 6))
    SHEET = figures.reconstruction_data(IMAGES, IMAGES[::-1] * 2, ["normal", "normal", "anomalous", "normal"])

    def test_rows_are_input_reconstruction_and_residual_in_grey_values(self):
        assert self.SHEET.rows == ["input", "reconstruction", "residual"]
        assert self.SHEET.pixels.shape == (3 * 5 + 2 * 2, 4 * 6 + 3 * 2)
        third = slice(2 * 8, 2 * 8 + 6)
        reconstruction = self.IMAGES[1] * 2
        residual = np.abs(self.IMAGES[2] - reconstruction)
        for row, expected in enumerate([self.IMAGES[2], reconstruction, residual]):
            found = self.SHEET.pixels[row * 7 : row * 7 + 5, third]
            np.testing.assert_array_equal(found, np.round(255 * np.clip(expected, 0, 1)))

    def test_neighbours_with_the_same_label_share_it_in_their_middle(self):
        assert self.SHEET.columns == ["normal", "anomalous", "normal"]
        assert self.SHEET.column_centres == [6.5, 18.5, 26.5]
        assert self.SHEET.row_centres == [2, 9, 16]

    def test_figure_shows_the_whole_grey_range_with_row_zero_on_top(self):
        figure = figures.reconstruction_figure(self.SHEET, "vae")
        assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 255)
        assert figure.layout.yaxis.range == (18.5, -0.5)
        assert list(figure.layout.xaxis.ticktext) == self.SHEET.columns

    def test_colours_are_a_picture_of_the_very_pixels(self):
        images = RANDOM.random((4, 5, 6, 3))
        sheet = figures.reconstruction_data(images, images[::-1], ["normal"] * 4)
        assert sheet.pixels.shape == (3 * 5 + 2 * 2, 4 * 6 + 3 * 2, 3)
        residual = np.round(255 * np.abs(images - images[::-1]))
        np.testing.assert_array_equal(sheet.pixels[14:19, 8:14], residual[1])
        figure = figures.reconstruction_figure(sheet, "vae")
        np.testing.assert_array_equal(shown(figure), sheet.pixels)
        assert figure.layout.yaxis.range == (18.5, -0.5)

    def test_large_grey_images_are_a_small_picture(self):
        images = np.repeat(RANDOM.random((4, 64, 64)), 8, axis=1).repeat(8, axis=2)
        sheet = figures.reconstruction_data(images, images, ["normal"] * 4)
        assert sheet.pixels.shape == (3 * 128 + 2 * 2, 4 * 128 + 3 * 2)
        np.testing.assert_array_equal(sheet.pixels[:128:2, :128:2], np.round(255 * images[0, ::8, ::8]))
        np.testing.assert_array_equal(shown(figures.reconstruction_figure(sheet, "vae")), sheet.pixels)


def shown(figure: go.Figure) -> np.ndarray:
    """Decode the picture of a figure."""
    source = figure.data[0].source.removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(BytesIO(b64decode(source))))


class TestSampleSheet:
    LABELS = np.array([1, 0, 1, 1, 1])

    def test_first_samples_of_each_class_stand_raw_left_and_prepared_right(self):
        raw = np.arange(1, 6, dtype=np.uint8)[:, None, None] * np.ones((5, 8, 8), dtype=np.uint8)
        prepared = np.repeat(np.repeat(raw, 4, axis=1), 4, axis=2)[:, :28, :28] + 100
        sheet = figures.sample_sheet_data(raw, prepared, self.LABELS, ["a", "b"], samples=3)
        centres = sheet.pixels[28::58, 28::58, 0]
        np.testing.assert_array_equal(centres, [[2, 255, 255, 102, 255, 255], [1, 3, 4, 101, 103, 104]])
        assert (sheet.rows, sheet.columns) == (["a", "b"], ["raw", "prepared"])

    def test_colour_and_other_sizes_are_kept_and_the_figure_holds_the_very_pixels(self):
        raw = RANDOM.integers(0, 256, (5, 32, 20, 3), dtype=np.uint8)
        prepared = RANDOM.integers(0, 256, (5, 28, 28), dtype=np.uint8)
        sheet = figures.sample_sheet_data(raw, prepared, self.LABELS, ["a", "b"], samples=1)
        np.testing.assert_array_equal(sheet.pixels[0, 0], raw[1, 0, 0])
        np.testing.assert_array_equal(sheet.pixels[55, 55], raw[1, -1, -1])
        np.testing.assert_array_equal(shown(figures.sample_sheet_figure(sheet, "t")), sheet.pixels)

    def test_large_images_are_averaged_down_to_their_cell(self):
        prepared = np.zeros((5, 224, 224, 3), dtype=np.uint8)
        prepared[:, ::2] = 100
        raw = np.zeros((5, 8, 112), dtype=np.uint8)
        raw[:, :, 1::2] = 60
        sheet = figures.sample_sheet_data(raw, prepared, self.LABELS, ["a", "b"], samples=1)
        assert (sheet.pixels[:56, :56] == 30).all()
        assert (sheet.pixels[:56, 58:] == 50).all()


class TestClassCounts:
    def test_counts_every_class_of_every_part(self):
        data = figures.class_counts_data({"train": np.array([0, 2, 2]), "test": np.array([1])}, ["a", "b", "c"])
        assert data.counts == {"train": [1, 0, 2], "test": [0, 1, 0]}
        figure = figures.class_counts_figure(data, "images by class")
        assert [(trace.name, list(trace.y)) for trace in figure.data] == [("train", [1, 0, 2]), ("test", [0, 1, 0])]
        assert figure.layout.xaxis.type == "category"


class TestJointBatch:
    LABELS = ("7", "a<b", "7", "3")
    DOMAINS = ("usps", "mnist", "usps", "usps")

    def test_images_stand_in_the_row_of_their_domain_in_the_order_of_the_batch(self):
        images = np.arange(1, 5, dtype=np.uint8)[:, None, None] * np.ones((4, 28, 28), dtype=np.uint8)
        data = figures.joint_batch_data(images, self.LABELS, self.DOMAINS)
        assert data.rows == ["usps", "mnist"]
        np.testing.assert_array_equal(data.pixels[14::30, 14::30], [[1, 3, 4], [2, 255, 255]])
        assert data.labels == [["7", "7", "3"], ["a<b"]]

    def test_a_row_has_at_most_sixteen_images(self):
        images = RANDOM.integers(0, 256, (40, 28, 28), dtype=np.uint8)
        data = figures.joint_batch_data(images, ["0"] * 40, ["usps"] * 20 + ["mnist"] * 20)
        assert data.pixels.shape == (2 * 28 + 2, 16 * 28 + 15 * 2)
        assert [len(labels) for labels in data.labels] == [16, 16]
        np.testing.assert_array_equal(data.pixels[30:, -28:], images[35])

    @pytest.mark.parametrize("shape", [(28, 28), (32, 20, 3)])
    def test_figure_holds_the_very_pixels_grey_or_in_colour(self, shape):
        images = RANDOM.integers(0, 256, (4, *shape), dtype=np.uint8)
        data = figures.joint_batch_data(images, self.LABELS, self.DOMAINS)
        np.testing.assert_array_equal(data.pixels[: shape[0], : shape[1]], images[0])
        np.testing.assert_array_equal(shown_pixels(figures.joint_batch_figure(data, "t")), data.pixels)

    def test_pointer_finds_the_class_in_the_middle_of_each_image(self):
        data = figures.joint_batch_data(np.zeros((4, 28, 28), dtype=np.uint8), self.LABELS, self.DOMAINS)
        found = figures.joint_batch_figure(data, "t").data[1]
        assert list(zip(found.x, found.y, found.hovertext, strict=True)) == [
            (13.5, 13.5, "7"),
            (43.5, 13.5, "7"),
            (73.5, 13.5, "3"),
            (13.5, 43.5, "a&lt;b"),
        ]


def shown_pixels(figure):
    source = figure.data[0].source
    return np.asarray(Image.open(BytesIO(b64decode(source.removeprefix("data:image/png;base64,")))))
