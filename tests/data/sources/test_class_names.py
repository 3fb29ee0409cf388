from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanogan_mtl.data.sources.class_names import class_name
from fanogan_mtl.errors import UserError

NAMES = [
    "अच्छा",
    "ปกติ",
    "ரிவெட்",
    "défaut",
    "Ärger",
    "می\u200cخواهم",
    "好",
    "part 9",
    "a.b-c_d",
    "Corn_(maize)",
    "R&D",
    "7",
]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", NAMES)
def test_words_of_any_script_name_a_class_composed(name: str, form: str):
    assert class_name(Path("train") / normalize(form, name)) == normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a,b", r"can't name a class \(','\); rename it: letters, digits, spaces inside and _ - \."),
        ("a\tb", r"\('\\t'\)"),
        ("\U0001f44d", "can't name a class"),
        ("a/b".replace("/", "\\"), "can't name a class"),
        ("a<b>", r"\('<' '>'\)"),
        ("caf\udce9", r"caf\\udce9' can't name a class \('\\udce9'\)"),
        (" a", "can't name a class; rename"),
        ("a ", "can't name a class; rename"),
        ("\u0301a", "can't name a class; rename"),
        ("a\u200d", "can't name a class; rename"),
        ("x" * 101, "use at most 100 letters"),
        ("all", "'all' has a meaning in the options"),
    ],
)
def test_other_names_are_refused_with_the_sign(name: str, reason: str):
    with pytest.raises(UserError, match=reason) as caught:
        class_name(Path("train") / name)
    assert str(caught.value).isprintable()


@given(st.text(min_size=1, max_size=20).filter(lambda text: not set(text) & {"/", "\0"} and text not in (".", "..")))
def test_a_name_that_is_taken_stays_as_it_is(name: str):
    with suppress(UserError):
        taken = class_name(Path("train") / name)
        assert class_name(Path("train") / taken) == taken == normalize("NFC", name)
