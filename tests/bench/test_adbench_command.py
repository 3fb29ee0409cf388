"""The command that sets ours beside ADBench's published figures, on a folder of small tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import adbench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tables that go by names of ADBench's, one of over 10,000 rows, and one that nobody has published."""
    random = np.random.default_rng(0)
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, normal, anomalies in (("6_cardio", 1000, 60), ("35_SpamBase", 10_400, 100), ("own", 60, 10)):
        rows = np.concatenate([random.normal(0, 1, (normal, 3)), random.normal(3, 1, (anomalies, 3))])
        np.savez(folder / f"{name}.npz", X=rows, y=np.repeat([0, 1], [normal, anomalies]))
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["adbench", *map(str, arguments)])
    adbench.main()


def test_ours_stand_beside_the_published_figures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(adbench, "SHALLOW", ("knn", "ecod"))
    monkeypatch.setattr(adbench, "DEEP", ("fanogan",))
    monkeypatch.setattr(adbench, "EPOCHS", 1)
    results = tmp_path / "results.csv"
    command(monkeypatch, folder, results)
    shown = capsys.readouterr().out
    done = adbench.read(results)
    assert len(done) == 3 * 2 * (2 * 3 + 1) + 2 * 3
    ours = 100 * np.mean([done[adbench.Task("6_cardio", "unsupervised", "knn", seed)] for seed in (0, 1, 2)])
    assert f"| cardio | **{ours:.1f} / 76.6** |" in shown
    assert "| own |" in shown.partition("unsupervised, tables of at most 1,000 rows")[2]
    assert "Not run yet" not in shown
    written = results.read_text()
    command(monkeypatch, folder, results)  # nothing is left to do
    assert results.read_text() == written
    assert capsys.readouterr().out == shown


def test_a_figure_is_that_of_the_whole_70_percent(folder: Path, tmp_path: Path):
    """The same numbers as of plain libraries on ADBench's rows."""
    from pyod.models.knn import KNN
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import MinMaxScaler

    with np.load(folder / "6_cardio.npz") as file:
        rows, labels = file["X"].astype(np.float32).astype(float), file["y"]
    train, test, _, truth = train_test_split(rows, labels, test_size=0.3, shuffle=True, stratify=labels, random_state=2)
    scaler = MinMaxScaler().fit(train)
    expected = roc_auc_score(truth, KNN().fit(scaler.transform(train)).decision_function(scaler.transform(test)))
    task = adbench.Task("6_cardio", "unsupervised", "knn", 1)
    assert adbench.measured(folder / "6_cardio.npz", task, tmp_path) == pytest.approx(expected, abs=1e-9)


def test_the_first_half_of_the_normal_rows_is_in_the_order_of_the_file(folder: Path, tmp_path: Path):
    task = adbench.Task("own", "first half", "knn", 0)
    train, test, anomaly = adbench.parts(folder / "own.npz", task, tmp_path)
    with np.load(folder / "own.npz") as file:
        rows, labels = file["X"].astype(np.float32), file["y"]
    np.testing.assert_array_equal(train, rows[:30])
    np.testing.assert_array_equal(test, rows[30:])
    np.testing.assert_array_equal(anomaly, labels[30:] == 1)


def test_of_a_large_table_it_takes_the_rows_that_adbench_draws(folder: Path, tmp_path: Path):
    drawn = adbench.drawn_table(folder / "35_SpamBase.npz", 0, tmp_path)
    np.random.seed(1)
    rows = np.random.choice(np.arange(10_500), 10_000, replace=False)
    with np.load(drawn) as file, np.load(folder / "35_SpamBase.npz") as whole:
        np.testing.assert_array_equal(file["X"], whole["X"][rows])
        np.testing.assert_array_equal(file["y"], whole["y"][rows])
    assert adbench.drawn_table(folder / "6_cardio.npz", 0, tmp_path) == folder / "6_cardio.npz"


def test_what_a_detector_or_the_split_refuses_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(adbench, "SHALLOW", ("knn",))
    monkeypatch.setattr(adbench, "DEEP", ())
    np.savez(folder / "few.npz", X=np.zeros((20, 2)), y=np.repeat([0, 1], [18, 2]))
    command(monkeypatch, folder, tmp_path / "results.csv")
    output = capsys.readouterr()
    assert "Refused: few first half knn, few semi knn, few unsupervised knn." in output.out
    assert "2 rows of 1 (anomaly)" in output.err


def test_it_stops_in_time_and_names_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    command(monkeypatch, folder, tmp_path / "results.csv", "--minutes", "0")
    assert "Not run yet: 192 of 192 trainings." in capsys.readouterr().out


def test_bad_input_is_named_in_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match="has no npz files"):
        command(monkeypatch, tmp_path)
    with pytest.raises(SystemExit, match="No such file or directory"):
        command(monkeypatch, folder, tmp_path / "nowhere" / "results.csv", "--minutes", "0")
    np.savez(folder / "other.npz", images=np.zeros(3))
    with pytest.raises(SystemExit, match=r"other\.npz lacks X, y; adbench: needs X, y"):
        command(monkeypatch, folder, tmp_path / "results.csv", "--minutes", "0")
