"""Texts of any length and letters on PostgreSQL, which refuses what SQLite takes, and on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from postgresql import postgresql

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking import names, records
from fanogan_mtl.tracking.connection import Tracking, connect
from fanogan_mtl.tracking.logged_models import check_name, find_version, register_model
from fanogan_mtl.tracking.records import DataInput, Record, Value

LONG = "long " * 4000 + "\x00 \udcff"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tracking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(folder)  # MLflow's artifacts go there
        if request.param == "sqlite":
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
            yield connect()
        else:
            with postgresql(folder / "database") as address:
                mlflow.set_tracking_uri(address)
                yield connect()


def test_whatever_is_sent_is_stored_cut_and_marked(tracking: Tracking, tmp_path: Path) -> None:
    values = [Value(f"auroc_class_{name}", 0.5, 1) for name in ("हिन्दी", "a(b)", "x" * 300, "..")]
    values += [Value("auroc", 0.5, step) for step in range(1200)]
    parameters = {f"option_{number}": LONG for number in range(120)}
    record = Record(parameters, values, {"failure": LONG, "mlflow.note.content": LONG})
    sweep = records.start_run(tracking, "sweep", f"benchmark {LONG}", record)
    run = tracking.client.get_run(sweep)
    assert run.info.run_name.endswith("…")
    assert len(run.data.params) == 120
    assert run.data.params["option_7"].endswith("…")
    assert run.data.tags["failure"].endswith("…")
    assert set(run.data.metrics) == {"auroc", *(names.key(value.name) for value in values[:4])}
    assert records.options_of(tracking, records.get_run(tracking, sweep))["option_7"].startswith("long long")
    assert len(records.options_of(tracking, records.get_run(tracking, sweep))["option_7"]) == len(LONG)
    cell = records.record_cell(tracking, sweep, LONG, replace(record, tags={"cell_key": "a", "failure": LONG}))
    assert tracking.client.get_run(cell).info.status == "FINISHED"
    assert records.history(tracking, cell, "auroc_class_हिन्दी") == {1: 0.5}


def test_long_names_and_places_of_data(tracking: Tracking) -> None:
    run_id = records.create_run(tracking, "0" * 32, "a run", {"level": "comparison"})
    data = DataInput(LONG, "d" * 64, f"folder:/{LONG}", 10, 20)
    records.log_data(tracking, run_id, [data])
    (used,) = tracking.client.get_run(run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == data.key


def test_data_that_have_moved_are_shown_where_they_are(tracking: Tracking) -> None:
    shown = []
    for place in ("/before/digits.npz", "/after/digits.npz"):
        run_id = records.create_run(tracking, "0" * 32, "a run", {"level": "comparison"})
        records.log_data(tracking, run_id, [DataInput("digits", "e" * 64, f"npz:{place}", 100, 20)])
        (used,) = tracking.client.get_run(run_id).inputs.dataset_inputs
        shown.append(used.dataset.source)
    assert shown == ['{"uri": "npz:/before/digits.npz"}', '{"uri": "npz:/after/digits.npz"}']


def logged(tracking: Tracking) -> str:
    run_id = records.create_run(tracking, "0" * 32, "a model's run", {"level": "comparison"})
    model = tracking.client.create_logged_model(
        tracking.experiment_id, name=names.model_name("pyod:HBOS"), source_run_id=run_id
    )
    tracking.client.finalize_logged_model(model.model_id, "READY")
    return f"models:/{model.model_id}"


def test_a_version_has_a_shortened_description_and_its_alias(tracking: Tracking) -> None:
    uri, text = logged(tracking), "\n".join([f"| optdigits/{number} | 99.9 |" for number in range(500)])
    version, is_new = register_model(tracking, uri, "it's long", "champion", "k" * 32, text)
    made = tracking.client.get_model_version_by_alias("it's long", "champion")
    assert (str(made.version), is_new) == (version, True)
    assert made.description.endswith("99.9 |\n…")
    assert register_model(tracking, uri, "it's long", "champion", "k" * 32, text) == (version, False)


def test_a_version_that_was_left_half_done_is_completed(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    uri, key = logged(tracking), "h" * 32
    with monkeypatch.context() as patch:
        patch.setattr(type(tracking.client), "update_model_version", die)
        with pytest.raises(KeyboardInterrupt):
            register_model(tracking, uri, "half", "champion", key, "what it is")
    assert find_version(tracking, "half", key) is not None
    version, _ = register_model(tracking, uri, "half", "champion", key, "what it is")
    made = tracking.client.get_model_version_by_alias("half", "champion")
    assert (str(made.version), made.description) == (version, "what it is")


@pytest.mark.parametrize("name", ["n" * 257, "a/b", "a:b", "a@b", "a?b", " ", "a\x00b"])
def test_a_name_against_the_rules_is_one_line_before_anything_is_made(tracking: Tracking, name: str) -> None:
    with pytest.raises(UserError) as caught:
        check_name(tracking, name)
    assert "\n" not in str(caught.value)
