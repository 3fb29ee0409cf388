"""The connection to MLflow: which server, which experiment, and the run that `mlflow run` gave us."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanogan_mtl.errors import UserError, one_line, without_password
from fanogan_mtl.tracking.database import prepare_database
from fanogan_mtl.variables import variables_set

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@dataclass(frozen=True)
class Tracking:
    """Where runs are written.

    Attributes
    ----------
    client : mlflow.tracking.MlflowClient
    uri : str
    experiment_id : str
    adopted_run_id : str or None
        The run that `mlflow run` made for this process: it becomes the entry's own.
    parent_run_id : str or None
        The run that entries' runs are steps of.
    """

    client: MlflowClient
    uri: str
    experiment_id: str
    adopted_run_id: str | None
    parent_run_id: str | None = None

    @property
    def shown(self) -> str:
        """The `uri` as people and logs may see it."""
        return without_password(self.uri)


def connect() -> Tracking:
    """Connect as the environment says, and check that the server answers.

    `MLFLOW_RUN_ID` is taken out of the environment: left there, MLflow would give it to every run we make.

    Raises
    ------
    UserError
        If the tracking server can't be reached, or doesn't know the experiment.
    """
    import mlflow

    os.environ |= {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for twice in ("mlflow.store.db.utils", "sqlalchemy.pool"):  # they print tracebacks of what they raise as well
        logging.getLogger(twice).setLevel(logging.CRITICAL)
    run_id = os.environ.pop("MLFLOW_RUN_ID", None)
    uri = mlflow.get_tracking_uri()
    try:
        prepare_database(uri)
        with variables_set(IMPATIENT):  # MLflow's client's own patience is minutes
            client = mlflow.MlflowClient()
            experiment_id = client.get_run(run_id).info.experiment_id if run_id else _experiment_id(client)
            if client.get_experiment(experiment_id).lifecycle_stage != "active":
                raise UserError(
                    f"experiment {experiment_id} of {without_password(uri)} is deleted: restore it, or choose another"
                )
    except UserError:
        raise
    except Exception as error:  # each kind of store fails in ways of its own
        where = without_password(uri)
        raise UserError(
            f"the tracking server {where} can't be used ({one_line(error)}): check MLFLOW_TRACKING_URI"
        ) from None
    return Tracking(client, uri, experiment_id, run_id)


def _experiment_id(client: MlflowClient) -> str:
    """Find the experiment that the environment names as MLflow does, or make it."""
    if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return experiment_id
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
    if client.get_experiment_by_name(name) is None:
        try:
            client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process has just made it
                raise
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return str(experiment.experiment_id)
