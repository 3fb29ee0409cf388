"""Tells a person, in one line and once per process, which files of a folder are left out."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

MASKS = "masks"
VALIDATION = "validation is drawn from the training images"
BESIDE = "beside the parts"

_SAID: set[str] = set()


def say_left_out(root: Path, files: tuple[tuple[str, int], ...], folders: tuple[tuple[str, str], ...]) -> None:
    """Print on stderr what is left out of a folder, once; worker processes leave it to the process that started them.

    Parameters
    ----------
    files : tuple of (str, int)
        Kinds of files, and how many there are of each.
    folders : tuple of (str, str)
        Folders, relative, and why they are left out.
    """
    known = repr((root, files, folders))
    if not (files or folders) or known in _SAID or multiprocessing.parent_process() is not None:
        return
    _SAID.add(known)
    print(f"{root}: left out: {left_out(root, files, folders)}", file=sys.stderr)


def left_out(root: Path, files: tuple[tuple[str, int], ...], folders: tuple[tuple[str, str], ...]) -> str:
    """Put what is left out of a folder into words, as `20 .tif, 5 masks (in crack/mask/)`."""
    counts, places = Counter(dict(files)), []
    for folder, reason in folders:
        n_files = sum(len(names) for _, _, names in os.walk(root / folder))
        if reason == MASKS:
            counts[MASKS] += n_files
            places.append(folder)
        else:
            counts[f"in {folder}/ ({reason})"] += n_files
    if places:
        others = f" and {len(places) - 1} more" if len(places) > 1 else ""
        counts[f"{MASKS} (in {places[0]}/{others}; rename what is a class)"] = counts.pop(MASKS)
    return counted(counts)


def counted(counts: Mapping[str, int]) -> str:
    """Put counts of kinds into words, as `20 .tif, 1 mask`."""
    one = re.compile(r"^(mask|link|image)s")
    words = ((count, one.sub(r"\1", kind) if count == 1 else kind) for kind, count in sorted(counts.items()))
    return ", ".join(f"{count:,} {kind}" for count, kind in words)
