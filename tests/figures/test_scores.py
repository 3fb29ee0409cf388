import json

import numpy as np
import pytest

from fanogan_mtl import figures

RANDOM = np.random.default_rng(0)
ANOMALY = RANDOM.random(300) < 0.9
SCORES = RANDOM.normal(size=300) + ANOMALY


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
        (bars,) = figures.auroc_by_class_data({"vae": {"0": 0.9, "1": 0.75}})
        assert (bars.detector, bars.classes) == ("vae", ["0", "1"])
        assert bars.auroc == pytest.approx([90, 75])

    def test_axis_starts_at_chance_unless_a_bar_is_below_it(self):
        for auroc, start in ((0.51, 50), (0.49, 0)):
            data = figures.auroc_by_class_data({"vae": {"0": 0.9, "1": auroc}})
            assert figures.auroc_by_class_figure(data, "mnist").layout.yaxis.range == (start, 100)

    def test_digits_are_categories_not_numbers(self):
        figure = figures.auroc_by_class_figure(figures.auroc_by_class_data({"vae": {"7": 0.9, "3": 0.8}}), "mnist")
        assert figure.layout.xaxis.type == "category"
        assert list(figure.data[0].x) == ["7", "3"]


class TestRocByClass:
    def test_legend_has_class_and_auroc_and_curves_run_corner_to_corner(self):
        data = figures.roc_by_class_data({"3": (ANOMALY, SCORES), "5": (ANOMALY, ANOMALY)})
        figure = figures.roc_by_class_figure(data, "fanogan on mnist")
        names = [trace.name for trace in figure.data]
        assert names == [f"3: {100 * data['3'].auroc:.1f} %", "5: 100.0 %", "chance: 50.0 %"]
        for trace in figure.data:
            assert (trace.x[0], trace.y[0], trace.x[-1], trace.y[-1]) == (0, 0, 100, 100)


class TestScoreHistogram:
    def test_each_class_sums_to_a_hundred_percent(self):
        data = figures.score_histogram_data(ANOMALY, SCORES, threshold=1.25)
        figure = figures.score_histogram_figure(data, "scores")
        assert [trace.name for trace in figure.data] == [
            f"normal ({np.sum(~ANOMALY)} rows)",
            f"anomalous ({np.sum(ANOMALY)} rows)",
        ]
        for trace in figure.data:
            assert sum(trace.y) == pytest.approx(100)

    @pytest.mark.parametrize("threshold", [-1e9, 0.5, 1e9])
    def test_threshold_is_shown_inside_the_plot_with_its_own_value(self, threshold):
        data = figures.score_histogram_data(ANOMALY, SCORES, threshold)
        figure = figures.score_histogram_figure(data, "scores")
        assert data.counts.edges[0] <= figure.layout.shapes[0].x0 <= data.counts.edges[-1]
        assert figure.layout.annotations[0].text == f"threshold {threshold:.4g}"


def test_names_are_text_not_markup():
    name = "a<b>&c"
    figure = figures.roc_by_class_figure(figures.roc_by_class_data({name: (ANOMALY, SCORES)}), name)
    assert figure.data[0].name.startswith("a&lt;b&gt;&amp;c: ")
    assert figure.layout.title.text == "a&lt;b&gt;&amp;c"


def test_ten_curves_and_seven_groups_of_bars_differ_without_colour():
    curves = figures.roc_by_class_figure(figures.roc_by_class_data({str(n): (ANOMALY, SCORES) for n in range(10)}), "t")
    bars = figures.auroc_by_class_figure(figures.auroc_by_class_data({str(n): {"0": 0.9} for n in range(7)}), "t")
    assert len({(trace.line.color, trace.line.dash) for trace in curves.data[:-1]}) == 10
    assert len({trace.line.dash for trace in curves.data[:6]}) == 6
    assert len({trace.marker.pattern.shape for trace in bars.data}) == 7


def test_a_cells_figures_are_small():
    curves = figures.roc_by_class_data({"3": (np.tile(ANOMALY, 10), np.arange(3000.0) % 977)})
    histogram = figures.score_histogram_data(ANOMALY, SCORES, 1.0)
    for figure in (figures.roc_by_class_figure(curves, "t"), figures.score_histogram_figure(histogram, "t")):
        assert len(figure.to_json()) < 30_000
        json.loads(figure.to_json())
