"""Which images a person wants scored: those of a folder tree, or those that a text file lists."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from fanogan_mtl.data.images.decode import ImageError, decode_image
from fanogan_mtl.data.images.formats import READ, SUFFIXES, holds_image
from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.data.sources.layout import is_rubbish, mask_files, mask_folders
from fanogan_mtl.errors import UserError

MOST_BYTES = 500_000_000  # of one file: the largest image that is decoded has fewer, uncompressed


def list_images(text: str) -> dict[str, Path]:
    """Find the files of a folder or of a list, in the order they are scored.

    Parameters
    ----------
    text : str
        A folder, of which all files are taken (sorted; hidden ones and what systems leave there aside), or a text file
        with one path per line, relative to its own folder. What is no image among them becomes a row with an error.

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
        raise UserError("input: which images? Give a folder, or a text file with one path per line")
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            found = {shown_name(name): path / name for name in sorted(_names(path))}
            if not any(name.lower().endswith(SUFFIXES) or _holds_image(found[name]) for name in found):
                raise UserError(f"input {text!r} has no image: {READ} files are taken")
        elif path.is_file() and (path.suffix.lower() in SUFFIXES or holds_image(str(path))):
            raise UserError(f"input {text!r} is one image: give its folder, or a text file with one path per line")
        else:
            found = _listed(path)
    except FileNotFoundError:
        raise UserError(f"input {text!r} is not there: give a folder, or a text file with one path per line") from None
    except OSError as error:
        where = error.filename or text
        raise UserError(f"input: can't read {str(where)!r} ({error.strerror}): make it readable") from None
    if not found:
        raise UserError(f"input {text!r} names no image: write one path per line")
    return found


def read_image_file(path: Path) -> Pixels:
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


def masks_among(names: Iterable[str]) -> set[str]:
    """Find the masks among a folder's files (paths relative to it), by the names of files and folders."""
    folders: dict[str, set[str]] = {}
    files: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        files.setdefault(folder, []).append(file)
        for each in PurePosixPath(folder, file).parents:
            if each.name:
                folders.setdefault(str(each.parent), set()).add(each.name)
    inside = {str(PurePosixPath(parent, name)) for parent, found in folders.items() for name in mask_folders(found)}
    masks = set()
    for folder, found in files.items():
        path = PurePosixPath(folder)
        whole = not inside.isdisjoint(map(str, (path, *path.parents)))
        masks |= {str(path / file) for file in (found if whole else mask_files(found))}
    return masks


def _names(root: Path) -> list[str]:
    """Names of all files below a folder, relative to it, and of links to folders, which are not followed."""
    names = []
    for folder, folders, files in os.walk(root, onerror=_raise):
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114 - as os.walk names them
        folders[:] = [name for name in folders if not is_rubbish(name) and name not in links]
        below = Path(folder).relative_to(root)
        names += [(below / name).as_posix() for name in [*files, *links] if not is_rubbish(name)]
    return names


def _holds_image(path: Path) -> bool:
    try:
        return path.is_file() and holds_image(str(path))
    except OSError:
        return False


def _listed(path: Path) -> dict[str, Path]:
    lines = _lines(path)
    found = {shown_name(line): path.parent / line for line in lines}
    if repeated := len(lines) - len(found):
        some = f"{repeated:,} line{'s name' if repeated != 1 else ' names'}"
        tqdm.write(f"input: {some} an image that was named before: each is scored once", file=sys.stderr)
    return found


def _lines(path: Path) -> list[str]:
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # the mark with which some editors begin UTF-8
    if b"\0" in text:
        raise UserError(f"input {str(path)!r} is no text: give a folder, or a text file with one path per line")
    lines = [os.fsdecode(line.strip()) for line in text.splitlines()]
    return [line for line in lines if line]


def shown_name(name: str) -> str:
    r"""The name as one line of text that every file format takes: other bytes become \xNN, an end of line \n."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter >= " " else repr(letter)[1:-1] for letter in text)


def _raise(error: OSError) -> None:
    raise error
