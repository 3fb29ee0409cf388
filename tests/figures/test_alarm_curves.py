"""The figure of false alarms draws what came at every rate that can be promised."""

from __future__ import annotations

import numpy as np

from fanogan_mtl import figures
from fanogan_mtl.evaluation.alarms import NormalScores
from fanogan_mtl.evaluation.conformal import alarm_band


def heads(*sizes: int) -> dict[str, NormalScores]:
    random = np.random.default_rng(0)
    return {f"<{at}>": NormalScores(random.normal(size=n), random.normal(size=50)) for at, n in enumerate(sizes)}


def test_curves_are_what_came() -> None:
    of = heads(99, 19, 9)
    data = figures.alarm_curves_data(of)
    assert data.asked[-1] == 0.3
    for name, head in of.items():
        known = ~np.isnan(data.realised[name])
        assert (known == (data.asked >= 1 / (len(head.held_out) + 1) - 1e-12)).all()
        assert data.realised[name][known].tolist() == [head.realised(rate) for rate in data.asked[known]]
    assert (data.low[-1], data.high[-1]) == alarm_band(19, 0.3, 50)
    assert np.isnan(data.low[data.asked < 0.049]).all()


def test_the_mean_and_names_are_drawn_and_nothing_where_nothing_can_be_promised() -> None:
    drawn = figures.alarm_curves_figure(figures.alarm_curves_data(heads(99, 99)), "title")
    lines = {line.name: line for line in drawn.data}
    assert "&lt;0&gt; is normal" in lines
    mean = np.mean([np.asarray(lines[f"&lt;{at}&gt; is normal"].y) for at in (0, 1)], axis=0)
    np.testing.assert_allclose(np.asarray(lines["mean of the heads"].y), mean)
    nothing = figures.alarm_curves_figure(figures.alarm_curves_data(heads(2)), "title")
    assert "mean of the heads" not in {line.name for line in nothing.data}
