"""A report's files appear together and whole, or those that were there stay."""

import errno
from pathlib import Path

import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.pages.content import Page, Text
from fanogan_mtl.report.export import write_numbers
from fanogan_mtl.workflows import report


def test_a_full_disk_leaves_the_old_report_and_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = report.write_report(Page("first", (), (Text("a"),)), tmp_path)
    before = {file: file.read_bytes() for file in files}
    assert sorted(before) == sorted(tmp_path.iterdir())

    def no_room(made: Page, folder: Path) -> list[Path]:
        write_numbers(made, folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_numbers", no_room)
    with pytest.raises(UserError, match="No space left on device"):
        report.write_report(Page("second", (), (Text("b"),)), tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
