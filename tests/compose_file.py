"""Read docker/compose.yaml as Docker does: merged, and with variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from project_runs import ROOT

PATH = ROOT / "docker" / "compose.yaml"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class MissingVariable(Exception):
    pass


def services() -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = yaml.safe_load(PATH.read_text())["services"]
    return merged


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill in variables wherever there are any."""
    if isinstance(value, dict):
        return {name: filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, variables) for each in value]
    return VARIABLE.sub(lambda match: _value(match, variables), value) if isinstance(value, str) else value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, how, otherwise = match.groups()
    if variables.get(name):
        return variables[name]
    if how == "-":
        return otherwise
    raise MissingVariable(otherwise or name)


def example_variables() -> dict[str, str]:
    """Names in docker/.env.example, each with its value there; those in comments too."""
    lines = (ROOT / "docker" / ".env.example").read_text().splitlines()
    return dict(re.findall(r"^(?:# )?([A-Z0-9_]+)=(\S*)", "\n".join(lines), flags=re.MULTILINE))
