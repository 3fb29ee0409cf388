from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from project_runs import environment, furnish, uri

from fanogan_mtl.tracking.connection import Tracking, connect


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    furnish(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(uri(tmp_path))
    return connect()
