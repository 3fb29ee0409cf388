#!/bin/bash
# MLflow 3.17.2: a registered model whose name has a question mark.
# One would guess that a name that the registry takes can be addressed, as it refuses those that can't be ('/' and ':').
# The registry takes the name and gives versions of it, but an address models:/NAME/VERSION is read as a URL and ends at
# the question mark: what is before it is looked for as the id of a logged model. So such a model can't be loaded or
# served by its name. Other signs that mean something in a URL ('#', ';', '%', a space) do no harm.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q mlflow==3.17.2
cd "$T"
"$T/venv/bin/python" -W ignore - <<'P'
import logging
from importlib.metadata import version

import mlflow

for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.ERROR)
mlflow.set_tracking_uri("sqlite:///mlflow.db")


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]):
        return model_input


with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(name="echo", python_model=Echo(), pip_requirements=["mlflow"])
found = {}
for name in ("parts", "parts#2", "parts;2", "parts%2", "parts 2", "parts?2"):
    made = mlflow.register_model(logged.model_uri, name)
    try:
        mlflow.pyfunc.load_model(f"models:/{name}/{made.version}")
        found[name] = "loaded"
    except mlflow.MlflowException as error:
        found[name] = str(error)
print("mlflow", version("mlflow"), found)
odd = found.pop("parts?2")
assert set(found.values()) == {"loaded"}, "the behaviour has changed"
assert "Logged model with ID 'parts' not found" in odd, "the behaviour has changed"
P
# Output seen: mlflow 3.17.2 {'parts': 'loaded', 'parts#2': 'loaded', 'parts;2': 'loaded', 'parts%2': 'loaded',
# 'parts 2': 'loaded', 'parts?2': "Logged model with ID 'parts' not found."}
