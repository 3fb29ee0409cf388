"""The short form of `bench.crashes`: nothing is lost, doubled or changed."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from bench.crashes.__main__ import LOG, main, read_log

pytestmark = pytest.mark.faults


@pytest.mark.timeout(1800)
def test_whatever_dies_the_same_command_ends_as_a_quiet_run() -> None:
    with TemporaryDirectory() as folder:  # pytest's own has a name that is too long for sockets
        ended = CliRunner().invoke(main, [folder, "--seeds", "0-29", "--jobs", "3"])
        assert ended.exit_code == 0, ended.output
        lines = read_log(Path(folder) / LOG)
    assert [json.dumps(line) for line in lines if line["verdict"] == "failed"] == []
    assert sum(line["verdict"] == "survived" for line in lines) > len(lines) / 2
