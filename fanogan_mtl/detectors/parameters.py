"""What a detector's constructor takes, and how the line of an error names what was given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from reprlib import repr as shortened
from typing import Any

SET_BY_A_RUN = ("device", "random_state")


def signature(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """Parameters of a class's constructor, in its order."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self
    return {parameter.name: parameter for parameter in parameters}


def told(params: Mapping[str, Any], cls: type[Any]) -> str:
    """End of an error's line: the parameters that are not a class's defaults; empty where there is none."""
    known = signature(cls)
    given = [
        f"{key}={' '.join(shortened(value).split())}"
        for key, value in params.items()
        if key not in SET_BY_A_RUN and repr(value) != repr(known[key].default)
    ]
    return f" (with {', '.join(given)})" if given else ""
