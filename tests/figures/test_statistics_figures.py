import itertools
import json

import numpy as np
import pytest

from fanogan_mtl import figures
from fanogan_mtl.evaluation.significance import compare


def significance(n_blocks, steps, names="abcdefghij"):
    """Tests of methods whose AUROC rises by so many steps of 0.02 from one to the next, with noise."""
    random = np.random.default_rng(0)
    means = 0.5 + 0.02 * np.cumsum(steps)
    return compare({
        name: {("data", str(block)): float(mean + random.normal(0, 0.02)) for block in range(n_blocks)}
        for name, mean in zip(names, means, strict=False)
    })  # fmt: skip


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def assert_no_trace_is_empty(figure):
    assert figure.data
    for trace in figure.data:
        assert len(trace.x) == len(trace.y) > 0
        assert any(x is not None for x in trace.x)
    json.loads(figure.to_json())


class TestCriticalDifferences:
    def test_methods_are_at_their_mean_ranks_with_the_best_first(self):
        found = significance(30, (1, 1, 1, 1))
        data = figures.critical_difference_data(found)
        assert data.methods == ["d", "c", "b", "a"]
        assert data.mean_ranks == [found.mean_ranks[method] for method in data.methods]
        figure = figures.critical_difference_figure(data, "ranks")
        assert list(traces(figure)["method"].x) == data.mean_ranks
        assert list(np.diff(traces(figure)["method"].y)) == [1, 1, 1]
        assert figure.layout.xaxis.range[0] < 1 < 4 < figure.layout.xaxis.range[1]

    def test_bars_span_the_groups_and_the_critical_difference_is_a_length(self):
        found = significance(30, (1, 0, 2, 0, 2, 0))
        groups = found.friedman.groups
        assert len(groups) > 1
        figure = figures.critical_difference_figure(figures.critical_difference_data(found), "ranks")
        assert_no_trace_is_empty(figure)
        bars = traces(figure)["not told apart at 0.05"]
        ends = [(bars.x[at], bars.x[at + 1], bars.x[at + 2]) for at in range(0, len(bars.x), 3)]
        assert ends == [(found.mean_ranks[group[0]], found.mean_ranks[group[-1]], None) for group in groups]
        rows = [row for row in bars.y if row is not None]
        assert rows == [float(row) for row in np.repeat(np.arange(1, len(groups) + 1), 2)]
        critical = found.friedman.critical_difference
        assert list(traces(figure)[f"critical difference {critical:.2f}"].x) == [1, 1 + critical]
        assert min(traces(figure)["method"].y) > max(rows)

    def test_names_and_ranks_stand_inside_beside_their_markers(self):
        figure = figures.critical_difference_figure(
            figures.critical_difference_data(significance(30, (1, 1, 1), ("p<1", "vae", "pca"))), "ranks"
        )
        methods = traces(figure)["method"]
        for note, x, y in zip(figure.layout.annotations, methods.x, methods.y, strict=True):
            assert (note.x, note.y) == (x, y)
            assert note.text.endswith(f" {x:.2f}")
            assert note.xanchor == ("right" if x > 2 else "left")
        assert figure.layout.annotations[-1].text.startswith("p&lt;1 ")

    def test_where_no_difference_is_supported_one_bar_is_over_all_and_no_length_is_drawn(self):
        figure = figures.critical_difference_figure(
            figures.critical_difference_data(significance(6, (0, 0, 0))), "ranks"
        )
        assert list(traces(figure)) == ["not told apart at 0.05", "method"]
        bars, methods = figure.data
        assert list(bars.x) == [methods.x[0], methods.x[-1], None]
        assert_no_trace_is_empty(figure)

    @pytest.mark.parametrize("found", [significance(5, (1, 1, 1)), significance(20, (1, 1))])
    def test_few_blocks_and_two_methods_show_ranks_alone(self, found):
        figure = figures.critical_difference_figure(figures.critical_difference_data(found), "ranks")
        assert list(traces(figure)) == ["method"]

    def test_all_told_apart_has_no_bar(self):
        figure = figures.critical_difference_figure(
            figures.critical_difference_data(significance(40, (6, 6, 6))), "ranks"
        )
        assert [name.split()[0] for name in traces(figure)] == ["critical", "method"]
        assert_no_trace_is_empty(figure)


class TestPareto:
    VALUES = {"slow": (0.9, 100.0), "quick": (0.8, 1.0), "worse": (0.7, 50.0), "as slow": (0.85, 100.0)}  # noqa: RUF012

    def test_front_is_of_those_that_no_other_method_beats(self):
        points = figures.pareto_data(self.VALUES)
        assert [(point.method, point.on_front) for point in points] == [
            ("quick", True), ("worse", False), ("slow", True), ("as slow", False),
        ]  # fmt: skip
        assert [point.auroc for point in points] == pytest.approx([80, 70, 90, 85])

    def test_front_of_random_points_is_monotone_and_beats_all_others(self):
        random = np.random.default_rng(0)
        points = figures.pareto_data({str(n): (random.random(), 10 ** random.normal()) for n in range(40)})
        front = [point for point in points if point.on_front]
        assert all(one.cost < other.cost and one.auroc < other.auroc for one, other in itertools.pairwise(front))
        for point in points:
            beaten = any(other.cost <= point.cost and other.auroc > point.auroc for other in front)
            assert beaten != point.on_front

    def test_equal_points_are_both_on_the_front(self):
        points = figures.pareto_data({"a": (0.9, 1.0), "b": (0.9, 1.0)})
        assert [point.on_front for point in points] == [True, True]

    def test_figure_has_the_front_and_a_numbered_point_a_method_on_a_log_axis(self):
        figure = figures.pareto_figure(figures.pareto_data(self.VALUES), "cost", "training time (s)")
        assert_no_trace_is_empty(figure)
        front, *points = figure.data
        assert (list(front.x), front.y[0], front.y[1]) == ([1, 100], pytest.approx(80), pytest.approx(90))
        assert [point.text[0] for point in points] == ["1", "2", "3", "4"]
        assert points[0].name == "1 quick: 80.0 %, 1"
        assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "training time (s)")
        assert figure.layout.yaxis.title.text == "AUROC (%)"

    def test_points_off_the_front_are_hollow_and_all_differ_without_colour(self):
        _, *points = figures.pareto_figure(figures.pareto_data(self.VALUES), "cost", "s").data
        assert [point.marker.symbol.endswith("-open") for point in points] == [False, True, False, True]
        assert len({point.marker.symbol for point in points}) == len({point.text for point in points}) == 4

    def test_long_costs_are_whole_numbers_in_the_legend(self):
        points = figures.pareto_data({"a": (0.9, 2417.3), "b": (0.8, 0.01234)})
        assert [trace.name for trace in figures.pareto_figure(points, "cost", "s").data[1:]] == [
            "1 b: 80.0 %, 0.0123",
            "2 a: 90.0 %, 2,417",
        ]

    @pytest.mark.parametrize("cost", [0.0, -1.0, np.nan, np.inf])
    def test_costs_that_a_log_axis_cannot_show_are_refused(self, cost):
        with pytest.raises(ValueError, match="cost of 'a'"):
            figures.pareto_data({"a": (0.9, cost)})
