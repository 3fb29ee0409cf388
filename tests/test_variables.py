import os

import pytest

from fanogan_mtl.variables import variables_set


def fail_within() -> None:
    with variables_set({"GIVEN": "within", "NEW": "within"}):
        assert os.environ["GIVEN"] == os.environ["NEW"] == "within"
        raise KeyError


def test_variables_are_as_before_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "before")
    monkeypatch.delenv("NEW", raising=False)
    with pytest.raises(KeyError):
        fail_within()
    assert os.environ["GIVEN"] == "before"
    assert "NEW" not in os.environ
