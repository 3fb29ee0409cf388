"""Dies at a named point of a process: Python imports this at its start where `bench.crashes` puts it on the path.

`CRASH_POINT=NAME:PASSES` kills the process at the end of so many passes through a point; `CRASH_CLOCK=SECONDS:AFTER`
sets its clock forward by so many seconds after so many. A process takes both out of its environment: its children live.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

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
    "after delete run": ("mlflow.tracking.client", "MlflowClient.delete_run", "after"),
    "after an artifact": ("mlflow.store.artifact.local_artifact_repo", "LocalArtifactRepository.log_artifact", "after"),
    "between journal and MLflow": ("fanogan_mtl.tracking.journal", "Journal.add", "after"),
    "between MLflow and journal": ("fanogan_mtl.tracking.journal", "Journal.sent", "before"),
    "before a journal's end": ("fanogan_mtl.tracking.journal", "Journal.close", "before"),
    "after create logged model": ("mlflow.tracking.client", "MlflowClient.create_logged_model", "after"),
    "after finalize logged model": ("mlflow.tracking.client", "MlflowClient.finalize_logged_model", "after"),
    "after create registered model": ("mlflow.tracking.client", "MlflowClient.create_registered_model", "after"),
    "after create model version": ("mlflow.tracking.client", "MlflowClient._create_model_version", "after"),
    "after set alias": ("mlflow.tracking.client", "MlflowClient.set_registered_model_alias", "after"),
}
"""Name to module, attribute, and on which side of its call the process dies."""


def die_at(module: object, attribute: str, side: str, passes: int) -> None:
    """Make a module's function or method kill the process at its so-manieth call."""
    *owners, name = attribute.split(".")
    owner = module
    for each in owners:
        owner = getattr(owner, each)
    function, left = getattr(owner, name), passes

    @wraps(function)
    def deadly(*arguments: object, **options: object) -> object:
        nonlocal left
        left -= 1
        if side == "before" and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


class Patching(MetaPathFinder):
    """Patches a module when it is imported."""

    def __init__(self, module: str, attribute: str, side: str, passes: int) -> None:
        self.module, self.how = module, (attribute, side, passes)

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
            die_at(module, *self.how)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec


if point := os.environ.pop("CRASH_POINT", ""):
    name, _, passes = point.rpartition(":")
    module, attribute, side = POINTS[name]
    if module in sys.modules:
        die_at(sys.modules[module], attribute, side, int(passes))
    else:
        sys.meta_path.insert(0, Patching(module, attribute, side, int(passes)))

if jump := os.environ.pop("CRASH_CLOCK", ""):
    seconds, after = map(float, jump.split(":"))
    real, jumps_at = time.time, time.monotonic() + after
    time.time = lambda: real() + (seconds if time.monotonic() > jumps_at else 0.0)
