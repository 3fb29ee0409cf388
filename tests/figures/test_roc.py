import numpy as np

from fanogan_mtl import figures

RANDOM = np.random.default_rng(0)
ANOMALY = RANDOM.random(300) < 0.9
SCORES = RANDOM.normal(size=300) + ANOMALY
BETTER = SCORES + ANOMALY


class TestRocByClass:
    def test_legend_has_class_and_auroc_and_curves_run_corner_to_corner(self):
        data = figures.roc_by_class_data({"3": (ANOMALY, SCORES), "5": (ANOMALY, ANOMALY)})
        figure = figures.roc_by_class_figure(data, "fanogan on mnist")
        names = [trace.name for trace in figure.data]
        assert names == [f"3: {100 * data['3'].auroc:.1f} %", "5: 100.0 %", "chance: 50.0 %"]
        for trace in figure.data:
            assert (trace.x[0], trace.y[0], trace.x[-1], trace.y[-1]) == (0, 0, 100, 100)


class TestRocWithAndWithout:
    DATA = figures.roc_with_and_without_data({
        "3": {"without": (ANOMALY, SCORES), "with": (ANOMALY, BETTER)},
        "5": {"with": (ANOMALY, ANOMALY), "without": (ANOMALY, SCORES)},
    })  # fmt: skip
    FIGURE = figures.roc_with_and_without_figure(DATA, "fanogan")

    def test_legend_has_each_class_once_with_its_auroc_without_and_with(self):
        three = self.DATA["3"]
        assert three.without_extractor.auroc < three.with_extractor.auroc
        without = f"{100 * three.without_extractor.auroc:.1f}"
        listed = [trace.name for trace in self.FIGURE.data if trace.showlegend is not False]
        assert listed == [
            f"3: {without} → {100 * three.with_extractor.auroc:.1f}",
            f"5: {without} → 100.0",
            "without",
            "with",
            "chance: 50.0",
        ]
        assert "without → with" in self.FIGURE.layout.legend.title.text

    def test_a_class_has_one_colour_dashed_without_and_solid_with(self):
        colours = set()
        for name, dashed, solid in zip("35", self.FIGURE.data[:4:2], self.FIGURE.data[1:4:2], strict=True):
            assert (dashed.line.dash, solid.line.dash) == ("dash", "solid")
            assert dashed.line.color == solid.line.color
            assert dashed.legendgroup == solid.legendgroup
            colours.add(solid.line.color)
            pair = self.DATA[name]
            for trace, curve in ((dashed, pair.without_extractor), (solid, pair.with_extractor)):
                np.testing.assert_allclose(trace.x, 100 * curve.fpr, rtol=1e-6)
                np.testing.assert_allclose(trace.y, 100 * curve.tpr, rtol=1e-6)
        assert len(colours) == 2

    def test_the_legend_explains_the_dashes_as_they_are_drawn(self):
        keys = {trace.name: trace.line.dash for trace in self.FIGURE.data[4:]}
        assert (keys["without"], keys["with"]) == ("dash", "solid")

    def test_ten_classes_have_ten_colours(self):
        tests = {str(n): {"without": (ANOMALY, SCORES), "with": (ANOMALY, BETTER)} for n in range(10)}
        figure = figures.roc_with_and_without_figure(figures.roc_with_and_without_data(tests), "t")
        assert len({trace.line.color for trace in figure.data[:20]}) == 10
