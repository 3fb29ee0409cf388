"""The journal on disk: whole lines count, torn ones don't, and only a dead process' journal is taken over."""

import fcntl
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from full_disk import files_of_at_most

from fanogan_mtl.errors import UserError
from fanogan_mtl.tracking.journal import CellRecord, ComparisonRecord, Journal, abandoned_journals, new_journal
from fanogan_mtl.tracking.records import DataInput, Record, Value

COMPARISON = ComparisonRecord(
    "c" * 32, "toys · knn", "run-of-the-sweep", {"sweeps": "run-of-the-sweep", "comparison": "{}"},
    {"detector": "knn", "limit": "none"}, DataInput("toys", "digest", "toys", 10, 20),
)  # fmt: skip


def cell(number: int, folder: Path, size: int = 10) -> CellRecord:
    file = folder / f"made-{number}" / "cell.npz"
    file.parent.mkdir()
    file.write_bytes(bytes([number % 256]) * size)
    values = [Value("auroc", number + 0.1, 20), Value("auroc", np.float64(1e-310), np.int64(50))]
    record = Record({"seed": number}, values, {"cell_key": str(number)}, [file], 1_700_000_000_123)
    return CellRecord(str(number), f"toys/{number} knn seed 0", COMPARISON, record, failed=number == 3)


def taken_over(folder: Path) -> list[Journal]:
    return list(abandoned_journals(folder))


def die(journal: Journal) -> None:
    """Let the lock go, as the end of a process does."""
    journal._file.close()


def test_what_waits_is_read_back_to_the_bit_with_its_files(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "journal", "run")
    for number in range(4):
        journal.add(cell(number, tmp_path))
    kept = {key: journal.read(key) for key in "0123"}
    journal.sent("1")
    assert taken_over(tmp_path / "journal") == []  # it is alive
    die(journal)
    (found,) = taken_over(tmp_path / "journal")
    assert found.run_id == "run"
    assert list(found.waiting) == ["0", "2", "3"]
    for key in found.waiting:
        each = found.read(key)
        assert each == kept[key]
        made = cell(int(key) + 10, tmp_path)
        assert replace(each.record, files=[], parameters={}, values=[], tags={}) == replace(
            made.record, files=[], parameters={}, values=[], tags={}
        )
        assert (each.key, each.comparison, each.failed) == (key, COMPARISON, key == "3")
        assert each.record.values == [Value("auroc", int(key) + 0.1, 20), Value("auroc", 1e-310, 50)]
        assert [type(value.value) for value in each.record.values] == [float, float]
        (file,) = each.record.files
        assert file.read_bytes() == bytes([int(each.key)]) * 10
    assert taken_over(tmp_path / "journal") == []  # it has another owner now


def test_a_power_cut_takes_nothing_that_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk has for certain are the files and the names in folders that were brought to it."""
    certain: dict[int, bytes | list[tuple[str, bool, int]]] = {}

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        certain[path.stat().st_ino] = (
            [(each.name, each.is_dir(), each.stat().st_ino) for each in path.iterdir()]
            if path.is_dir()
            else path.read_bytes()
        )

    def restore(path: Path, is_folder: bool, inode: int) -> None:
        if is_folder:
            path.mkdir()
            for name, *what in certain.get(inode, []):
                restore(path / name, *what)
        else:
            path.write_bytes(certain.get(inode, b""))

    monkeypatch.setattr("os.fsync", synced)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    journal = new_journal(data_dir / "journal" / "experiment", "run")
    journal.add(cell(0, tmp_path))
    journal.add(cell(1, tmp_path))
    die(journal)
    inode = data_dir.stat().st_ino
    data_dir.rename(tmp_path / "before")
    restore(data_dir, True, inode)
    (found,) = taken_over(data_dir / "journal" / "experiment")
    assert found.run_id == "run"
    assert [found.read(key).record.files[0].read_bytes() for key in found.waiting] == [bytes(10), b"\1" * 10]


def test_a_journal_in_which_nothing_waits_is_removed(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "journal", "run")
    journal.add(cell(0, tmp_path))
    journal.sent("0")
    journal.close()
    assert list((tmp_path / "journal").iterdir()) == []
    journal = new_journal(tmp_path / "journal", "run")
    journal.add(cell(1, tmp_path))
    journal.close()
    (found,) = taken_over(tmp_path / "journal")
    assert list(found.waiting) == ["1"]


def test_one_that_was_only_begun_is_removed_unless_its_process_lives(tmp_path: Path) -> None:
    (tmp_path / "dead.begun").touch()
    with (tmp_path / "living.begun").open("a+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert taken_over(tmp_path) == []
        assert [each.name for each in tmp_path.iterdir()] == ["living.begun"]


def test_journals_can_be_begun_while_others_look_for_abandoned_ones(tmp_path: Path) -> None:
    def begin(_: int) -> Journal:
        return new_journal(tmp_path, "run")

    with ThreadPoolExecutor(2) as others:
        looking = [others.submit(lambda: [taken_over(tmp_path) for _ in range(200)]) for _ in range(2)]
        made = list(map(begin, range(100)))
        assert [found for each in looking for found in each.result() if found] == []
    assert len(list(tmp_path.glob("*.jsonl"))) == len(made) == 100


def test_cut_at_any_byte_it_holds_what_was_written_whole(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "journal", "run")
    ends = []
    path = next((tmp_path / "journal").glob("*.jsonl"))
    ends.append(path.stat().st_size)
    journal.add(cell(0, tmp_path))
    ends.append(path.stat().st_size)
    journal.sent("0")
    ends.append(path.stat().st_size)
    journal.add(cell(1, tmp_path))
    ends.append(path.stat().st_size)
    die(journal)
    whole = path.read_bytes()
    expected = [[], ["0"], [], ["1"]]
    for length in range(0, len(whole) + 1, 7):
        cut = tmp_path / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        cut.mkdir()
        (cut / path.name).write_bytes(whole[:length])
        (found,) = taken_over(cut)
        n_whole = sum(end <= length for end in ends)
        assert found.run_id == ("run" if n_whole else "")
        assert list(found.waiting) == (expected[n_whole - 1] if n_whole else [])
        found.add(replace(cell(100 + length, tmp_path), key="later"))  # goes on after what was torn
        die(found)
        (again,) = taken_over(cut)
        assert list(again.waiting)[-1] == "later"
        die(again)


def test_without_room_a_cell_is_refused_in_one_line_and_the_others_stay(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "journal", "run")
    journal.add(cell(0, tmp_path))
    large = cell(1, tmp_path, size=400_000)
    with (
        files_of_at_most(200_000),
        pytest.raises(UserError, match=r"can't be written .*start the same") as raised,
    ):
        journal.add(replace(large, record=replace(large.record, values=[Value("x" * 300_000, math.pi, 1)])))
    assert "\n" not in str(raised.value)
    torn = cell(4, tmp_path)
    with files_of_at_most(200_000), pytest.raises(UserError, match="toys/4 knn seed 0 is not recorded"):
        journal.add(replace(torn, record=replace(torn.record, values=[Value("x" * 300_000, math.pi, 1)])))
    journal.add(cell(2, tmp_path))
    die(journal)
    (found,) = taken_over(tmp_path / "journal")
    assert [found.read(key).name for key in found.waiting] == ["toys/0 knn seed 0", "toys/2 knn seed 0"]


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(UserError, match="can't be written"):
        new_journal(tmp_path / "journal", "run")
