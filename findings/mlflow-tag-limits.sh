#!/bin/bash
# MLflow 3.17.2: one tag, three limits.
# One would guess that a run's tag of 9,000 letters is treated alike however it is sent.
# set_tag and log_batch cut it to 8,000 letters (with a warning), create_run stores all 9,000 on SQLite; a database that
# keeps the column's length (String(8000)), as PostgreSQL, refuses that one: "value too long for type character varying".
# The description of a model version has a column of 5,000 letters, and no check at all.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q mlflow==3.17.2
cd "$T"
MLFLOW_TRACKING_URI=sqlite:///$T/mlflow.db "$T/venv/bin/python" - <<'P'
import logging
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
import mlflow

for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.ERROR)
client, text = mlflow.MlflowClient(), "a" * 9000
by_create = client.create_run("0", tags={"note": text}).info.run_id
by_set = client.create_run("0").info.run_id
client.set_tag(by_set, "note", text)
client.create_registered_model("model")
made = client.create_model_version("model", "/some/where", description=text)
lengths = {
    "create_run": len(client.get_run(by_create).data.tags["note"]),
    "set_tag": len(client.get_run(by_set).data.tags["note"]),
    "description": len(client.get_model_version("model", made.version).description),
}
print("mlflow", version("mlflow"), lengths)
assert lengths == {"create_run": 9000, "set_tag": 8000, "description": 9000}, "the behaviour has changed"
P
# Output seen: mlflow 3.17.2 {'create_run': 9000, 'set_tag': 8000, 'description': 9000}
