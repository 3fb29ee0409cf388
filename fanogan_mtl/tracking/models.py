"""Models in MLflow: a folder of detectors as a pyfunc model under a run."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking.connection import Tracking

if TYPE_CHECKING:
    from mlflow.types import Schema

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
    from mlflow.types import ColSpec, Schema

    columns = {"image": "long", "head": "string", "score": "double", "threshold": "double", "is_anomaly": "boolean"}
    outputs = Schema([ColSpec(kind, name) for name, kind in columns.items()])
    return _log(run_id, "model", "pyfunc.py", {"model": str(folder)}, example, outputs)


def log_extractor(
    tracking: Tracking, run_id: str, name: str, folder: Path, example: NDArray[np.uint8], width: int
) -> str:
    """Log an extractor's folder (see `fanogan_mtl.extractors.persistence`) as a model under a run; give its URI.

    Parameters
    ----------
    example : uint8 array of images as the extractor takes them
    width : number of features
    """
    from mlflow.types import Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype(np.float32), (-1, width))])
    return _log(run_id, name, "extractor_pyfunc.py", {"extractor": str(folder)}, example, outputs)


def download_model(uri: str, folder: Path) -> Path:
    """Fetch a logged model's files into a folder.

    Raises
    ------
    UserError
        If there is no such model.
    """
    import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except Exception as error:  # each kind of store fails in ways of its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"model {uri} can't be fetched ({reason})") from None


def _log(
    run_id: str, name: str, code: str, artifacts: dict[str, str], example: NDArray[np.uint8], outputs: Schema
) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    import fanogan_mtl

    package = Path(fanogan_mtl.__file__).parent
    inputs = Schema([TensorSpec(np.dtype(example.dtype), (-1, *example.shape[1:]))])
    signature = ModelSignature(inputs=inputs, outputs=outputs)
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(package / "serving" / code),
            artifacts=artifacts,
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS],
            signature=signature,
            input_example=example,
        )
    return str(logged.model_uri)
