"""What a trial trains is what its parameters say, on the features that the plan names."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.hybrid import make_hybrid_plan
from fanogan_mtl.plan.options import HybridOptions, TuneOptions
from fanogan_mtl.tuning.tuning import how_to_use, make_tuning


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
    with pytest.raises(UserError, match="grid is set by the option extractor_params; to search it, write extractor__"):
        make_tuning(options(tmp_path, '{"grid": [1, 3]}'), None)


LAYERS = (
    '{"extractor__layer": ["blocks.4", ["blocks.4", "blocks.10"]], "extractor__grid": [2, 3], "coreset": [0.1, 0.5]}'
)


def test_a_trial_reads_the_features_of_the_extractor_that_it_chose(tmp_path: Path) -> None:
    tuning = make_tuning(options(tmp_path, LAYERS), None)
    assert len(tuning.pretrainings) == 5  # the default's layer is none of these
    assert (tuning.default["extractor__layer"], tuning.default["extractor__grid"]) == ("blocks.10", 3)
    keys = {cell.extractor_key for cell in tuning.needed_cells}
    assert keys == set(tuning.pretrainings)
    for layer in ("blocks.4", ["blocks.4", "blocks.10"]):
        for grid in (2, 3):
            chosen = {"extractor__layer": layer, "extractor__grid": grid, "coreset": 0.5}
            (planned,) = tuning.comparisons(chosen, "study:x")
            below = json.loads(planned.extractor_parameters)
            assert (below["layer"], below["grid"]) == (layer, grid)
            (cell,) = planned.cells
            made = json.loads(tuning.pretrainings[str(cell.extractor_key)].parameters)
            assert (made["layer"], made["grid"]) == (layer, grid)
            parameters = json.loads(planned.comparison.parameters)
            assert (parameters["grid"], parameters["coreset"]) == (grid, 0.5)
            assert not any(name.startswith("extractor__") for name in tuning.chosen(chosen))
            keys.discard(cell.extractor_key)
    assert keys == {cell.extractor_key for cell in tuning.plan.cells}
    default = tuning.cells({"extractor__layer": "blocks.10", "extractor__grid": 3})
    assert [cell.key for cell in default] == [cell.key for cell in tuning.plan.cells]


def test_what_was_found_can_be_asked_for(tmp_path: Path) -> None:
    fixed = replace(options(tmp_path, LAYERS), extractor_params='{"efficientnet_lite0": {"input_size": 64}}')
    made = make_tuning(fixed, None)
    assert {json.loads(each.parameters)["input_size"] for each in made.pretrainings.values()} == {64}
    found = {"extractor__layer": "blocks.4", "extractor__grid": 2, "coreset": 0.1}
    words = shlex.split(how_to_use(fixed, "best", found))
    assert words[:4] == ["-P", "detector_params=study:best", "-P", "extractors=efficientnet_lite0"]
    params = json.loads(words[5].removeprefix("extractor_params="))
    assert params == {"efficientnet_lite0": {"input_size": 64, "layer": "blocks.4", "grid": 2}}
    asked = HybridOptions(
        dataset="optdigits", detectors="patchcore", classes="3", limit="20", data_dir=str(tmp_path),
        extractors="efficientnet_lite0", extractor_params=json.dumps(params),
        detector_params='{"patchcore": {"coreset": 0.1}}',
    )  # fmt: skip
    (planned,) = make_hybrid_plan(asked).plan.comparisons
    assert planned.comparison == made.comparisons(found, "")[0].comparison
    assert how_to_use(TuneOptions(), "best", {"kappa": 1}) == "-P detector_params=study:best"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"search_space": '{"extractor__layer": ["blocks.77"]}'}, "blocks.77"),
        ({"search_space": '{"extractor__depth": [1]}'}, "unknown parameter 'depth'"),
        ({"search_space": '{"extractor__grid": {"low": 1, "high": 3}}'}, "a list of choices, please"),
        ({"search_space": '{"extractor__device": ["cpu"]}'}, "device is set by the option device"),
        ({"search_space": '{"extractor__grid": [1]}', "extractors": "none"}, "extractor__grid needs an extractor"),
        ({"extractors": "none", "extractor_epochs": "3"}, "extractor_epochs: without an extractor there is nothing"),
        ({"extractor_params": '{"efficientnet_lite0": 5}'}, "an object of parameters; write it like"),
        ({"extractor_params": '{"pca": {"n_components": 8}}'}, "names 'pca', which is not among the extractors"),
        (
            {"extractor_params": '{"efficientnet_lite0": {"grid": 2}}', "search_space": '{"extractor__grid": [1, 2]}'},
            "extractor__grid is fixed at 2",
        ),
    ],
)
def test_a_mistake_about_the_extractor_is_one_line(tmp_path: Path, changed: dict[str, str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        make_tuning(replace(options(tmp_path, '{"coreset": [0.1, 0.5]}'), **changed), None)
    assert "\n" not in str(raised.value)
