"""Dies at a named point of a process: Python imports this at its start where `bench.crashes` puts it on the path.

`CRASH_POINT=NAME:PASSES` kills the process at the so-manieth pass through a point; `CRASH_COUNT=FILE` has it write how
often it passed through each; it takes both out of its environment: its children live. `CRASH_CLOCK=SECONDS:MOMENT` sets
its clock and those of its children forward by so many seconds at a moment of the monotonic clock, which all share.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from itertools import count
from pathlib import Path

POINTS = {
    "after fsync": ("os", "fsync", "after"),
    "before rename": ("os", "rename", "before"),
    "after rename": ("os", "rename", "after"),
    "before replace": ("os", "replace", "before"),
    "after replace": ("os", "replace", "after"),
    "after link": ("os", "link", "after"),
    "inside a migration": ("alembic.runtime.migration", "HeadMaintainer.update_to_step", "before"),
    "between create run and log batch": ("mlflow.tracking.client", "MlflowClient.create_run", "after"),
    "after log batch": ("mlflow.tracking.client", "MlflowClient.log_batch", "after"),
    "after log inputs": ("mlflow.tracking.client", "MlflowClient.log_inputs", "after"),
    "before a run's end": ("mlflow.tracking.client", "MlflowClient.set_terminated", "before"),
    "after a run's end": ("mlflow.tracking.client", "MlflowClient.set_terminated", "after"),
    "after an artifact": ("mlflow.store.artifact.local_artifact_repo", "LocalArtifactRepository.log_artifact", "after"),
    "between journal and MLflow": ("fanogan_mtl.tracking.journal", "Journal.add", "after"),
    "between MLflow and journal": ("fanogan_mtl.tracking.journal", "Journal.sent", "before"),
    "before a journal's end": ("fanogan_mtl.tracking.journal", "Journal.close", "before"),
    "after finalize logged model": ("mlflow.tracking.client", "MlflowClient.finalize_logged_model", "after"),
    "after create registered model": ("mlflow.tracking.client", "MlflowClient.create_registered_model", "after"),
    "after create model version": ("mlflow.tracking.client", "MlflowClient._create_model_version", "after"),
    "after set alias": ("mlflow.tracking.client", "MlflowClient.set_registered_model_alias", "after"),
}
"""Name to module, attribute, and on which side of its call the process dies."""


def patch(module: object, name: str, pass_through: Callable[[str], None]) -> None:
    """Call a function at every pass through a point of a module that has been imported."""
    _, attribute, side = POINTS[name]
    *owners, last = attribute.split(".")
    owner = module
    for each in owners:
        owner = getattr(owner, each)
    function = getattr(owner, last)

    @wraps(function)
    def patched(*arguments: object, **options: object) -> object:
        if side == "before":
            pass_through(name)
        result = function(*arguments, **options)
        if side == "after":
            pass_through(name)
        return result

    setattr(owner, last, patched)


class Patching(MetaPathFinder):
    """Patches a module when it is imported."""

    def __init__(self, module: str, names: list[str], pass_through: Callable[[str], None]) -> None:
        self.module, self.names, self.pass_through = module, names, pass_through

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """Find the module as without this, and patch it once it is executed."""
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_patch(module: object) -> None:
            execute(module)  # type: ignore[arg-type]
            for each in self.names:
                patch(module, each, self.pass_through)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec


def watch(names: Iterable[str], pass_through: Callable[[str], None]) -> None:
    """Call a function at every pass through these points, also of modules that are imported later."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(POINTS[name][0], []).append(name)
    for module, own in by_module.items():
        if module in sys.modules:
            for name in own:
                patch(sys.modules[module], name, pass_through)
        else:
            sys.meta_path.insert(0, Patching(module, own, pass_through))


def die_after(passes: int) -> Callable[[str], None]:
    """Kill the process at the so-manieth pass."""
    passed = count(1)

    def pass_through(_: str) -> None:
        if next(passed) == passes:
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_through


def arm() -> None:
    """Do what the environment says."""
    if point := os.environ.pop("CRASH_POINT", ""):
        name, _, passes = point.rpartition(":")
        watch([name], die_after(int(passes)))
    if file := os.environ.pop("CRASH_COUNT", ""):
        counts = Counter[str]()
        watch(POINTS, lambda name: counts.update([name]))
        atexit.register(lambda: Path(file).write_text(json.dumps(counts)))
    if jump := os.environ.get("CRASH_CLOCK", ""):
        Clock.forward, Clock.moment = map(float, jump.split(":"))


class Clock:
    """`time.time`, which may be set forward, also for modules that have imported the function already."""

    forward, moment, real = 0.0, float("inf"), time.time

    @classmethod
    def time(cls) -> float:
        """Seconds since 1970."""
        return cls.real() + (cls.forward if time.monotonic() > cls.moment else 0.0)


time.time = Clock.time

arm()
