"""What a person types: values, and one line for each mistake."""

import os
from pathlib import Path

import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.words import (
    parse_classes,
    parse_data_dir,
    parse_detectors,
    parse_device,
    parse_flag,
    parse_integer,
    parse_integers,
    parse_workers,
)


def test_lists_are_sorted_numbers() -> None:
    assert parse_integers("epochs", "50, 20", 1) == (20, 50)
    assert parse_integer("limit", "none", 1, "none") is None
    assert parse_integer("limit", "25", 1, "none") == 25


def test_as_many_workers_as_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= parse_workers("auto") <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert parse_workers("auto") == 1
    assert parse_workers("3") == 3


@pytest.mark.parametrize("text", ["0", "-1", "ten", "", "20,,50", "1.5", "20,20", "nan"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="epochs") as error:
        parse_integers("epochs", text, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "10", "0,0", "zero", "1;2"])
def test_classes_that_are_not_there(text: str) -> None:
    with pytest.raises(UserError, match="classes"):
        parse_classes(text, ("0", "1", "2"), "digits")


def test_all_classes_and_some() -> None:
    assert parse_classes("all", ("0", "1"), "digits") == ("0", "1")
    assert parse_classes("1, 0", ("0", "1"), "digits") == ("1", "0")


def test_detector_params_by_name_by_setting_and_by_option() -> None:
    choices = parse_detectors("fanogan,vae,knn", '{"fanogan": {"kappa": 0.5}, "vae": "tuned"}', {"batch_size": "32"})
    by_name = {choice.name: choice for choice in choices}
    assert by_name["fanogan"].parameters == {"kappa": 0.5, "batch_size": 32}
    assert by_name["vae"].parameters["batch_size"] == 32
    assert by_name["knn"].parameters == {}
    assert {name: choice.setting for name, choice in by_name.items()} == {
        "fanogan": "custom", "vae": "custom", "knn": "default",
    }  # fmt: skip
    tuned = parse_detectors("fanogan,vae,knn", "tuned")
    assert [choice.setting for choice in tuned] == ["tuned", "tuned", "default"]


@pytest.mark.parametrize(
    ("detectors", "params", "common"),
    [
        ("fanogen", "none", {}),
        ("", "none", {}),
        ("vae,vae", "none", {}),
        ("pyod:NoSuchDetector", "none", {}),
        ("vae", "{broken", {}),
        ("vae", "[1]", {}),
        ("vae", '{"knn": {}}', {}),
        ("vae", '{"vae": {"latent": 3}}', {}),
        ("vae", '{"vae": "best"}', {}),
        ("vae", '{"vae": 3}', {}),
        ("vae", '{"vae": {"epochs": 3}}', {}),
        ("knn", "tuned", {}),
        ("vae", "none", {"latent_dim": "-1"}),
        ("vae", "none", {"batch_size": "0"}),
        ("vae", "none", {"batch_size": "many"}),
        ("fanogan", "none", {"kappa": "nan"}),
        ("knn", "none", {"kappa": "1"}),
    ],
)
def test_mistakes_in_detectors_are_one_line(detectors: str, params: str, common: dict[str, str]) -> None:
    with pytest.raises(UserError) as error:
        parse_detectors(detectors, params, common)
    assert "\n" not in str(error.value)


def test_flags_and_devices() -> None:
    assert parse_flag("retry", "true") is True
    with pytest.raises(UserError, match="retry 'yes': one of true, false"):
        parse_flag("retry", "yes")
    with pytest.raises(UserError, match="device 'gpu'"):
        parse_device("gpu")


def test_data_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data_dir .*can't be written"):
        parse_data_dir(str(tmp_path / "file" / "below"))
    assert parse_data_dir(str(tmp_path / "new")).is_dir()
    assert list((tmp_path / "new").iterdir()) == []
