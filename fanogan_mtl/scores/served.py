"""Loads models from MLflow for the entries that score with them."""

from __future__ import annotations

from pathlib import Path

from fanogan_mtl.data.images.levels import Pixels
from fanogan_mtl.errors import UserError
from fanogan_mtl.serving.heads import DESCRIPTION, Head, Model, read_model
from fanogan_mtl.serving.requests import decode_sent
from fanogan_mtl.serving.scoring import named_heads
from fanogan_mtl.tracking.artifacts import fetching_folder
from fanogan_mtl.tracking.logged_models import download_model, read_example


def load_served(uri: str) -> Model:
    """Load a model by its address, as `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `models:/m-ID`.

    Raises
    ------
    UserError
        If there is no such model, or if it is none of this project's.
    """
    with fetching_folder() as temporary:
        return read_model(_fetched(uri, Path(temporary))[1])


def load_with_example(uri: str) -> tuple[Model, list[Pixels]]:
    """Load a model as `load_served` does, and the images that are its example; none where it has vectors or no example.

    Raises
    ------
    UserError
        As `load_served`.
    """
    with fetching_folder() as temporary:
        logged, folder = _fetched(uri, Path(temporary))
        return read_model(folder), [decode_sent(image) for image in read_example(logged)]


def image_heads(model: Model, uri: str, names: str) -> tuple[Head, ...]:
    """The heads of those names, as `named_heads`, of a model of images.

    Raises
    ------
    UserError
        For a model of vectors, and an unknown or repeated name.
    """
    if not model.takes_images:
        raise UserError(f"model {uri} scores vectors: name one of images")
    try:
        return named_heads(model, names)
    except ValueError as error:
        raise UserError(str(error)) from None


def _fetched(uri: str, temporary: Path) -> tuple[Path, Path]:
    """Fetch a logged model; its folder, and the one inside that has the heads."""
    logged = download_model(uri, temporary)
    descriptions = list(logged.glob(f"artifacts/*/{DESCRIPTION}"))
    if not descriptions:
        raise UserError(f"model {uri} has no heads: name one that benchmark, hybrid or register made")
    return logged, descriptions[0].parent
