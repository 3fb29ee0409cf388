"""Names and texts as MLflow takes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_logged_model_name, _validate_metric_name, _validate_tag

from fanogan_mtl.tracking import names


@given(st.text(max_size=300))
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    stored = names.key(name)
    _validate_metric_name(stored)
    assert 0 < len(stored) <= names.KEY
    assert names.key(stored) == stored


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_names_stay_two(one: str, other: str) -> None:
    assert (names.key(one) == names.key(other)) == (one == other)


@pytest.mark.parametrize("name", ["auroc", "auroc_class_3", "auroc_class_a.b c-d", "train_images_a", "auroc_class_猫"])
def test_names_that_are_legal_stay(name: str) -> None:
    assert names.key(name) == name


def test_marks_that_combine_and_signs_are_replaced() -> None:
    assert names.key("auroc_class_हिन्दी").startswith("auroc_class_ह_न_द_-")
    assert names.key("auroc_class_a(b)") != names.key("auroc_class_a[b]")


@given(st.text(max_size=600))
def test_any_label_names_a_model(label: str) -> None:
    _validate_logged_model_name(names.model_name(label))


def test_a_detector_of_pyod_can_be_told_from_its_models_name() -> None:
    with pytest.raises(MlflowException):
        _validate_logged_model_name("resnet18+pyod:HBOS")
    assert names.model_name("resnet18+pyod:HBOS") == "resnet18+pyod-HBOS"


def test_long_texts_end_in_an_ellipsis_and_tables_in_a_whole_row() -> None:
    assert names.text("a" * 20, 20) == "a" * 20
    assert names.text("a" * 21, 20) == f"{'a' * 19}…"
    assert names.shortened("first row\nsecond row\nthird row", 25) == "first row\nsecond row\n…"


def test_letters_that_a_database_refuses_are_replaced_and_passwords_are_hidden() -> None:
    assert names.text("a\x00b\udcffc", 10) == "a\ufffdb\ufffdc"
    assert names.text("at http://me:secret@host", 100) == "at http://me:***@host"


@given(st.integers(0, 3 * names.TAG + 1))
def test_a_text_in_several_tags_is_read_back_whole(length: int) -> None:
    value = json.dumps(["0123456789"] * (length // 14))
    tags = {**names.pieces("spec", value), "spec.b": "another's", "other": "x"}
    for name, each in names.pieces("spec", value).items():
        assert _validate_tag(name, each).value == each
    assert names.joined(tags, "spec") == value
    assert names.joined({}, "spec", "null") == "null"


def test_a_data_set_is_another_where_it_has_another_place() -> None:
    digest = "d" * 64
    here, there = (names.dataset_key("a", digest, f"npz:/{place}/a.npz") for place in ("here", "there"))
    assert here != there
    assert here[1][:27] == there[1][:27] == digest[:27]
    assert all(len(each[1]) <= names.DIGEST for each in (here, there))
    assert names.dataset_key("mnist", digest, "mnist") == ("mnist", "d" * 36)
