"""One thin script an entry of `MLproject`; run as modules, so that the working copy is what runs."""

import sys
from importlib.util import find_spec

_missing = [
    name
    for name in ("click", "mlflow", "torch", "torchvision", "pyod", "sklearn", "distributed")
    if not find_spec(name)
]
if _missing:
    sys.exit(
        f"Error: {sys.executable} lacks {', '.join(_missing)}: activate the environment in which you ran"
        " `pip install .`, or run with `--env-manager uv`"
    )
