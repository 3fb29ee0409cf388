"""Figures of drift show the greatest values, and the line that makes them an alarm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fanogan_mtl.evaluation.drift import detect_drift
from fanogan_mtl.figures.drift import MOST_POINTS, martingale_figure, p_values_figure


def test_a_long_path_is_thinned_to_its_greatest_values() -> None:
    random = np.random.default_rng(0)
    drift = detect_drift(random.normal(size=50), random.normal(size=MOST_POINTS * 7), 0.01)
    path = np.full(MOST_POINTS * 7, -1.0)
    path[4321] = math.log(5000)
    figure = martingale_figure(replace(drift, log_martingale=path), "A path")
    (line,) = figure.data
    assert len(line.x) == MOST_POINTS + 1
    highest = int(np.argmax(line.y))
    assert line.x[highest] == 4322  # images count from 1
    assert 10 ** line.y[highest] == pytest.approx(5000)
    assert line.customdata[highest] == "5e+03"


def test_the_alarm_line_is_in_the_figure_and_says_its_value() -> None:
    drift = detect_drift(np.arange(50.0), np.arange(30.0), 0.01)
    figure = martingale_figure(drift, "A path")
    (line,), (note,) = figure.layout.shapes, figure.layout.annotations
    assert line.y0 == line.y1 == pytest.approx(math.log10(200))
    assert figure.layout.yaxis.range[1] > line.y0
    assert note.text == "alarm: 200"
    far = martingale_figure(replace(drift, log_martingale=np.full(30, 2000.0)), "A path")
    assert far.layout.yaxis.range[1] > 2000 / math.log(10)
    assert far.data[0].customdata[-1] == "10^869"


@pytest.mark.parametrize("number", [1, 40, 500])
def test_every_p_value_is_in_a_bin_and_the_line_is_their_mean(number: int) -> None:
    drift = detect_drift(np.arange(50.0), np.arange(float(number)), 0.01)
    figure = p_values_figure(drift, "P-values")
    counts = figure.data[0].y
    assert sum(counts) == number
    assert figure.layout.shapes[0].y0 == pytest.approx(np.mean(counts))
