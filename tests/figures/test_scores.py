import json

import numpy as np
import pytest

from fanogan_mtl import figures

RANDOM = np.random.default_rng(0)
ANOMALY = RANDOM.random(300) < 0.9
SCORES = RANDOM.normal(size=300) + ANOMALY


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
    bars = figures.auroc_by_class_figure(figures.auroc_bars_data({str(n): {"0": 0.9} for n in range(7)}), "t")
    assert len({(trace.line.color, trace.line.dash) for trace in curves.data[:-1]}) == 10
    assert len({trace.line.dash for trace in curves.data[:6]}) == 6
    assert len({trace.marker.pattern.shape for trace in bars.data}) == 7


def test_a_cells_figures_are_small():
    curves = figures.roc_by_class_data({"3": (np.tile(ANOMALY, 10), np.arange(3000.0) % 977)})
    histogram = figures.score_histogram_data(ANOMALY, SCORES, 1.0)
    for figure in (figures.roc_by_class_figure(curves, "t"), figures.score_histogram_figure(histogram, "t")):
        assert len(figure.to_json()) < 30_000
        json.loads(figure.to_json())
