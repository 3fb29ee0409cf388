"""The examples in the docstrings of the functions that people start from run as they stand."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.cache import default_data_dir
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.data.splits import one_vs_rest
from fanogan_mtl.detectors import make_detector
from fanogan_mtl.evaluation.metrics import detection_metrics
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.hybrid import Hybrid
from fanogan_mtl.sweep.cell import Cell, Comparison, run_cell

STARTING_POINTS = (make_detector, make_extractor, load_dataset, one_vs_rest, detection_metrics, Hybrid, run_cell)
NAMES = {each.__name__: each for each in (*STARTING_POINTS, parse_datasets, default_data_dir, Cell, Comparison)}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("documented", STARTING_POINTS, ids=lambda each: each.__name__)
def test_the_example_runs(documented, data_dir, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(data_dir))
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(documented, documented.__name__, globs={**NAMES, "np": np})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
