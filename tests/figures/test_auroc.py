import pytest

from fanogan_mtl import figures

MAP = {
    "a<b": [(0.95, "95.0", True), (None, "not run", False)],
    "vae": [(0.4, "40.0*", False), (0.7, "70.0", True)],
}


class TestAurocMap:
    FIGURE = figures.auroc_map_figure(["mnist", "svhn"], MAP, "t")

    def test_colours_are_percent_with_a_gap_where_nothing_was_run(self):
        coloured, _ = self.FIGURE.data
        assert [list(row) for row in coloured.z] == [[95, None], [40, 70]]
        assert (list(coloured.x), list(coloured.y)) == (["mnist", "svhn"], ["a&lt;b", "vae"])
        assert self.FIGURE.layout.yaxis.range[0] > self.FIGURE.layout.yaxis.range[1]  # the first method is above

    def test_every_place_says_what_it_is_and_the_best_is_told_apart(self):
        _, said = self.FIGURE.data
        assert list(said.text) == ["<b>95.0 ★</b>", "not run", "40.0*", "<b>70.0 ★</b>"]
        assert list(zip(said.x, said.y, strict=True))[1] == ("svhn", "a&lt;b")

    @pytest.mark.parametrize("percent", range(50, 101))
    def test_text_has_enough_contrast_on_every_colour(self, percent):
        figure = figures.auroc_map_figure(["d"], {"m": [(percent / 100, "", False)]}, "t")
        coloured, said = figure.data
        share = (percent - coloured.zmin) / (coloured.zmax - coloured.zmin)
        ends = [channels(colour) for _, colour in coloured.colorscale]
        back = [low + share * (high - low) for low, high in zip(*ends, strict=True)]
        dark, light = sorted((luminance(back), luminance(channels(said.textfont.color[0]))))
        assert (light + 0.05) / (dark + 0.05) > 4.4


def channels(colour):
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def luminance(rgb):
    """As WCAG has it."""
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestAurocByEpochs:
    MEANS = {"vae": {50: 0.9, 20: 0.8}, "pca": {20: 0.95, 50: 0.95}}  # noqa: RUF012

    def test_lines_are_percent_at_ascending_budgets(self):
        vae, pca = figures.auroc_by_epochs_data(self.MEANS)
        assert (vae.detector, vae.epochs, vae.std) == ("vae", [20, 50], None)
        assert vae.auroc == pytest.approx([80, 90])
        assert pca.auroc == pytest.approx([95, 95])

    def test_deviations_become_error_bars_where_there_are_any(self):
        vae, pca = figures.auroc_by_epochs_data(self.MEANS, {"vae": {20: 0.01, 50: 0.02}, "pca": {}})
        assert vae.std == pytest.approx([1, 2])
        assert pca.std is None
        figure = figures.auroc_by_epochs_figure([vae, pca], "mnist")
        assert list(figure.data[0].error_y.array) == vae.std
        assert figure.data[1].error_y.array is None
        assert "std over seeds" in figure.layout.title.text.replace("<br>", " ")

    def test_figure_has_a_line_a_detector_and_ticks_at_the_budgets(self):
        figure = figures.auroc_by_epochs_figure(figures.auroc_by_epochs_data(self.MEANS), "mnist")
        assert [(trace.name, list(trace.x)) for trace in figure.data] == [("vae", [20, 50]), ("pca", [20, 50])]
        assert list(figure.layout.xaxis.tickvals) == [20, 50]
        assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("epochs", "AUROC (%)")


class TestAurocByClass:
    def test_bars_are_percent_of_each_class(self):
        (bars,) = figures.auroc_bars_data({"vae": {"0": 0.9, "1": 0.75}})
        assert (bars.name, bars.places) == ("vae", ["0", "1"])
        assert bars.auroc == pytest.approx([90, 75])

    def test_axis_starts_at_chance_unless_a_bar_is_below_it(self):
        for auroc, start in ((0.51, 50), (0.49, 0)):
            data = figures.auroc_bars_data({"vae": {"0": 0.9, "1": auroc}})
            assert figures.auroc_by_class_figure(data, "mnist").layout.yaxis.range == (start, 100)

    def test_digits_are_categories_not_numbers(self):
        figure = figures.auroc_by_class_figure(figures.auroc_bars_data({"vae": {"7": 0.9, "3": 0.8}}), "mnist")
        assert figure.layout.xaxis.type == "category"
        assert list(figure.data[0].x) == ["7", "3"]


class TestProtocols:
    VALUES = {"pixels": {"vae": 0.7, "pca": 0.6}, "features": {"vae": 0.9}}  # noqa: RUF012

    def test_bars_are_percent_of_each_detector_grouped_by_protocol(self):
        pixels, features = figures.auroc_bars_data(self.VALUES)
        assert (pixels.name, pixels.places) == ("pixels", ["vae", "pca"])
        assert pixels.auroc == pytest.approx([70, 60])
        figure = figures.protocols_figure([pixels, features], "t")
        assert figure.layout.barmode == "group"
        assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
            ("pixels", ["vae", "pca"], pixels.auroc),
            ("features", ["vae"], features.auroc),
        ]
        assert figure.layout.yaxis.title.text == "AUROC (%)"

    def test_axis_starts_at_chance_unless_a_bar_is_below_it(self):
        for auroc, start in ((0.51, 50), (0.49, 0)):
            data = figures.auroc_bars_data({"pixels": {"vae": 0.9}, "features": {"vae": auroc}})
            assert figures.protocols_figure(data, "t").layout.yaxis.range == (start, 100)
