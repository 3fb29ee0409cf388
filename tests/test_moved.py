"""Old addresses give the modules at their new ones."""

import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from fanogan_mtl.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_address_gives_the_module_itself_and_warns(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(FutureWarning, match=f"{old} has moved: import {MOVED[old]}"):
        module = import_module(old)
    assert module is import_module(MOVED[old])
    assert module.__name__ == module.__spec__.name == MOVED[old]


def test_what_never_was_is_not_found() -> None:
    assert find_spec("fanogan_mtl.data.nothing") is None
