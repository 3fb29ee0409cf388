"""What a trial trains is what its parameters say, on the features that the plan names."""

import json
from pathlib import Path

import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import TuneOptions
from fanogan_mtl.tuning.tuning import make_tuning


def options(tmp_path: Path, search_space: str) -> TuneOptions:
    return TuneOptions(
        dataset="optdigits", detectors="patchcore", classes="3", limit="20", data_dir=str(tmp_path),
        extractors="efficientnet_lite0", search_space=search_space,
    )  # fmt: skip


def test_every_trial_is_told_the_extractors_grid(tmp_path: Path) -> None:
    tuning = make_tuning(options(tmp_path, '{"coreset": [0.1, 0.5]}'), None)
    assert tuning.default["grid"] == 3
    (comparison,) = tuning.comparisons({"coreset": 0.5}, "")
    parameters = json.loads(comparison.comparison.parameters)
    assert (parameters["grid"], parameters["coreset"]) == (3, 0.5)
    assert [cell.comparison for cell in tuning.cells({"coreset": 0.5})] == [comparison.comparison]


def test_the_grid_is_not_searched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="grid is set by the option extractor_params"):
        make_tuning(options(tmp_path, '{"grid": [1, 3]}'), None)
