"""The MLflow model, stored as this code: `predict` takes images and gives each head's score.

MLflow runs this file when it loads the model.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.serving.heads import read_model
from fanogan_mtl.serving.requests import answer, warm_up


class DetectorModel(PythonModel):
    """All heads of a model; see `fanogan_mtl.serving.requests.answer` for what it takes and gives."""

    def load_context(self, context: Any) -> None:
        """Load the heads, and score an image: what is imported and made on the way, no request has to wait for."""
        self.model = read_model(Path(context.artifacts["model"]))
        with one_thread(with_torch=False):
            warm_up(self.model)
        self.lock = Lock()  # the number of threads is the process's: two requests at once would change each other's

    def predict(
        self,
        context: Any,
        model_input: pd.DataFrame,  # MLflow warns of any other hint
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Score images by the chosen heads."""
        with self.lock, one_thread(with_torch=False):
            return answer(self.model, model_input, params or {})


set_model(DetectorModel())
