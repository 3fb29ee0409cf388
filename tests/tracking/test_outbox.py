"""Cells on their way to a real server that goes away and comes back; each is there once in the end."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from dask_cluster import PATIENCE, wait_for
from mlflow.entities import Run
from mlflow_server import IMPATIENT, Server, started_server

from fanogan_mtl.tracking import records, sender
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.journal import CellRecord, ComparisonRecord, new_journal
from fanogan_mtl.tracking.outbox import Outbox, journal_folder, recover, send, tidy_comparison
from fanogan_mtl.tracking.records import DataInput, Record, Value
from fanogan_mtl.tracking.sender import ServerAway


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def tracking(server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    mlflow.set_tracking_uri(server.url)
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    monkeypatch.setattr(sender, "PAUSES", (0.2,))
    return connect()


@pytest.fixture
def make(tracking: Tracking, tmp_path: Path) -> Callable[[int], CellRecord]:
    """Makes cells of one sweep and one comparison."""
    sweep = records.start_run(tracking, "sweep", "sweep", Record())

    def cell(number: int) -> CellRecord:
        file = tmp_path / f"made-{number}-{time.monotonic_ns()}" / "cell.npz"
        file.parent.mkdir()
        file.write_bytes(bytes([number]))
        comparison = ComparisonRecord(
            "c" * 32, "toys · knn", sweep, {"sweeps": sweep}, {"detector": "knn"}, DataInput("toys", "d", "toys", 1, 2)
        )
        tags = {"cell_key": f"key-{number}", "comparison_key": comparison.key}
        record = Record({"seed": number}, [Value("auroc", number / 7, 20)], tags, [file], 1_700_000_000_000)
        return CellRecord(f"key-{number}", f"cell {number}", comparison, record, failed=False)

    return cell


def check_once(tracking: Tracking, numbers: list[int]) -> dict[int, Run]:
    """Each cell has one whole run, under the one comparison there is."""
    (comparison,) = records.find_comparisons(tracking)
    cells = [each.run for each in records.find_cells(tracking)]
    assert sorted(int(run.data.params["seed"]) for run in cells) == sorted(numbers)
    for run in cells:
        number = int(run.data.params["seed"])
        assert run.info.status == "FINISHED"
        assert run.data.metrics == {"auroc": number / 7}
        assert run.data.tags["mlflow.parentRunId"] == comparison.run_id
        assert [file.path for file in tracking.client.list_artifacts(run.info.run_id)] == ["cell.npz"]
    return {int(run.data.params["seed"]): run for run in cells}


def test_while_the_server_is_away_cells_wait_and_are_complete_when_it_is_back(
    server: Server, tracking: Tracking, make: Callable[[int], CellRecord], tmp_path: Path
) -> None:
    folder = journal_folder(tracking, tmp_path)
    outbox = Outbox(tracking, journal := new_journal(folder, "run"), {})
    done: list[str] = []
    outbox.put(make(0))
    assert outbox.wait(PATIENCE)
    server.kill()
    for number in range(1, 6):  # nobody waits for the server, which isn't there
        outbox.put(make(number))
    outbox.then(lambda: done.append("after the cells"))
    assert not outbox.wait(3)
    wait_for(lambda: outbox.away_for > 0)
    assert outbox.waiting == 5
    assert done == []
    server.start()
    assert outbox.wait(PATIENCE)
    assert done == ["after the cells"]
    assert outbox.close()
    journal.close()
    check_once(tracking, list(range(6)))
    assert list(folder.iterdir()) == []


def test_what_a_dead_process_left_is_sent_once_and_its_runs_are_ended(
    tracking: Tracking, make: Callable[[int], CellRecord], tmp_path: Path
) -> None:
    cells = [make(number) for number in range(3)]
    sweep = cells[0].comparison.parent_id
    journal = new_journal(journal_folder(tracking, tmp_path), sweep)
    for cell in cells:
        journal.add(cell)
    known: dict[str, str] = {}
    send(tracking, journal.read("key-0"), known, again=False)  # but it died before it could note that
    half = {"level": "cell", "cell_key": "key-1", "comparison_key": "c" * 32}
    records.create_run(tracking, known["c" * 32], "cell 1", half)
    recover(tracking, tmp_path, print)  # it is alive yet
    assert len(records.find_runs(tracking, level="cell")) == 2
    journal._file.close()
    told: list[str] = []
    recover(tracking, tmp_path, told.append)
    assert told == ["3 results of a run that was cut short are sent to MLflow now"]
    check_once(tracking, [0, 1, 2])
    assert {run.status for run in records.find_runs(tracking, level="sweep")} == {"KILLED"}
    assert {run.status for run in records.find_runs(tracking, level="comparison")} == {"KILLED"}
    assert list(journal_folder(tracking, tmp_path).iterdir()) == []


def test_a_run_that_came_to_its_end_keeps_its_status(tracking: Tracking, tmp_path: Path) -> None:
    run_id = records.start_run(tracking, "sweep", "sweep", Record())
    journal = new_journal(journal_folder(tracking, tmp_path), run_id)
    records.finish(tracking, run_id)
    journal._file.close()
    recover(tracking, tmp_path, print)
    assert tracking.client.get_run(run_id).info.status == "FINISHED"


def test_a_run_that_is_gone_stops_nobody(tracking: Tracking, tmp_path: Path) -> None:
    journal = new_journal(journal_folder(tracking, tmp_path), "0" * 32)
    journal._file.close()
    recover(tracking, tmp_path, print)
    assert list(journal_folder(tracking, tmp_path).iterdir()) == []


def test_two_that_record_the_same_cells_at_once_leave_each_once(
    tracking: Tracking, make: Callable[[int], CellRecord]
) -> None:
    other = records.start_run(tracking, "sweep", "other sweep", Record())

    def send_all(position: int) -> None:
        known: dict[str, str] = {}
        for number in range(4):
            cell = make(number)
            if position:
                comparison = replace(cell.comparison, parent_id=other, tags={"sweeps": other})
                cell = replace(cell, comparison=comparison)
            for attempt in range(4):  # a sender insists: the other may have removed the run it was writing to
                try:
                    send(tracking, cell, known, again=attempt > 0)
                    break
                except mlflow.MlflowException:
                    known.clear()
                    assert attempt < 3

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send_all, range(2)))
    tidy_comparison(tracking, "c" * 32)  # as each does when its comparison is complete
    check_once(tracking, [0, 1, 2, 3])
    (comparison,) = records.find_comparisons(tracking)
    sweeps = {run.run_id for run in records.find_sweeps(tracking)}
    assert set(comparison.sweeps) == sweeps


def test_a_cell_put_under_a_comparison_that_has_just_gone_comes_under_the_one_that_is_left(
    tracking: Tracking, make: Callable[[int], CellRecord]
) -> None:
    cell = make(0)
    send(tracking, cell, {}, again=False)
    gone = records.create_run(tracking, cell.comparison.parent_id, "the same comparison", {})
    records.delete_run(tracking, gone)
    send(tracking, make(1), {cell.comparison.key: gone}, again=False)  # as by who has not seen yet that it went
    tidy_comparison(tracking, cell.comparison.key)
    check_once(tracking, [0, 1])


def test_a_comparison_whose_beginner_died_gets_what_it_lacks(
    tracking: Tracking, make: Callable[[int], CellRecord]
) -> None:
    cell = make(0)
    half = {"level": "comparison", "comparison_key": cell.comparison.key, **cell.comparison.tags}
    records.create_run(tracking, cell.comparison.parent_id, cell.comparison.name, half)
    send(tracking, cell, {}, again=True)
    (comparison,) = records.find_comparisons(tracking)
    assert comparison.run.data.params == {"detector": "knn"}
    assert [each.dataset.name for each in comparison.run.inputs.dataset_inputs] == ["toys"]
    check_once(tracking, [0])


def test_what_the_server_refuses_ends_the_sender_and_is_told(
    tracking: Tracking, make: Callable[[int], CellRecord], tmp_path: Path
) -> None:
    outbox = Outbox(tracking, new_journal(journal_folder(tracking, tmp_path), "run"), {})
    bad = make(0)
    outbox.put(replace(bad, record=replace(bad.record, time=-1)))
    with pytest.raises(mlflow.MlflowException, match="INVALID_PARAMETER_VALUE"):
        outbox.wait(PATIENCE)
    with pytest.raises(mlflow.MlflowException):
        outbox.put(make(1))
    assert not outbox.close()


def test_a_server_that_stays_away_is_given_up_and_the_results_stay(
    server: Server, tracking: Tracking, make: Callable[[int], CellRecord], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sender, "PATIENCE", 1.0)
    monkeypatch.setattr(sender, "GOODBYE", 0.1)
    journal = new_journal(journal_folder(tracking, tmp_path), "run")
    outbox = Outbox(tracking, journal, {})
    cell = make(0)
    server.kill()
    try:
        outbox.put(cell)
        with pytest.raises(ServerAway, match=r"is away \(.*\): 1 results wait in the journal"):
            outbox.wait()
        assert not outbox.close()
        assert list(journal.waiting) == ["key-0"]
    finally:
        server.start()
