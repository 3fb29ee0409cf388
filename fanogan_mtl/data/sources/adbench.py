"""Vectors from one npz file as ADBench (https://github.com/Minqi824/ADBench) publishes it, read without trusting it."""

from __future__ import annotations

from pathlib import Path

from fanogan_mtl.data.dataset import RawVectors
from fanogan_mtl.data.sources.archive import archive_fingerprint, read_arrays
from fanogan_mtl.data.sources.vectors import checked_vectors


def load(path: Path, data_dir: Path) -> RawVectors:
    """Load `X` and `y` from an npz file, as `checked_vectors` wants them; nothing in it is ever unpickled.

    Raises
    ------
    UserError
        In one line, with the file's name, for everything that is not so.
    """
    rows, labels = read_arrays(path, ("X", "y"), "adbench")
    return checked_vectors(rows, labels, path)


def fingerprint(path: Path, data_dir: Path) -> list[str]:
    """Digest of the file's bytes."""
    return archive_fingerprint(path, "adbench", data_dir)
