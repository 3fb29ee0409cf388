#!/bin/bash
# MLflow 3.17.2: downloading a model whose files are gone from the artifact store.
# One would guess that an error says so, as for a single file that isn't there.
# download_artifacts gives an empty folder and raises nothing, for models:/NAME/VERSION and for the logged model's own
# address alike; who loads it next is told that the folder holds no model.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q mlflow==3.17.2
cd "$T"
"$T/venv/bin/python" -W ignore - <<'P'
import logging
import os
import shutil
from importlib.metadata import version

import mlflow

for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.ERROR)
mlflow.set_tracking_uri("sqlite:///mlflow.db")


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]):
        return model_input


with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="echo", python_model=Echo(), registered_model_name="echo", pip_requirements=["mlflow"]
    )
addresses = ["models:/echo/1", logged.model_uri]


def files(address, target):
    return sorted(os.listdir(mlflow.artifacts.download_artifacts(address, dst_path=target)))


before = [files(address, f"before{at}") for at, address in enumerate(addresses)]
shutil.rmtree("mlruns")
after = [files(address, f"after{at}") for at, address in enumerate(addresses)]
print("mlflow", version("mlflow"), "before:", ["MLmodel" in each for each in before], "after:", after)
assert all("MLmodel" in each for each in before), "the model was never there"
assert after == [[], []], "the behaviour has changed"
P
# Output seen: mlflow 3.17.2 before: [True, True] after: [[], []]
