"""Runs of other people's scripts: all of it arrives, once, whatever goes away meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from dask_cluster import PATIENCE, wait_for
from mlflow.entities import Run
from mlflow_server import IMPATIENT, Server, started_server

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking import sender
from fanogan_mtl.tracking.durable_run import REFUSED, RUN, SENT, TAG, DurableRun, _together
from fanogan_mtl.tracking.sender import ServerAway


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(autouse=True)
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(server.url)
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sender, "PAUSES", (0.2,))
    return mlflow.MlflowClient()


def found(client: mlflow.MlflowClient, folder: Path) -> Run:
    """The one run of a folder."""
    experiment = client.get_experiment_by_name("scripts")
    assert experiment is not None
    key = json.loads((folder / RUN).read_text())["key"]
    (run,) = client.search_runs([experiment.experiment_id], f"tags.{TAG} = '{key}'")
    return run


def steps(client: mlflow.MlflowClient, run: Run, name: str = "loss") -> list[tuple[int, float]]:
    """Every logged value of a metric."""
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]


def test_what_is_logged_while_the_server_is_away_arrives_once(
    server: Server, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"first")
    server.kill()
    with DurableRun(tmp_path / "run", "away", "scripts") as run:
        run.log_params({f"p{number}": number for number in range(130)})
        run.set_tags({"stage": "début"})
        for step in range(1200):
            run.log_metrics({"loss": step / 7, "gain": float("nan")}, step)
        run.log_artifact(file, "of a part")
        file.write_bytes(b"changed since")
        wait_for(lambda: run.away_for > 0)
        assert run.run_id == ""
        server.start()
        assert run.wait(PATIENCE)
        assert run.waiting == 0
        server.kill()
        run.log_metrics({"loss": 1.0}, 1200)
        server.start()
    made = found(client, tmp_path / "run")
    assert made.info.status == "FINISHED"
    assert made.info.run_name == "away"
    assert made.data.params == {f"p{number}": str(number) for number in range(130)}
    assert made.data.tags["stage"] == "début"
    assert steps(client, made) == [*((step, step / 7) for step in range(1200)), (1200, 1.0)]
    assert len(steps(client, made, "gain")) == 1200
    stored = client.download_artifacts(made.info.run_id, "of a part/weights.bin", str(tmp_path))
    assert Path(stored).read_bytes() == b"first"
    assert list((tmp_path / "run" / "files").iterdir()) == []


def test_sent_again_nothing_is_doubled(client: mlflow.MlflowClient, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with DurableRun(folder, "again", "scripts") as run:
        run.log_metrics({"loss": 0.5}, 3)
        run.log_params({"rate": 0.1})
    ended = found(client, folder).info.end_time
    (folder / SENT).unlink()  # as after a power cut
    told = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps({**told, "run": ""}))  # and as if the answer had been lost
    with DurableRun(folder, "again", "scripts") as run:
        assert run.wait(PATIENCE)
    made = found(client, folder)
    assert steps(client, made) == [(3, 0.5)]
    assert (made.info.status, made.info.end_time) == ("FINISHED", ended)


def test_killed_it_goes_on_in_the_same_run(server: Server, client: mlflow.MlflowClient, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    script = (
        "import sys, time\n"
        "from fanogan_mtl.tracking.durable_run import DurableRun\n"
        "run = DurableRun(sys.argv[1], 'killed', 'scripts')\n"
        "for step in range(10**6):\n"
        "    run.log_metrics({'loss': step}, step)\n"
        "    print(step, flush=True)\n"
    )
    there = {**os.environ, "MLFLOW_TRACKING_URI": server.url}
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], env=there, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while process.stdout.readline() != b"200\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    last = int((b"200\n" + process.stdout.read()).split(b"\n")[-2])  # killed at once, it may have printed no more
    process.wait()
    with (folder / "log.jsonl").open("ab") as log:
        log.write(b'{"metrics": [["lo')  # torn
    with DurableRun(folder, "killed", "scripts") as run:
        assert run.next_step in (last + 1, last + 2)
        run.log_metrics({"loss": -1}, last + 2)
        assert run.next_step == last + 3
    made = found(client, folder)
    logged = steps(client, made)
    assert logged[: last + 1] == [(step, step) for step in range(last + 1)]
    assert logged[last + 1 :] in ([(last + 2, -1)], [(last + 1, last + 1), (last + 2, -1)])
    assert made.info.status == "FINISHED"


def test_the_end_says_how_it_came(client: mlflow.MlflowClient, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), DurableRun(tmp_path / "1", "failing", "scripts"):
        print(1 / 0)
    with pytest.raises(KeyboardInterrupt), DurableRun(tmp_path / "2", "interrupted", "scripts"):
        raise KeyboardInterrupt
    with pytest.raises(ImportError), DurableRun(tmp_path / "3", "interrupted in an import", "scripts"):
        raise ImportError("initialization failed") from KeyboardInterrupt()
    assert [found(client, tmp_path / each).info.status for each in ("1", "2", "3")] == ["FAILED", "KILLED", "KILLED"]
    with DurableRun(tmp_path / "1", "failing", "scripts"):
        pass  # only sends
    assert found(client, tmp_path / "1").info.status == "FAILED"
    with DurableRun(tmp_path / "1", "failing", "scripts") as run:
        run.log_metrics({"loss": 1.0})
        assert run.wait(PATIENCE)
        assert found(client, tmp_path / "1").info.status == "RUNNING"
    assert found(client, tmp_path / "1").info.status == "FINISHED"


def test_what_mlflow_refuses_stops_nothing_and_is_told(client: mlflow.MlflowClient, tmp_path: Path) -> None:
    run = DurableRun(tmp_path / "run", "refused", "scripts")
    run.log_params({"rate": 1})
    run.log_metrics({"loss": 1.0})
    run.log_params({"rate": 2})
    run.log_metrics({"loss": 2.0}, 1)
    with pytest.warns(UserWarning, match="MLflow refused 1 of the entries"):
        assert run.close()
    assert steps(client, found(client, tmp_path / "run")) == [(0, 1.0), (1, 2.0)]
    (refused,) = (tmp_path / "run" / REFUSED).read_text().splitlines()
    assert json.loads(refused)["params"] == [["rate", "2"]]


def test_a_folder_has_one_process_and_a_server_that_stays_away_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PATIENCE", 0.5)
    monkeypatch.setattr(sender, "GOODBYE", 0.1)
    run = DurableRun(tmp_path / "run", "given up", "scripts")
    with pytest.raises(UserError, match="another process logs into"):
        DurableRun(tmp_path / "run", "given up", "scripts")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        DurableRun(tmp_path / "file", "a file", "scripts")
    assert run.wait(PATIENCE)
    server.kill()
    try:
        run.log_metrics({"loss": 1.0})
        with pytest.raises(ServerAway, match=r"\d+ bytes wait in .*run, and are sent when it is opened again"):
            run.close()
        monkeypatch.setattr(sender, "PATIENCE", PATIENCE)
        with DurableRun(tmp_path / "run", "given up", "scripts") as again:
            assert not run.close()
            assert again.waiting > 0
            server.start()
            assert again.wait(PATIENCE)
    finally:
        if server.process is None:
            server.start()


def test_batches_keep_within_mlflows_limits_and_lose_no_line(tmp_path: Path) -> None:
    sizes = [(999, 0), (2, 0), (1, 99), (0, 2), (1000, 0), (0, 100), (0, 0)]
    lines = [{"metrics": [["m", 0, 0, 0]] * metrics, "params": [["p", "1"]] * params} for metrics, params in sizes]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "log").write_text(text + '{"torn')
    batches = list(_together(tmp_path / "log", 0))
    assert [entry for entries, _ in batches for entry in entries] == lines
    assert batches[-1][1] == len(text)
    for entries, _ in batches:
        metrics, params = (sum(len(entry[kind]) for entry in entries) for kind in ("metrics", "params"))
        assert metrics + params <= 1000
        assert params <= 100
    assert [entries for entries, _ in _together(tmp_path / "log", batches[1][1])] == [each for each, _ in batches[2:]]
