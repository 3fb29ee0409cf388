"""Making a model: what is left where one of its heads fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fanogan_mtl.supply import models
from fanogan_mtl.sweep.workers import Failure, Outcome


class TwoAhead:
    """Workers of which the first fails at its first head, while another head is being made."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def run(self, function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Outcome[Any, Any]]:
        rest = iter(items)
        begun = list(islice(rest, 2))
        while begun:
            item = begun.pop(0)
            begun += islice(rest, 1)
            self.taken.append(item)
            if len(self.taken) == 1:
                yield Outcome(item, None, Failure("full", "", OSError("no space left")), ())
            else:
                item.folder.mkdir(parents=True)
                yield Outcome(item, SimpleNamespace(), None, ())


def test_a_head_that_fails_waits_for_those_being_made_and_begins_no_other(tmp_path: Path) -> None:
    comparison = SimpleNamespace(label="pca", dataset=SimpleNamespace(name="digits"))
    cell = SimpleNamespace(comparison=comparison, normal_class="0", seed=0)
    heads: Any = [SimpleNamespace(cell=cell, budget=20, scores=np.zeros(1)) for _ in range(10)]
    execution: Any = SimpleNamespace(kept_models=None, data_dir=tmp_path, device="cpu")
    workers: Any = TwoAhead()
    with pytest.raises(OSError, match="no space left"):
        models._make_heads(heads, tmp_path, execution, workers, None)
    assert 2 <= len(workers.taken) <= 3  # those on the way when it failed; nobody writes afterwards
