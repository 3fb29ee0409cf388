"""The MLflow model, stored as this code: `predict` takes images and gives each head's score.

MLflow runs this file when it loads the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.serving.heads import read_model, score


class DetectorModel(PythonModel):
    """All heads of a comparison.

    The input is an array of images as the data set has them, shape (n, height, width[, 3]), uint8; the output a table
    with one row for each image and head: `image` (its position), `head`, `score`, `threshold`, `is_anomaly`.
    """

    def load_context(self, context: Any) -> None:
        """Load the detectors."""
        self.model = read_model(Path(context.artifacts["model"]))

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,  # MLflow warns of any other hint
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Score images by every head."""
        with one_thread():
            images = np.asarray(model_input)
            tables = []
            for spec, scores, threshold in score(self.model, images):
                table = {"image": np.arange(len(images)), "head": spec.name, "score": scores}
                table |= {"threshold": threshold, "is_anomaly": scores > threshold}
                tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)


set_model(DetectorModel())
