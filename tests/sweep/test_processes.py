import os
import subprocess
import sys
from pathlib import Path

import pytest

from fanogan_mtl.sweep.processes import ENVIRONMENT, IMPORTED, prepare_processes
from fanogan_mtl.sweep.workers import Workers


def look(name: str) -> str | None:
    """What the process that workers are forked from began with: the C library looks only then."""
    begun_with = Path(f"/proc/{os.getppid()}/environ").read_text().split("\0")
    return dict(each.split("=", 1) for each in begun_with if each).get(name)


def birth(_: int) -> tuple[int, int, bool]:
    """Own process, its parent, and whether what trains was imported before the first task."""
    return os.getpid(), os.getppid(), {"fanogan_mtl.sweep.head", "torch._dynamo"} <= sys.modules.keys()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system doesn't tell a process' environment")
def test_the_environment_of_workers_is_not_that_of_the_process_that_starts_them() -> None:
    before = dict(os.environ)
    prepare_processes()
    assert dict(os.environ) == before
    with Workers(1) as workers:
        seen = {outcome.item: outcome.result for outcome in workers.run(look, list(ENVIRONMENT))}
    assert seen == ENVIRONMENT


def test_workers_come_from_one_process_that_has_imported_what_they_need() -> None:
    with Workers(2) as workers:
        seen = [outcome.result for outcome in workers.run(birth, range(8))]
    own, parents, imported = map(set, zip(*(each for each in seen if each), strict=True))
    assert len(seen) == 8
    assert len(parents) == 1
    assert os.getpid() not in parents | own
    assert imported == {True}


def test_what_is_imported_before_the_fork_asks_for_no_gpu() -> None:
    code = f"""
from importlib import import_module
import torch
asked = []
torch.cuda.is_available = torch.cuda.device_count = torch._C._cuda_getDeviceCount = lambda: asked.append(1) or 0
for name in {IMPORTED}:
    import_module(name)
print(len(asked))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=800)
    assert done.stdout == "0\n", done.stderr  # CUDA that is begun before a fork can't be used after it


def test_a_folder_of_temporary_files_with_too_long_a_name_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    code = "from fanogan_mtl.sweep.processes import prepare_processes; prepare_processes()"
    environment = {**os.environ, "TMPDIR": str(folder)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("fanogan_mtl.errors.UserError: the name of the folder of temp")
    assert str(folder) in ended.stderr
