"""Which images a person wants scored: those of a folder tree, or those that a text file lists."""

from __future__ import annotations

import os
from pathlib import Path

from fanogan_mtl.data.decode import ImageError, decode_image
from fanogan_mtl.data.folder import SUFFIXES
from fanogan_mtl.data.levels import Pixels
from fanogan_mtl.errors import UserError

MOST_BYTES = 500_000_000  # of one file: the largest image that is decoded has fewer, uncompressed


def list_images(text: str) -> dict[str, Path]:
    """Find the images of a folder or of a list, in the order they are scored; none is opened.

    Parameters
    ----------
    text : str
        A folder, of which all PNG and JPEG files are taken (by suffix, sorted, hidden ones aside), or a text file with
        one path a line, relative to its own folder.

    Returns
    -------
    dict of str to Path
        The files by the path that the results name: relative to the folder, or as listed.

    Raises
    ------
    UserError
        Where there is no such folder or list, or no image in it.
    """
    if text == "none":
        raise UserError("input: which images? Give a folder, or a text file with one path a line")
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            found = {_shown(name): path / name for name in sorted(_names(path))}
        elif path.suffix.lower() in SUFFIXES and path.exists():
            raise UserError(f"input {text!r} is one image: give its folder, or a text file with one path a line")
        else:
            found = {_shown(line): path.parent / line for line in _lines(path)}
    except FileNotFoundError:
        raise UserError(f"input {text!r} is not there: give a folder, or a text file with one path a line") from None
    except OSError as error:
        where = error.filename or text
        raise UserError(f"input: can't read {str(where)!r} ({error.strerror}): make it readable") from None
    if not found:
        raise UserError(f"input {text!r} has no image: PNG and JPEG files are taken, by their suffixes")
    return found


def read_image(path: Path) -> Pixels:
    """Decode one file.

    Raises
    ------
    ImageError
        In one line, whatever is wrong with it.
    """
    try:
        if not path.is_file() and path.exists():  # opening a pipe would wait for ever
            raise ImageError("not a file")
        if path.stat().st_size > MOST_BYTES:
            raise ImageError(f"a file of more than {MOST_BYTES:,} bytes")
        return decode_image(path.read_bytes())
    except OSError as error:
        raise ImageError(f"can't be opened ({error.strerror})") from None


def _names(root: Path) -> list[str]:
    """Names of all images below a folder, relative to it; links to folders are not followed."""
    names = []
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        names += [
            (below / name).as_posix() for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return names


def _lines(path: Path) -> list[str]:
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # the mark with which some editors begin UTF-8
    if b"\0" in text:
        raise UserError(f"input {str(path)!r} is no text: give a folder, or a text file with one path a line")
    lines = [os.fsdecode(line.strip()) for line in text.splitlines()]
    return [line for line in lines if line]


def _shown(name: str) -> str:
    r"""The name as one line of text that every file format takes: other bytes become \xNN, an end of line \n."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter >= " " else repr(letter)[1:-1] for letter in text)


def _raise(error: OSError) -> None:
    raise error
