"""The MLflow model of an extractor, stored as this code: `predict` takes images and gives features.

MLflow runs this file when it loads the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors.persistence import load_features


class ExtractorModel(PythonModel):
    """An extractor: images as its `input_spec` says, uint8, to features (n, d), float32."""

    def load_context(self, context: Any) -> None:
        """Load the extractor."""
        self.extractor = load_features(Path(context.artifacts["extractor"]))

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,  # MLflow warns of any other hint
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Make the features of images."""
        with one_thread(with_torch=False):
            return self.extractor.transform(np.asarray(model_input, dtype=np.uint8))


set_model(ExtractorModel())
