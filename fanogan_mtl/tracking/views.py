"""A saved view of the MLflow UI: a sweep's comparisons, best mean AUROC first, in the columns that matter."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fanogan_mtl.tracking.connection import Tracking

_GROUPING = ("dataset", "extractor", "protocol", "detector", "setting")  # parameters
LOCAL_SERVER = "http://127.0.0.1:5000"  # where `mlflow ui` listens


def save_view(tracking: Tracking, sweep_id: str, metrics: Sequence[str]) -> str:
    """Save the view in the experiment, as the UI's own *Share view* does; give its address.

    Parameters
    ----------
    metrics : sequence of str
        Names of the metrics that get a column.
    """
    state = {
        "searchFilter": f"tags.sweeps LIKE '%{sweep_id}%'",
        "orderByKey": "metrics.`auroc`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            "attributes.`Models`",
            *(f"params.`{name}`" for name in _GROUPING),
            *(f"metrics.`{name}`" for name in metrics),
            "tags.`marks`",
        ],
    }
    tracking.client.set_experiment_tag(tracking.experiment_id, f"mlflow.sharedViewState.{sweep_id}", json.dumps(state))
    server = tracking.shown.rstrip("/") if is_server(tracking) else LOCAL_SERVER
    query = f"workflowType=machine_learning&viewStateShareKey={sweep_id}"
    return f"{server}/#/experiments/{tracking.experiment_id}/runs?{query}"


def is_server(tracking: Tracking) -> bool:
    """Tell whether runs go to a server, which has its UI, or to a database or folder, which needs `mlflow ui`."""
    return tracking.uri.startswith("http")
