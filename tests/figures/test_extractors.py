import json
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from fanogan_mtl import figures

RANDOM = np.random.default_rng(0)
ANOMALY = RANDOM.random(300) < 0.9
SCORES = RANDOM.normal(size=300) + ANOMALY
BETTER = SCORES + ANOMALY


def shown_pixels(figure):
    source = figure.data[0].source
    return np.asarray(Image.open(BytesIO(b64decode(source.removeprefix("data:image/png;base64,")))))


class TestAccuracyByEpochs:
    DATA = figures.accuracy_by_epochs_data(
        {"train": {2: 0.9, 1: 0.5}, "validation": {1: 0.4, 2: 0.7}, "validation usps": {1: 0.3, 2: 0.6}},
        {"test usps": 0.55, "test svhn": 0.25},
        best_epoch=2,
    )

    def test_lines_are_percent_at_ascending_epochs_and_tests_are_percent(self):
        train = self.DATA.lines[0]
        assert (train.name, train.epochs) == ("train", [1, 2])
        assert train.accuracy == pytest.approx([50, 90])
        assert self.DATA.final == pytest.approx({"test usps": 55, "test svhn": 25})

    def test_a_test_is_one_marker_at_the_chosen_epoch_named_with_its_accuracy(self):
        figure = figures.accuracy_by_epochs_figure(self.DATA, "resnet")
        assert [trace.name for trace in figure.data] == [
            "train",
            "validation",
            "validation usps",
            "test usps: 55.0 %",
            "test svhn: 25.0 %",
        ]
        for trace, accuracy in zip(figure.data[3:], (55, 25), strict=True):
            assert (trace.mode, list(trace.x), list(trace.y)) == ("markers", [2], pytest.approx([accuracy]))

    def test_a_test_looks_like_its_validation_line_and_one_without_like_none(self):
        traces = figures.accuracy_by_epochs_figure(self.DATA, "resnet").data
        colours = [trace.marker.color for trace in traces]
        assert colours[3] == colours[2]
        assert traces[3].marker.symbol == f"{traces[2].marker.symbol}-open"
        assert colours[4] not in colours[:4]

    @pytest.mark.parametrize(("best", "side"), [(1, "left"), (2, "right")])
    def test_chosen_epoch_is_a_vertical_line_with_its_text_towards_the_middle(self, best, side):
        data = figures.accuracy_by_epochs_data({"train": {1: 0.5, 2: 0.9}}, {}, best)
        figure = figures.accuracy_by_epochs_figure(data, "resnet")
        (line,), (text,) = figure.layout.shapes, figure.layout.annotations
        assert (line.x0, line.x1, line.yref, line.y0, line.y1) == (best, best, "paper", 0, 1)
        assert (text.text, text.x, text.xanchor) == (f"chosen: epoch {best}", best, side)

    @pytest.mark.parametrize(("last", "dtick"), [(11, 1), (12, None)])
    def test_a_short_training_has_ticks_at_whole_epochs_alone(self, last, dtick):
        data = figures.accuracy_by_epochs_data({"train": {1: 0.5, last: 0.9}}, {}, 1)
        assert figures.accuracy_by_epochs_figure(data, "resnet").layout.xaxis.dtick == dtick


class TestFeatureMaps:
    def test_512_features_are_two_maps_side_by_side(self):
        features = np.stack([np.arange(512), np.arange(512)[::-1]]).astype(np.float32)
        data = figures.feature_maps_data(features, ["a", "b"])
        grey = np.round(255 * features / 511).reshape(2, 2, 16, 16)
        assert (data.pixels.shape, data.pixels.dtype) == ((16 + 2 + 16, 16 + 2 + 16), np.uint8)
        assert (data.rows, data.row_centres) == (["a", "b"], [7.5, 25.5])
        for image, top in enumerate((0, 18)):
            for part, left in enumerate((0, 18)):
                np.testing.assert_array_equal(data.pixels[top : top + 16, left : left + 16], grey[image, part])

    def test_2048_features_are_two_rows_of_four_maps_nearer_to_each_other_than_to_the_next_image(self):
        features = RANDOM.random((2, 2048), dtype=np.float32)
        data = figures.feature_maps_data(features, ["a", "b"])
        white = np.flatnonzero((data.pixels == 255).all(axis=1))
        np.testing.assert_array_equal(np.flatnonzero((data.pixels == 255).all(axis=0)), [16, 17, 34, 35, 52, 53])
        np.testing.assert_array_equal(white, [0, 1, *(18, 19), *range(36, 42), *(58, 59), 76, 77])
        least, greatest = features[1].min(), features[1].max()
        sixth = np.round(255 * (features[1, 5 * 256 : 6 * 256] - least) / (greatest - least)).reshape(16, 16)
        np.testing.assert_array_equal(data.pixels[60:76, 18:34], sixth)
        assert data.row_centres == pytest.approx([18.5, 58.5])

    @pytest.mark.parametrize(("count", "side"), [(144, 12), (1, 1), (5, 3), (128, 12), (256, 16), (257, 17)])
    def test_any_other_number_is_the_smallest_square_and_what_is_left_of_it_white(self, count, side):
        features = np.linspace(0, 0.5, count, dtype=np.float32)[None]
        pixels = figures.feature_maps_data(features, ["a"]).pixels
        assert pixels.shape == (side, side)
        np.testing.assert_array_equal(pixels.ravel()[:count], np.round(255 * features[0] / max(features.max(), 1e-9)))
        assert (pixels.ravel()[count:] == 255).all()

    def test_each_image_has_the_whole_grey_range_and_one_of_equal_features_is_black(self):
        features = np.array([[-1, 0, 1, 3], [1000, 2000, 5000, 3000], [2, 2, 2, 2]], dtype=np.float32)
        with np.errstate(all="raise"):
            data = figures.feature_maps_data(features, ["a", "b", "c"])
        grey = [data.pixels[top : top + 2].ravel().tolist() for top in (0, 4, 8)]
        assert grey == [[0, 64, 128, 255], [0, 64, 255, 128], [0, 0, 0, 0]]

    def test_figure_holds_the_very_pixels_and_the_labels(self):
        data = figures.feature_maps_data(RANDOM.random((2, 512), dtype=np.float32), ["a", "<b>"])
        figure = figures.feature_maps_figure(data, "t")
        np.testing.assert_array_equal(shown_pixels(figure), data.pixels)
        assert list(figure.layout.yaxis.ticktext) == ["a", "&lt;b&gt;"]


class TestProjection:
    CLASSES = tuple(str(n) for n in range(12))
    DOMAINS = ("mnist", "usps")

    def project(self, features, labels=None, domains=None, **settings):
        rows = len(features)
        labels = np.arange(rows) % len(self.CLASSES) if labels is None else labels
        domains = np.arange(rows) % 2 if domains is None else domains
        return figures.projection_data(features, labels, domains, self.CLASSES, self.DOMAINS, **settings)

    def test_points_lie_on_the_two_axes_of_the_greatest_variance_from_their_mean(self):
        spread = RANDOM.normal(size=(400, 3))
        spread = np.linalg.qr(spread - spread.mean(axis=0))[0] * [1, 5, 2]  # uncorrelated, so the axes are the features
        data = self.project(spread + np.array([7, 8, 9]))
        np.testing.assert_allclose(data.points, spread[:, [1, 2]], atol=1e-9)
        assert data.variance == pytest.approx((100 * 25 / 30, 100 * 4 / 30))

    def test_sign_is_that_of_the_feature_that_counts_most(self):
        for features in RANDOM.normal(size=(20, 50, 5)):  # each of either sign at random, were it not fixed
            covariance = (features - features.mean(axis=0)).T @ self.project(features).points  # the axes, times numbers
            assert (covariance[np.abs(covariance).argmax(axis=0), [0, 1]] > 0).all()

    def test_thinned_rows_are_spread_evenly_and_the_axes_are_those_of_all_rows(self):
        features = RANDOM.normal(size=(901, 6)).astype(np.float32)
        every, few = self.project(features), self.project(features, most=10)
        rows = np.arange(0, 901, 100)
        np.testing.assert_array_equal(few.points, every.points[rows])
        np.testing.assert_array_equal(few.labels, every.labels[rows])
        np.testing.assert_array_equal(few.domains, every.domains[rows])
        assert few.variance == every.variance
        assert len(every.points) == 901
        assert len(self.project(RANDOM.normal(size=(2500, 3))).points) == 2000

    def test_equal_features_have_no_variance_to_share(self):
        assert self.project(np.ones((5, 4))).variance == (0, 0)

    def test_figure_has_each_point_once_in_its_class_and_domain(self):
        data = self.project(RANDOM.normal(size=(100, 4)), labels=np.arange(100) // 9)
        traces = [trace for trace in figures.projection_figure(data, "t").data if trace.x[0] is not None]
        assert sum(len(trace.x) for trace in traces) == 100
        for trace in traces:
            name, domain = trace.hovertext.split(", ")
            rows = (data.labels == self.CLASSES.index(name)) & (data.domains == self.DOMAINS.index(domain))
            np.testing.assert_allclose(np.stack([trace.x, trace.y], axis=1), data.points[rows], rtol=1e-6)

    def test_legends_list_each_class_and_each_domain_once(self):
        figure = figures.projection_figure(self.project(RANDOM.normal(size=(48, 4))), "t")
        listed = [trace for trace in figure.data if trace.showlegend is not False]
        assert [trace.name for trace in listed if trace.legend is None] == list(self.CLASSES)
        assert [trace.name for trace in listed if trace.legend == "legend2"] == list(self.DOMAINS)
        for trace in listed[:12]:  # a click on a class takes its points of every domain
            group = [other for other in figure.data if other.legendgroup == trace.legendgroup]
            assert {other.marker.color for other in group} == {trace.marker.color}

    def test_classes_without_points_and_a_single_domain_aren_t_listed(self):
        zeros = np.zeros(20, dtype=np.int64)
        data = figures.projection_data(RANDOM.normal(size=(20, 4)), zeros, zeros, ["a", "b"], ["mnist"])
        listed = [trace.name for trace in figures.projection_figure(data, "t").data if trace.showlegend is not False]
        assert listed == ["a"]

    def test_twelve_classes_in_two_domains_all_differ(self):
        figure = figures.projection_figure(self.project(RANDOM.normal(size=(48, 4)), domains=np.arange(48) // 24), "t")
        looks = [(trace.marker.color, trace.marker.symbol) for trace in figure.data if trace.x[0] is not None]
        assert len(set(looks)) == len(looks) == 24

    def test_axes_tell_their_share_of_the_variance(self):
        data = self.project(RANDOM.normal(size=(48, 4)))
        layout = figures.projection_figure(data, "t").layout
        assert layout.xaxis.title.text == f"first component ({data.variance[0]:.1f} % of variance)"
        assert layout.yaxis.title.text == f"second component ({data.variance[1]:.1f} % of variance)"


class TestPcaCurves:
    DATA = figures.pca_curves_data(np.array([0.5, 0.25, 0.125]), [4.0, 2.0, 1.0])

    def test_variance_is_summed_up_in_percent_and_components_count_from_one(self):
        np.testing.assert_array_equal(self.DATA.components, [1, 2, 3])
        np.testing.assert_allclose(self.DATA.explained, [50, 75, 87.5])
        np.testing.assert_array_equal(self.DATA.residual, [4, 2, 1])

    def test_each_curve_has_its_own_axis_and_both_start_at_zero(self):
        figure = figures.pca_curves_figure(self.DATA, "t")
        explained, residual = figure.data
        assert (explained.yaxis, residual.yaxis) == ("y", "y2")
        assert (list(explained.y), list(residual.y)) == ([50, 75, 87.5], [4, 2, 1])
        left, right = figure.layout.yaxis, figure.layout.yaxis2
        assert (left.side, right.side, right.overlaying) == (None, "right", "y")
        assert (left.range[0], right.range[0]) == (0, 0)
        assert left.range[1] > 100
        assert right.range[1] > 4
        assert left.title.font.color == explained.line.color != residual.line.color == right.title.font.color
        assert (left.title.text, right.title.text) == (
            "cumulative explained variance (%)",
            "mean squared reconstruction error",
        )

    def test_no_error_at_all_still_has_an_axis(self):
        figure = figures.pca_curves_figure(figures.pca_curves_data([1.0, 0.0], [0.0, 0.0]), "t")
        assert figure.layout.yaxis2.range == (0, 1)


def test_names_are_text_not_markup():
    name, text = "a<b>&c", "a&lt;b&gt;&amp;c"
    zeros = np.zeros(3, dtype=np.int64)
    accuracy = figures.accuracy_by_epochs_data({name: {1: 0.5}}, {f"test {name}": 0.5}, 1)
    projection = figures.projection_data(RANDOM.normal(size=(3, 3)), zeros, zeros, [name], [name, "b"])
    roc = figures.roc_with_and_without_data({name: {"without": (ANOMALY, SCORES), "with": (ANOMALY, SCORES)}})
    for figure in (
        figures.accuracy_by_epochs_figure(accuracy, name),
        figures.projection_figure(projection, name),
        figures.roc_with_and_without_figure(roc, name),
        figures.protocols_figure(figures.auroc_bars_data({name: {name: 0.9}}), name),
    ):
        drawn = json.dumps(figure.to_dict(), default=str)
        assert "<b>" not in drawn
        assert drawn.count(text) >= 2


def test_figures_are_small():
    labels = np.arange(5000) % 10
    projection = figures.projection_data(RANDOM.normal(size=(5000, 8)), labels, labels % 3, "0123456789", "abc")
    maps = figures.feature_maps_data(RANDOM.random((10, 512), dtype=np.float32), "0123456789")
    for figure, most in (
        (figures.projection_figure(projection, "t"), 50_000),
        (figures.feature_maps_figure(maps, "t"), 15_000),
    ):
        assert len(figure.to_json()) < most
        json.loads(figure.to_json())


def test_wide_features_are_projected_on_their_principal_components_too() -> None:
    """Of maps there are more features than images."""
    features = RANDOM.normal(size=(12, 60)) * np.linspace(5, 1, 60)
    zeros = np.zeros(12, np.int64)
    data = figures.projection_data(features, zeros, zeros, ["a"], ["b"])
    found = PCA(2).fit(features)
    expected = found.transform(features)
    expected *= np.sign((expected * data.points).sum(axis=0))
    np.testing.assert_allclose(data.points, expected, atol=1e-9)
    np.testing.assert_allclose(data.variance, 100 * found.explained_variance_ratio_)
    flat = figures.projection_data(np.ones((3, 9)), zeros[:3], zeros[:3], ["a"], ["b"])
    assert np.isfinite(flat.points).all()
    assert flat.variance == (0, 0)
