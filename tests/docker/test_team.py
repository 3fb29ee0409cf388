"""The services of docker/compose.yaml work together: as plain processes, since there may be no container engine."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import mlflow
import psycopg
import pytest
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from team import VARIABLES, Team, as_user, started_team

ADMIN = VARIABLES["MLFLOW_ADMIN_USERNAME"], VARIABLES["MLFLOW_ADMIN_PASSWORD"]
GRACE = "grace", "secret-of-grace-123"
MODEL = """
import mlflow

class StandIn(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[float], params=None):
        return [2 * value for value in model_input]

mlflow.models.set_model(StandIn())
"""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with started_team(tmp_path_factory.mktemp("team")) as started:
        yield started


def sign_in(team: Team, monkeypatch: pytest.MonkeyPatch, name: str, password: str) -> mlflow.MlflowClient:
    for variable, value in as_user(team, name, password).items():
        monkeypatch.setenv(variable, value)
    mlflow.set_tracking_uri(f"http://{team.address(5000)}")
    return mlflow.MlflowClient()


def status(team: Team, path: str, account: tuple[str, str] | None = None, host: str | None = None) -> int:
    request = Request(f"http://{team.address(5000)}{path}")
    if account:
        request.add_header("Authorization", f"Basic {b64encode(':'.join(account).encode()).decode()}")
    if host:
        request.add_header("Host", host)
    try:
        with urlopen(request, timeout=800) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_without_an_account_nothing_is_shown(team: Team) -> None:
    search = "/api/2.0/mlflow/experiments/search?max_results=5"
    assert status(team, search) == 401
    assert status(team, "/") == 401
    assert status(team, search, (ADMIN[0], "wrong")) == 401
    assert status(team, search, ADMIN) == 200
    assert status(team, "/health") == 200
    assert status(team, "/signup") == 401
    assert status(team, "/signup", ADMIN) == 200


def test_a_page_that_pretends_to_be_the_server_is_refused(team: Team) -> None:
    assert status(team, "/", ADMIN) == 200
    assert status(team, "/", ADMIN, host="evil.example.org") == 403


def test_two_people_compare_in_one_experiment(team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = sign_in(team, monkeypatch, *ADMIN)
    get_app_client("basic-auth", tracking_uri=f"http://{team.address(5000)}").create_user(*GRACE)
    experiment = client.create_experiment("ours")
    first = client.create_run(experiment).info.run_id
    (tmp_path / "figure.html").write_text("<p>figure</p>")
    client.log_artifact(first, str(tmp_path / "figure.html"))
    client.log_metric(first, "auroc", 0.9)

    client = sign_in(team, monkeypatch, *GRACE)
    second = client.create_run(experiment).info.run_id
    client.log_metric(second, "auroc", 0.8)
    found = client.search_runs([experiment], order_by=["metrics.auroc DESC"])
    assert [run.info.run_id for run in found] == [first, second]
    (tmp_path / "back").mkdir()
    fetched = client.download_artifacts(first, "figure.html", str(tmp_path / "back"))
    assert Path(fetched).read_text() == "<p>figure</p>"
    with pytest.raises(MlflowException, match="Permission denied"):
        get_app_client("basic-auth", tracking_uri=f"http://{team.address(5000)}").create_user(
            "eve", "secret-of-eve-123"
        )

    store = boto3.client(
        "s3", endpoint_url=f"http://{team.address(9000)}", region_name="us-east-1",
        aws_access_key_id=VARIABLES["S3_ACCESS_KEY"], aws_secret_access_key=VARIABLES["S3_SECRET_KEY"],
    )  # fmt: skip
    keys = [each["Key"] for each in store.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert any(key.endswith(f"{first}/artifacts/figure.html") for key in keys)
    with psycopg.connect(
        host=str(team.database), user="mlflow", dbname="mlflow", password=VARIABLES["POSTGRES_PASSWORD"]
    ) as database:
        rows: Any = database.execute("SELECT run_uuid FROM runs").fetchall()
        assert {first, second} <= {run_id for (run_id,) in rows}


def test_the_database_asks_for_its_password(team: Team) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(team.database), user="mlflow", dbname="mlflow", password="wrong")


def test_workers_work(team: Team) -> None:
    from distributed import Client

    with Client(f"tcp://{team.address(8786)}", timeout=800) as client:
        client.wait_for_workers(1, timeout=800)
        assert client.submit(sum, [1, 2, 3]).result(timeout=800) == 6
        (worker,) = client.scheduler_info()["workers"].values()
        assert worker["nthreads"] == 1


def test_the_served_model_comes_from_the_server_and_answers(
    team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = sign_in(team, monkeypatch, *ADMIN)
    (tmp_path / "stand_in.py").write_text(MODEL)
    with mlflow.start_run(experiment_id=client.create_experiment("models")):  # a chosen one stays so in this process
        mlflow.pyfunc.log_model(
            name="model", python_model=str(tmp_path / "stand_in.py"), registered_model_name="stand-in",
            pip_requirements=["mlflow"],
        )  # fmt: skip
    client.set_registered_model_alias("stand-in", "champion", "1")
    team.start("serve")
    request = Request(
        f"http://{team.address(5001)}/invocations",
        data=json.dumps({"inputs": [1.0, 2.5]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=800) as answer:
        assert json.load(answer) == {"predictions": [2.0, 5.0]}


@pytest.mark.parametrize("name", ["serve", "worker", "scheduler", "mlflow"])
def test_a_service_that_is_told_to_stop_stops_and_its_check_fails(team: Team, name: str) -> None:
    if name not in team.running:
        team.start(name)
    assert team.check(name) == 0
    team.stop(name)
    assert team.check(name) != 0
