"""Makes the tags that say what a run ran on: versions, commit and hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from fanogan_mtl import __version__

PACKAGES = ("mlflow", "numpy", "pyod", "scikit-learn", "torch")


def environment_tags(device: str) -> dict[str, str]:
    """Tags that every run of a sweep gets.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
    """
    import torch

    cuda = device != "cpu" and torch.cuda.is_available()
    tags = {f"version.{name}": version(name) for name in PACKAGES}
    tags |= {"version.python": platform.python_version(), "version.fanogan-mtl": __version__}
    tags |= {"device": torch.cuda.get_device_name() if cuda else "cpu", "processor": _processor()}
    tags["cores"] = str(os.cpu_count())
    if commit := _git("rev-parse", "HEAD"):
        changed = "+changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
        tags["mlflow.source.git.commit"] = commit
        tags["git_state"] = commit[:12] + changed
    return tags


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str:
    """Ask git about the folder that this package lies in; empty where it is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
