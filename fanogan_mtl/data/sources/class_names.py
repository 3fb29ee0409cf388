"""The rule for names of classes: words of any script, without signs that mean something in options or on pages."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from fanogan_mtl.errors import UserError

_SIGNS = "_-. ()[]&+'!#@="
_JOINERS = "\u200c\u200d\u00b7"  # between letters of Persian, Hindi and Catalan words
_MOST_LETTERS = 100  # MLflow's names of metrics end at 250
_RESERVED = ("all", "none")  # words of the options classes and hold_out_class


def class_name(folder: Path) -> str:
    """Name the class of a folder: its own name in Unicode's composed form (NFC), for a Mac's archives have the
    decomposed one.

    Raises
    ------
    UserError
        For a name that options or MLflow couldn't take.
    """
    name = unicodedata.normalize("NFC", folder.name)
    refused = sorted({letter for letter in name if not _is_taken(letter)})
    if refused or {name[0], name[-1]} & {" ", *_JOINERS} or unicodedata.category(name[0])[0] == "M":
        signs = f" ({' '.join(map(repr, refused))})" if refused else ""
        use = f"letters, digits, spaces inside and {' '.join(_SIGNS.replace(' ', ''))}"
        raise UserError(f"{str(folder)!r} can't name a class{signs}; rename it: {use}")
    if len(name) > _MOST_LETTERS:
        raise UserError(f"{folder} can't name a class; use at most {_MOST_LETTERS} letters")
    if name in _RESERVED:
        raise UserError(f"{folder} can't name a class; '{name}' has a meaning in the options, rename it")
    return name


def _is_taken(letter: str) -> bool:
    return letter in _SIGNS or letter in _JOINERS or unicodedata.category(letter)[0] in "LMN"
