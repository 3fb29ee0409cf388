"""Writes the anomaly maps of scored images as files: a TIFF of 32-bit floats for each image and head."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from PIL import Image

from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.scores.images import read_image_file
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.heads import Head, Model

SUFFIX = ".tiff"
MOST_BYTES_OF_NAME = 255  # of file systems


def check_maps(text: str, images: str, names: Iterable[str]) -> None:
    """Raise `UserError` for a folder of maps among the images, a name too long, and where two images have one file.

    Parameters
    ----------
    text : str
        The folder, or `none`.
    images : str
        The folder whose images are scored, or a list of them.
    names : iterable of str
        The images' names.
    """
    if text == "none":
        return
    folder, among = (Path(each).expanduser().resolve() for each in (text, images))
    if among.is_dir() and folder.is_relative_to(among):
        raise UserError(f"maps {text!r} lies among the images, and maps would be scored as well: choose another place")
    known: dict[PurePath, str] = {}
    for name in names:
        if len(os.fsencode(f"{_inside(name).name}{SUFFIX}")) > MOST_BYTES_OF_NAME:
            raise UserError(f"maps: the name {name[:40]!r}... is too long for a map beside its {SUFFIX}: shorten it")
        if (other := known.setdefault(_inside(name), name)) != name:
            raise UserError(f"maps: {other!r} and {name!r} would have one file: give them names of their own")


def map_file(folder: Path, head: str, name: str) -> Path:
    """Where the map of an image by a head is: `<folder>/<data set>/<class>/<name of the image>.tiff`."""
    inside = _inside(name)
    return folder / _inside(head) / inside.with_name(f"{inside.name}{SUFFIX}")


def write_maps(folder: Path, model: Model, heads: Sequence[Head], files: Mapping[str, Path]) -> None:
    """Write the maps of images that have scores; each file is whole, or not there.

    Raises
    ------
    UserError
        If a file can't be written, or an image has gone or changed since it was scored.
    """
    for name, path in files.items():
        try:
            maps = heat_maps(model, heads, read_image_file(path))
        except ValueError as error:
            raise UserError(f"maps: {name} has a score, but no map ({one_line(error)}): start again") from None
        for head, heat_map in zip(heads, maps, strict=True):
            target = map_file(folder, head.spec.name, name)
            unfinished = target.with_suffix(".part")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(heat_map.values).save(unfinished, "TIFF", compression="tiff_adobe_deflate")
                unfinished.replace(target)
            except OSError as error:
                raise UserError(
                    f"{target} can't be written ({error.strerror or one_line(error)}): "
                    "mend that and start the same command again to go on"
                ) from None


def _inside(name: str) -> PurePath:
    """A name as a path that stays inside a folder, whatever it says of roots and parents."""
    path = PurePath(name)
    return PurePath(*[part for part in path.parts if part != path.anchor and part != ".."])
