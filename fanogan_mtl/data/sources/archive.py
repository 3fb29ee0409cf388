"""Arrays of an npz file that anyone may have made, read without trusting it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.data.cache import file_digest
from fanogan_mtl.errors import UserError

_BROKEN = (OSError, EOFError, ValueError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def check_archive(path: Path, kind: str) -> None:
    """Raise `UserError` unless there is a file that looks like an npz; `kind` is what stands before its path."""
    try:
        with path.open("rb") as file:
            is_npz = zipfile.is_zipfile(file)
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; {kind}: wants a file that numpy.savez_compressed wrote") from None
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"can't open {path} ({reason}); check the path after {kind}:") from None
    if not is_npz:
        raise UserError(f"{path} is not an npz file; write it with numpy.savez_compressed")


def archive_fingerprint(path: Path, kind: str, data_dir: Path) -> list[str]:
    """Digest of the bytes of an npz file; `UserError` as `check_archive` for what is none."""
    check_archive(path, kind)
    return [file_digest(path, data_dir)]


def read_arrays(path: Path, names: Sequence[str], kind: str) -> list[NDArray[Any]]:
    """Read those arrays of an npz file; nothing in it is ever unpickled.

    Raises
    ------
    UserError
        In one line, with the file's name, where there is no such file or array, or where they can't be read.
    """
    check_archive(path, kind)
    try:
        with np.load(path, allow_pickle=False) as file:
            lacking = [name for name in names if name not in file.files]
            if lacking:
                raise UserError(f"{path} lacks {', '.join(lacking)}; {kind}: needs {', '.join(names)}")
            return [_array(file, name, path) for name in names]
    except UserError:
        raise
    except _BROKEN as error:
        raise UserError(f"{path} can't be read ({_first_line(error)}); write it anew") from None


def _array(file: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array = file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise UserError(f"{name} in {path} holds Python objects, which are never loaded; save plain numbers") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} in {path} is not a numpy array; write the file with numpy.savez_compressed")
    return array


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
