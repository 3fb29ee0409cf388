import os
import sys

from fanogan_mtl.sweep.processes import ENVIRONMENT, prepare_processes
from fanogan_mtl.sweep.run import Workers


def look(name: str) -> str | None:
    return os.environ.get(name)


def birth(_: int) -> tuple[int, int, bool]:
    """Own process, its parent, and whether what trains was imported before the first task."""
    return os.getpid(), os.getppid(), {"fanogan_mtl.sweep.head", "torch._dynamo"} <= sys.modules.keys()


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
