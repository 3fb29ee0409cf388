"""Models in MLflow: a folder of detectors as a pyfunc model under a run."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.tracking.connection import Tracking

REQUIREMENTS = (
    "mlflow", "numpy", "pandas", "pyod", "safetensors", "scikit-learn", "scipy", "skops", "threadpoolctl", "torch",
    "torchvision",
)  # fmt: skip


def log_model(tracking: Tracking, run_id: str, folder: Path, example: NDArray[np.uint8]) -> str:
    """Log a model folder (see `fanogan_mtl.serving.heads`) under a run; give the model's URI.

    Parameters
    ----------
    example : array of shape (n, height, width[, 3]), uint8
        Images as the model takes them.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    import fanogan_mtl

    package = Path(fanogan_mtl.__file__).parent
    shape = (-1, *example.shape[1:])
    columns = {"image": "long", "head": "string", "score": "double", "threshold": "double", "is_anomaly": "boolean"}
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), shape)]),
        outputs=Schema([ColSpec(kind, name) for name, kind in columns.items()]),
    )
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "serving" / "pyfunc.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS],
            signature=signature,
            input_example=example,
        )
    return str(logged.model_uri)
