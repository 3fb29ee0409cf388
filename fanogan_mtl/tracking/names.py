"""Names and texts as MLflow and its databases take them: every one that is sent goes through here.

A text too long for its column is kept by SQLite, but refused by PostgreSQL and MySQL; and for each kind of name there
are letters that MLflow refuses. A text that doesn't fit is cut, and ends in `…`; a name that doesn't is changed, and
ends in a digest
of what it was, so that two names never become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from posixpath import normpath

from fanogan_mtl.errors import without_password

KEY = 250
"""Letters in the name of a metric, parameter or tag, and of a run."""
PARAMETER, TAG = 6000, 8000
"""Letters in a parameter and in a run's tag."""
DESCRIPTION, REGISTERED, ALIAS = 5000, 256, 255
"""Letters in a version's description, a registered model's name and an alias."""
DATASET, SOURCE, DIGEST = 500, 10_000, 36
"""Letters in the name of a data set, in its source (as JSON up to six times as many) and in its digest."""
LOGGED_MODEL, PAGE = 250, 60_000
"""Letters in a logged model's name (its column has 500, its page fewer) and in its description."""

_NO_KEY = re.compile(r"[^/\w.\- :]")  # \w knows letters and digits of all scripts, but no combining marks
_NO_MODEL = re.compile(r"[/:.%\"'\s\x00-\x1f]+")
_NOT_STORED = re.compile(r"[\x00\ud800-\udfff]")  # PostgreSQL takes no NUL, and no encoder half a character


def text(value: object, letters: int) -> str:
    """A text as it is stored: without passwords, of letters that every database takes, and cut where it is too long."""
    return shortened(_NOT_STORED.sub("\ufffd", without_password(str(value))), letters)


def shortened(value: str, letters: int) -> str:
    """Cut a text that is too long, one of several lines after a whole line, and end it in `…`."""
    if len(value) <= letters:
        return value
    kept = value[: letters - 1]
    lines = kept.rpartition("\n")[0]
    return f"{lines}\n…" if len(lines) > letters // 2 else f"{kept}…"


def key(name: str) -> str:
    """Name of a metric, parameter or tag."""
    stored = _NO_KEY.sub("_", name)
    if stored == name and len(name) <= KEY and normpath(name) == name and not name.startswith((".", "/")):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{normpath(stored).strip('./')[: KEY - 9]}-{digest}"


def model_name(label: str) -> str:
    """Name of a logged model, which people read: `pyod:HBOS` is `pyod-HBOS`."""
    return _NO_MODEL.sub("-", text(label, LOGGED_MODEL)).strip("-") or "model"


def dataset_key(name: str, digest: str, source: str) -> tuple[str, str]:
    """Name and digest by which MLflow tells data sets apart: the digest is of the content, and of where it lies.

    MLflow keeps for ever the source it saw first with a name and a digest: if the digest didn't depend on the place,
    runs after a file has moved would show its old one. A set without a place, as `mnist`, has its content's digest.
    """
    if "/" in source:
        place = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        digest = f"{digest[: DIGEST - 9]}-{place}"
    return text(name, DATASET), digest[:DIGEST]


def pieces(name: str, value: str) -> dict[str, str]:
    """Cut a text that is read back later into tags that fit: `NAME`, `NAME.1`, ..."""
    parts = [value[start : start + TAG] for start in range(0, max(1, len(value)), TAG)]
    return {f"{name}.{number}" if number else name: part for number, part in enumerate(parts)}


def joined(tags: Mapping[str, str], name: str, default: str = "") -> str:
    """Read back what `pieces` made."""
    parts = [tags.get(name, default)]
    while len(parts[-1]) == TAG and (more := tags.get(f"{name}.{len(parts)}")):
        parts.append(more)
    return "".join(parts)
