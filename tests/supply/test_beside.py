"""Extractors that are trained while something else runs."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fanogan_mtl.supply.extractors import training_beside


class Gone:
    """Workers that an interruption has ended."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @property
    def near(self) -> Gone:
        return self

    def run(self, _: object, items: list[Any]) -> None:
        self.asked += items
        raise AttributeError("'NoneType' object has no attribute 'ncores'")


def test_workers_that_go_meanwhile_leave_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    execution, workers, before = SimpleNamespace(data_dir=tmp_path, device="cpu"), Gone(), threading.enumerate()
    wanted: list[Any] = [SimpleNamespace(key="one"), SimpleNamespace(key="another")]
    with training_beside(wanted, execution, workers):  # type: ignore[arg-type]
        for thread in set(threading.enumerate()) - set(before):
            thread.join()
    assert workers.asked == wanted
    assert printed == []
