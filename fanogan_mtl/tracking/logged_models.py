"""Models in MLflow: a folder of heads, or an extractor, as a pyfunc model under a run."""

from __future__ import annotations

import math
import warnings
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.tracking import names
from fanogan_mtl.tracking.connection import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

REQUIREMENTS = (
    "mlflow-skinny", "numpy", "onnxruntime", "pandas", "pillow", "pyod", "safetensors", "scikit-learn", "scipy",
    "skops", "threadpoolctl",
)  # fmt: skip
"""What every model needs to be served. MLflow's small package serves; the whole one is for stores and pages."""

LARGEST_EXAMPLE = 2**20  # values: MLflow writes them as JSON, by way of lists of numbers


@dataclass(frozen=True)
class ModelMetric:
    """A metric of a model on one data set, which the model's page shows beside it; see `names.dataset_key`."""

    name: str
    value: float
    dataset: str
    digest: str


@dataclass(frozen=True)
class ModelFacts:
    """What a model's page shows.

    Attributes
    ----------
    name : str
    text : str
        Its description, Markdown.
    parameters : mapping
    metrics : sequence of ModelMetric
    packages : tuple of str
        What it needs to be installed beside `REQUIREMENTS`.
    """

    name: str = "model"
    text: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[ModelMetric] = ()
    packages: tuple[str, ...] = ()


def log_model(tracking: Tracking, run_id: str, folder: Path, example: NDArray[Any], facts: ModelFacts) -> str:
    """Log a model folder (see `fanogan_mtl.serving.heads`) under a run; give the model's URI.

    Parameters
    ----------
    example : array of shape (n, height, width[, 3]), uint8, or (n, d), float32
        Images or vectors.
    """
    is_images = example.ndim > 2
    signature = _signature(None if is_images else example.shape[1])
    shown = _png_column(example) if is_images else example
    uri = _log(run_id, facts.name, "pyfunc.py", {"model": str(folder)}, shown, signature, facts)
    add_metrics(tracking, run_id, uri, facts.metrics)
    return uri


def add_metrics(tracking: Tracking, run_id: str, uri: str, metrics: Sequence[ModelMetric]) -> None:
    """Log those metrics of a logged model, under the run that it was logged under, that it does not have yet."""
    model_id = uri.rpartition("/")[2]
    had = {(each.key, each.dataset_name) for each in tracking.client.get_logged_model(model_id).metrics or ()}
    for metric in metrics:
        if (f"model_{metric.name}", metric.dataset) not in had:
            tracking.client.log_metric(
                run_id,
                f"model_{metric.name}",
                metric.value,
                dataset_name=metric.dataset,
                dataset_digest=metric.digest,
                model_id=model_id,
            )


def log_extractor(
    tracking: Tracking,
    run_id: str,
    name: str,
    folder: Path,
    shape: tuple[int, ...],
    width: int,
    packages: tuple[str, ...] = (),
) -> str:
    """Log an extractor's folder (see `fanogan_mtl.extractors.persistence`) as a model under a run; give its URI.

    Parameters
    ----------
    shape : of an image as the extractor takes it; there is an example unless it is large
    width : number of features
    packages : what it needs to be installed beside `REQUIREMENTS`
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = Schema([TensorSpec(np.dtype(np.uint8), (-1, *shape))])
    outputs = Schema([TensorSpec(np.dtype(np.float32), (-1, width))])
    signature = ModelSignature(inputs=inputs, outputs=outputs)
    facts = ModelFacts(packages=packages)
    example = np.zeros((1, *shape), np.uint8) if math.prod(shape) <= LARGEST_EXAMPLE else None
    return _log(run_id, name, "extractor_pyfunc.py", {"extractor": str(folder)}, example, signature, facts)


def check_name(tracking: Tracking, name: str) -> None:
    """Raise `UserError` for a registered model's name that breaks a rule of MLflow's or of its addresses."""
    from mlflow.exceptions import MlflowException

    if len(name) > names.REGISTERED or names.text(name, names.REGISTERED) != name or set(name) & set("@?"):
        shown = names.text(name, 60)
        raise UserError(
            f"name {shown!r}: at most {names.REGISTERED} letters, none of them '/', ':', '?' or '@', please"
        )
    try:
        tracking.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise UserError(f"name {name!r}: {one_line(error)}") from None


def find_version(tracking: Tracking, name: str, key: str) -> ModelVersion | None:
    """The version of a registered model that has this `model_key`, if there is one."""
    versions = tracking.client.search_model_versions(f"tags.model_key = '{key}'")  # names may hold quotes
    return next((each for each in versions if each.name == name), None)


def register_model(tracking: Tracking, uri: str, name: str, alias: str, key: str, text: str) -> tuple[str, bool]:
    """Make a logged model a version of a registered one, and give it an alias; completes what an interrupted call left.

    Parameters
    ----------
    key : str
        What the model is made of: a version of the same key is the same model.
    text : str
        The version's description; what is too long for it stays in the logged model's.

    Returns
    -------
    version : str
    is_new : bool
    """
    import mlflow

    found = find_version(tracking, name, key)
    made = found or mlflow.register_model(uri, name, tags={"model_key": key})
    version = str(made.version)
    if not made.description:  # new, or left by who died before this
        tracking.client.update_model_version(name, version, names.text(text, names.DESCRIPTION))
    tracking.client.set_registered_model_alias(name, alias, version)
    return version, found is None


def download_model(uri: str, folder: Path) -> Path:
    """Fetch a logged model's files into a folder.

    Raises
    ------
    UserError
        If there is no such model, or its files are gone.
    """
    import mlflow

    if ":" not in uri and not Path(uri).exists():
        raise UserError(f"model {uri!r}: give its address, as models:/NAME/VERSION or models:/NAME@ALIAS")
    try:
        fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except Exception as error:  # each kind of store fails in ways of its own
        raise UserError(f"model {uri} can't be fetched ({one_line(error)})") from None
    if not (fetched / "MLmodel").exists():  # MLflow takes a folder that isn't there for an empty one
        raise UserError(f"model {uri} is known, but its files are gone from the artifact store: put them back")
    return fetched


def read_example(folder: Path) -> list[str]:
    """The images of a fetched model's example, in base64; none where it is of vectors, or there is none."""
    from mlflow.models import Model

    example: Any = Model.load(str(folder)).load_input_example(str(folder))
    return list(example["image"]) if hasattr(example, "columns") else []


def _signature(width: int | None) -> ModelSignature:
    """The signature of a model of images (its column takes text and nested lists alike), or of vectors of a width."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    if width is None:
        inputs = Schema([ColSpec(AnyType(), "image")])  # type: ignore[no-untyped-call]
    else:
        inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, width))])
    numbers = ("score", "threshold", "p_value", "probability")
    columns = {"image": "long", "head": "string"} | dict.fromkeys(numbers, "double")
    outputs: list[ColSpec | TensorSpec] = [ColSpec(kind, name) for name, kind in columns.items()]
    outputs.append(ColSpec("boolean", "is_anomaly"))
    of_maps = dict.fromkeys(("heat_map", "overlay", "anomaly_map"), "string")
    of_maps |= dict.fromkeys(("anomaly_map_max", "anomaly_map_threshold"), "double")
    outputs += [ColSpec(kind, name, required=False) for name, kind in of_maps.items()]
    outputs.append(ColSpec(AnyType(), "boxes", required=False))  # type: ignore[no-untyped-call]
    parameters = [
        ParamSpec("heads", "string", "all"),
        ParamSpec("false_alarm_rate", "double", None),
        ParamSpec("threshold", "double", None),
        ParamSpec("explain", "boolean", False),
    ]
    return ModelSignature(inputs=inputs, outputs=Schema(outputs), params=ParamSchema(parameters))


def _png_column(images: NDArray[np.uint8]) -> Any:
    from pandas import DataFrame
    from PIL import Image

    texts = []
    for image in images:
        file = BytesIO()
        Image.fromarray(image).save(file, "PNG")
        texts.append(b64encode(file.getvalue()).decode("ascii"))
    return DataFrame({"image": texts})


def _log(
    run_id: str,
    name: str,
    code: str,
    artifacts: dict[str, str],
    example: Any,
    signature: ModelSignature,
    facts: ModelFacts,
) -> str:
    import mlflow

    import fanogan_mtl

    package, needed = Path(fanogan_mtl.__file__).parent, (*REQUIREMENTS, *facts.packages)
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input example was not provided")  # on purpose, where it is large
        logged = mlflow.pyfunc.log_model(
            name=names.model_name(name),
            python_model=str(package / "serving" / code),
            artifacts=artifacts,
            code_paths=[str(package)],
            pip_requirements=[f"{each}=={version(each).partition('+')[0]}" for each in needed],
            signature=signature,
            input_example=example,
            params={names.key(each): names.text(value, names.PARAMETER) for each, value in facts.parameters.items()},
            tags={"mlflow.note.content": names.text(facts.text, names.PAGE)} if facts.text else None,
        )
    return str(logged.model_uri)
