"""Tells parts, masks and system files from classes by the names of folders and files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

_PART = r"({})([ _-]?(set|data|images))?([ _-]?(19|20)[0-9]{{2}})?"  # as `train2017`
_PARTS = {
    "train": re.compile(_PART.format("train|training")),
    "test": re.compile(_PART.format("test|testing")),
    "validation": re.compile(_PART.format("val|valid|validation")),
}
_LIKE_PARTS = {
    part: re.compile(rf"(.*[ _.-])?({words})([ab]|v?[0-9]+)?([ _.(-].*)?")
    for part, words in {"train": "train|training", "test": "tests?|testing"}.items()
}
_MASKS = re.compile(
    r"((binary|seg|segmentation|gt|ground[ _-]?truth|label|pixel|defect|anomaly)[ _-]?)?masks?([ _-]?(png|images?))?"
    r"|ground[ _-]?truths?|gts?|labels|label[ _-]images?|pixel[ _-]gt|annotations|segs?"
    r"|segmentations?(class|object)?|anomaly[ _-]?maps?"
)
_MASKS_OF = re.compile(
    r"(.+?)(?:(?=masks?$)|[ _.-]+)(masks?|gts?|ground[ _-]?truths?|seg(mentation)?s?|labels?|annot(ation)?s?)"
)
_MASK_WORDS = ("mask", "gt", "truth", "seg", "label", "annot")  # one of them is in the name of every mask
_MASK_STEM = re.compile(
    r"(?:^|[ _.-]+)(?P<word>masks?|gts?|ground[ _-]?truth|seg(mentation)?|labels?|annot(ation)?s?)(?![^ _.(0-9-])"
)
_MASK_JOINED = re.compile("(.+)masks?")
_LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
_FACES = re.compile(r"(no|non|not|without|un|wrong|incorrect|improper)[ _-]?mask")  # classes of people
_NORMAL = ("good", "ok", "normal", "regular", "nominal")
_RUBBISH = (
    *("__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
)


def plain(name: str) -> str:
    """Give a folder's name as it is compared: composed, in small letters, and without what nobody sees, as joiners."""
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", seen).casefold()


def is_rubbish(name: str) -> bool:
    """Whether a system or a program put a file or folder there, and not a person."""
    return name.startswith(".") or name.casefold() in _RUBBISH


def part_of(name: str) -> str | None:
    """Which part a folder is by its name: `train`, `test` or `validation`; None is none of them."""
    return next((part for part, names in _PARTS.items() if names.fullmatch(plain(name))), None)


def like_parts(names: Iterable[str]) -> list[str]:
    """Those of the folders that lie side by side that are called like parts, as `seg_train`, `seg_test` or `good_test`.

    None where not both parts are among them: a class may be called like one.
    """
    by_part = {
        part: [name for name in names if like.fullmatch(plain(name).strip())] for part, like in _LIKE_PARTS.items()
    }
    return sorted({name for own in by_part.values() for name in own}) if all(by_part.values()) else []


def is_normal(name: str) -> bool:
    """Whether a class has a name that the normal class often has, as `good`."""
    return plain(name) in _NORMAL


def masks_are_classes(names: Iterable[str]) -> bool:
    """Whether folders that lie side by side are of people with and without a mask."""
    return any(_FACES.match(plain(name)) for name in names)


def mask_folders(names: Iterable[str]) -> set[str]:
    """Those of the folders that lie side by side that hold masks: by their names, or as `crack_mask` beside `crack`.

    Beside a folder like `without_mask`, `mask` is a class of people.
    """
    by_plain = {name: plain(name) for name in names}
    known = set(by_plain.values())
    if masks_are_classes(known):
        return set()
    return {
        name
        for name, key in by_plain.items()
        if _MASKS.fullmatch(key) or ((of := _MASKS_OF.fullmatch(key)) and of[1] in known)
    }


def masked_stems(stem: str) -> list[str]:
    """Stems that the image of a mask may have, likeliest first: of `7_mask` it is `7`, of `mask_7` also `image_7`."""
    stem = plain(stem)
    found = _MASK_STEM.search(stem)
    if found is None:
        joined = _MASK_JOINED.fullmatch(stem)
        return [stem, joined[1]] if joined else [stem]
    before, after = stem[: found.start("word")], stem[found.end("word") :]
    others = [stem[: found.start()], (before + after).strip(" _.-"), f"{before}image{after}", f"{before}img{after}"]
    return [stem, *(other for other in others if other)]


def masked_folder(name: str) -> str:
    """The folder of the images whose masks are in a folder: of `crack_mask` it is `crack`, of `ground_truth` none."""
    key = plain(name)
    if _MASKS.fullmatch(key):
        return ""
    of = _MASKS_OF.fullmatch(key)
    return of[1] if of else key


def mask_files(names: Collection[str]) -> set[str]:
    """Those of a folder's files that are masks: as `7_mask.png` beside `7.jpg`, or `mask_7.png` beside `image_7.png`.

    A PNG, BMP or TIFF file that ends in `_mask` is one by itself.
    """
    together = "\n".join(names).lower()
    if not any(word in together for word in _MASK_WORDS):  # nearly always
        return set()
    stems = {stem.lower(): name for name in names for stem, _, _ in [name.rpartition(".")]}
    known = set(stems)
    return {name for name in names if _is_mask(*name.lower().rpartition(".")[::2], known)}


def _is_mask(stem: str, suffix: str, known: set[str]) -> bool:
    found = _MASK_STEM.search(stem)
    if found is None:
        joined = _MASK_JOINED.fullmatch(stem)
        return joined is not None and joined[1] in known
    if stem.endswith(("_mask", "_masks")) and f".{suffix}" in _LOSSLESS:
        return True
    before, after = stem[: found.start("word")], stem[found.end("word") :]
    others = {stem[: found.start()], (before + after).strip(" _.-"), f"{before}image{after}", f"{before}img{after}"}
    return not known.isdisjoint(others - {stem, ""})
