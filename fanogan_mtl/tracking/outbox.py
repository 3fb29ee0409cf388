"""Sends cells to MLflow, and what dead processes have left.

Two processes may record the same cell or begin the same comparison. MLflow can't refuse the second, so whoever
completes a comparison deletes the duplicates by a fixed rule: the oldest run of a comparison is kept, and the run of a
cell that ended first. All processes thus keep the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from fanogan_mtl.data.cache import key_of
from fanogan_mtl.errors import UserError, one_line
from fanogan_mtl.tracking import records, schema
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.journal import CellRecord, ComparisonRecord, Journal, abandoned_journals, new_journal
from fanogan_mtl.tracking.records import Record
from fanogan_mtl.tracking.sender import Sender, is_refusal


class Outbox(Sender):
    """Sends cells, and then runs the jobs that wait for them.

    Parameters
    ----------
    tracking : Tracking
    journal : Journal
    comparison_runs : dict
        Comparison key to run, of those known; the sender adds to it.
    """

    def __init__(self, tracking: Tracking, journal: Journal, comparison_runs: dict[str, str]) -> None:
        self._tracking, self._journal, self.comparison_runs = tracking, journal, comparison_runs
        self._tried: set[str] = set()
        super().__init__(
            tracking.shown,
            lambda: f"{self.waiting} results wait in the journal, and are sent when the same command is started again",
        )

    @property
    def waiting(self) -> int:
        """How many cells are not in MLflow yet."""
        return len(self._journal.waiting)

    def put(self, cell: CellRecord) -> None:
        """Take a cell: it is on disk when this returns, and in MLflow some time later.

        Raises
        ------
        UserError
            If the disk has no room.
        Exception
            That ended the sender.
        """
        self._journal.add(cell)
        self.then(partial(self._send, cell.key))

    def _send(self, key: str) -> None:
        cell = self._journal.read(key)
        try:
            send(self._tracking, cell, self.comparison_runs, again=cell.key in self._tried)
        except Exception:  # the comparison's run may have been merged into another
            self._tried.add(cell.key)
            self.comparison_runs.pop(cell.comparison.key, None)
            raise
        self._journal.sent(cell.key)


def send(tracking: Tracking, cell: CellRecord, comparison_runs: dict[str, str], again: bool) -> None:
    """Record a cell; with `again` it may have been recorded before, so look first."""
    if again and any(run.status in schema.ENDED for run in records.find_cells(tracking, cell_key=cell.key)):
        return
    run_id = comparison_run(tracking, cell.comparison, comparison_runs)
    records.record_cell(tracking, run_id, cell.name, cell.record, failed=cell.failed)


def comparison_run(tracking: Tracking, comparison: ComparisonRecord, known: dict[str, str]) -> str:
    """Find a comparison's run, or begin it."""
    if comparison.key not in known:
        if not records.find_comparisons(tracking, comparison_key=comparison.key):
            tags = {schema.LEVEL: "comparison", schema.COMPARISON_KEY: comparison.key, **comparison.tags}
            records.create_run(tracking, comparison.parent_id, comparison.name, tags)
        first = tidy_comparison(tracking, comparison.key)
        if not first.has_data:  # new, or left by who died before these last two
            records.write(tracking, first.run_id, Record(comparison.parameters))
            records.log_data(tracking, first.run_id, [comparison.data])
        if comparison.tags[schema.SWEEPS] not in first.sweeps:  # another sweep has begun it
            records.join_sweep(tracking, first, comparison.tags[schema.SWEEPS])
        known[comparison.key] = first.run_id
    return known[comparison.key]


def tidy_comparison(tracking: Tracking, key: str) -> schema.ComparisonRun:
    """Keep a comparison's oldest run and one run per cell, delete the others, and give the comparison's.

    A process that is writing to a deleted run gets an error, tries again, and finds the run that was kept.
    """
    first, *others = records.find_comparisons(tracking, comparison_key=key)
    cells = records.find_cells(tracking, comparison_key=key)
    spare = records.superseded(cells)
    for cell in spare:
        records.delete_run(tracking, cell.run_id)
    for cell in cells:  # also those that somebody put under a run that had just gone
        if cell not in spare and cell.parent_id != first.run_id:
            tracking.client.set_tag(cell.run_id, schema.PARENT, first.run_id)
    for other in others:
        for sweep_id in other.sweeps:
            records.join_sweep(tracking, schema.ComparisonRun(tracking.client.get_run(first.run_id)), sweep_id)
        records.delete_run(tracking, other.run_id)
    return first


def journal_folder(tracking: Tracking, data_dir: Path) -> Path:
    """Where the journals of an experiment are."""
    return data_dir / "journal" / key_of(tracking.uri, tracking.experiment_id)


@contextmanager
def own_journal(tracking: Tracking, data_dir: Path) -> Iterator[dict[str, str]]:
    """While active, others can tell that this process lives; what it leaves open after an error they end.

    Yields the tag by which they find its run, or nothing where the data folder can't be written.
    """
    journal = None
    with suppress(UserError):
        journal = new_journal(journal_folder(tracking, data_dir), tracking.adopted_run_id or "")
    yield {schema.JOURNAL: journal.name} if journal else {}
    if journal:
        journal.close()


def recover(tracking: Tracking, data_dir: Path, tell: Callable[[str], object]) -> None:
    """Send what dead processes left in their journals, and end their runs as KILLED."""
    for journal in abandoned_journals(journal_folder(tracking, data_dir)):
        try:
            if journal.waiting:
                tell(f"{len(journal.waiting)} results of a run that was cut short are sent to MLflow now")
            known: dict[str, str] = {}
            for cell in map(journal.read, list(journal.waiting)):
                try:
                    send(tracking, cell, known, again=True)
                except Exception as error:
                    if not is_refusal(error):
                        raise
                    tell(f"{cell.name} is refused by the tracking server, and trained again: {one_line(error)}")
                journal.sent(cell.key)
            for key in known:
                tidy_comparison(tracking, key)
            _end_dead(tracking, journal)
        finally:
            journal.close()


def _end_dead(tracking: Tracking, journal: Journal) -> None:
    """End the runs of a process that has died, and the comparisons that it had begun, unless somebody removed them."""
    runs = records.find_runs(tracking, **{schema.JOURNAL: journal.name})
    if journal.run_id:
        try:
            runs.append(records.get_run(tracking, journal.run_id))
        except Exception as error:
            if not is_refusal(error):
                raise
    own = {run.run_id for run in runs}
    runs += [run for run in records.find_comparisons(tracking) if run.parent_id in own]
    for run in runs:
        if run.status == "RUNNING":
            records.finish(tracking, run.run_id, "KILLED")
