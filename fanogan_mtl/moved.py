"""Addresses that modules had before they moved. An import by one gives the module at its new address, and warns."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

IMAGES = ("decode", "formats", "image_error", "jpeg", "levels", "other_files", "png", "tags", "tiff")
SOURCES = (
    "adbench", "archive", "class_names", "folder", "layout", "left_out", "npz", "published", "samples",
    "streetdigits", "tree",
)  # fmt: skip
MOVED = {
    **{f"fanogan_mtl.data.{name}": f"fanogan_mtl.data.images.{name}" for name in IMAGES},
    **{f"fanogan_mtl.data.{name}": f"fanogan_mtl.data.sources.{name}" for name in SOURCES},
    "fanogan_mtl.extractors.feature_graph": "fanogan_mtl.extractors.graphs.feature_graph",
    "fanogan_mtl.workflows.image_list": "fanogan_mtl.scores.images",
}
"""Old address -> new one."""


class MovedModules:
    """Finds and loads modules by their old addresses; for `sys.meta_path`, after all that find files."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say that this loads a module that has moved, and nothing of any other."""
        return ModuleSpec(name, self) if name in MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system to make an empty module, which is replaced at once."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module at the new address in the place of the empty one."""
        name = module.__name__
        warnings.warn(f"{name} has moved: import {MOVED[name]}", FutureWarning, stacklevel=2)
        sys.modules[name] = import_module(MOVED[name])
