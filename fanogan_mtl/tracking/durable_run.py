"""One MLflow run for any script: what is logged is on disk at once, and at the server whenever that is there.

A folder holds one run: `run.json` says which, `log.jsonl` has a line for each call, `files/` the artifacts that wait,
`sent` how many bytes of the log the server has. A line that is sent twice changes nothing: a metric keeps its time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from fanogan_mtl.errors import UserError, interruption, one_line, without_password
from fanogan_mtl.tracking.database import prepare_database
from fanogan_mtl.tracking.journal import append, sync
from fanogan_mtl.tracking.records import batched, now
from fanogan_mtl.tracking.sender import Sender, is_refusal

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TAG = "durable_run"  # by it a run is found that was made although the answer was lost
TOGETHER, OTHERS = 1000, 100  # MLflow's limits for one call: all kinds, and parameters or tags
RUN, LOG, SENT, FILES, REFUSED = "run.json", "log.jsonl", "sent", "files", "refused.jsonl"

_Entry = dict[str, Any]


class DurableRun(Sender):
    """A run in MLflow that survives its server's absence and its own process' death.

    No call waits for the server, except `close`. Opened on the same folder again, the same run goes on, and what an
    earlier process left is sent. As a context manager it ends the run as FINISHED, after an error as FAILED, after
    Ctrl-C as KILLED. It may be called from several threads. A killed process loses nothing that a call has returned
    from; of the seconds before a power cut only files and the run's end are safe.

    Parameters
    ----------
    folder : str or Path
        The run's own; made if it isn't there.
    name : str
        The run's name in MLflow, whose server `MLFLOW_TRACKING_URI` names.
    experiment : str, default: "Default"
        The experiment's name; made if it isn't there.

    Attributes
    ----------
    run_id : str
        MLflow's id; empty until the server has made the run.

    Raises
    ------
    UserError
        If another process has the folder open, or it can't be written.
    """

    def __init__(self, folder: str | Path, name: str, experiment: str = "Default") -> None:
        import mlflow

        self._folder, self._name, self._experiment = Path(folder), name, experiment
        try:
            self._log_file = _opened(self._folder / LOG)
            self._key, self.run_id = _identity(self._folder / RUN)
        except OSError as error:
            raise UserError(f"{self._folder} can't be written ({error.strerror})") from None
        self._sent = _number(self._folder / SENT)
        self._idle_again = os.fstat(self._log_file).st_size > 0  # opened again, and nothing logged since
        self._appending, self._planned, self._all_sent = Lock(), False, False
        self._refused: list[str] = []
        self._client: MlflowClient | None = None
        super().__init__(without_password(mlflow.get_tracking_uri()), self._told)
        self._send_soon()

    @property
    def waiting(self) -> int:
        """How many bytes of the log the server does not have yet."""
        return os.fstat(self._log_file).st_size - self._sent

    @property
    def next_step(self) -> int:
        """The step after the greatest that has a metric, by earlier processes too: where a loop goes on; 0 at first."""
        entries = (entry for together, _ in _together(self._folder / LOG, 0) for entry in together)
        steps = (step for entry in entries for *_, step in entry.get("metrics", ()))
        return max(steps, default=-1) + 1

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step, at the time of this call.

        Raises
        ------
        UserError
            If the disk has no room.
        Exception
            That ended the sender, as a server that refuses to make the run.
        """
        time = now()
        for some in batched(list(metrics.items()), TOGETHER):
            self._write({"metrics": [[key, float(value), time, int(step)] for key, value in some]})

    def log_params(self, parameters: Mapping[str, object]) -> None:
        """Log parameters, which MLflow doesn't let change; raises as `log_metrics`."""
        for some in batched(list(parameters.items()), OTHERS):
            self._write({"params": [[key, str(value)] for key, value in some]})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; raises as `log_metrics`."""
        for some in batched(list(tags.items()), OTHERS):
            self._write({"tags": [[key, str(value)] for key, value in some]})

    def log_artifact(self, file: str | Path, artifact_path: str = "") -> None:
        """Log a file as it is now, of which a copy waits in the folder; raises as `log_metrics`."""
        kept = self._folder / FILES / uuid4().hex / Path(file).name
        try:
            kept.parent.mkdir(parents=True)
            shutil.copy2(file, kept)
            sync(kept, kept.parent, kept.parent.parent, self._folder)
        except OSError as error:
            shutil.rmtree(kept.parent, ignore_errors=True)
            raise UserError(f"{file} can't be copied to {kept.parent} ({error.strerror})") from None
        self._write({"file": str(kept.relative_to(self._folder)), "to": artifact_path}, durable=True)

    def close(self, status: str = "FINISHED") -> bool:
        """End the run, wait for the server, and stop; tell whether the server has all.

        Opened again and closed with nothing logged, the run keeps its status. Closing twice does nothing more.

        Raises
        ------
        ServerAway
            If the server has been away for ten minutes: what waits is sent when the folder is opened again.
        """
        if self._log_file < 0:
            return self._all_sent
        try:
            if not self._idle_again:
                self._write({"status": status, "time": now()}, durable=True)
            self.wait()
        finally:
            self._all_sent = super().close()
            os.close(self._log_file)
            self._log_file = -1
        if self._refused:
            told = f"MLflow refused {len(self._refused)} of the entries, which are in {self._folder / REFUSED}"
            warnings.warn(f"{told}: {self._refused[0]}", stacklevel=2)
        return self._all_sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        self.close("FINISHED" if error is None else "KILLED" if interruption(error) else "FAILED")

    def _told(self) -> str:
        return f"{self.waiting} bytes wait in {self._folder}, and are sent when it is opened again"

    def _write(self, entry: _Entry, durable: bool = False) -> None:
        try:
            if self._idle_again:
                self._idle_again = False
                append(self._log_file, {"status": "RUNNING"}, self._appending)
            append(self._log_file, entry, self._appending)
            if durable:
                os.fsync(self._log_file)
        except OSError as error:
            raise UserError(f"{self._folder} can't be written ({error.strerror}): free space") from None
        self._send_soon()

    def _send_soon(self) -> None:
        if self._planned:
            self._check()
        else:
            self._planned = True
            self.then(self._send)

    def _send(self) -> None:
        self._planned = False  # before the log is read: what comes later is sent later
        if self._client is None:
            import mlflow

            prepare_database(mlflow.get_tracking_uri())
            self._client = mlflow.MlflowClient()
        if not self.run_id:
            self.run_id = _made_run(self._client, self._experiment, self._name, self._key)
            _write_identity(self._folder / RUN, self._key, self.run_id)
        for entries, end in _together(self._folder / LOG, self._sent):
            try:
                self._send_together(entries)
            except Exception as error:
                if not is_refusal(error):
                    raise
                self._send_one_by_one(entries)
            self._sent = end
            with suppress(OSError):  # a note that is lost costs a second sending
                (self._folder / SENT).write_text(str(end))
            for entry in entries:
                if "file" in entry:
                    shutil.rmtree((self._folder / entry["file"]).parent, ignore_errors=True)

    def _send_together(self, entries: list[_Entry]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        assert self._client is not None
        metrics = [Metric(*values) for entry in entries for values in entry.get("metrics", ())]
        parameters = [Param(*values) for entry in entries for values in entry.get("params", ())]
        tags = [RunTag(*values) for entry in entries for values in entry.get("tags", ())]
        if metrics or parameters or tags:
            self._client.log_batch(self.run_id, metrics, parameters, tags)
        for entry in entries:
            if "file" in entry and (file := self._folder / entry["file"]).exists():  # else it was sent before
                self._client.log_artifact(self.run_id, str(file), entry["to"] or None)
            if "time" in entry:
                self._client.set_terminated(self.run_id, entry["status"], entry["time"])
            elif "status" in entry:
                self._client.update_run(self.run_id, entry["status"])

    def _send_one_by_one(self, entries: list[_Entry]) -> None:
        """Send what the server refused together; what it refuses alone as well is kept beside, and stops nothing."""
        for entry in entries:
            try:
                self._send_together([entry])
            except Exception as error:
                if not is_refusal(error):
                    raise
                self._refused.append(one_line(error))
                with (self._folder / REFUSED).open("a") as file:
                    file.write(json.dumps({**entry, "refused": one_line(error)}) + "\n")


def _opened(path: Path) -> int:
    """Open and lock a log; what a killed process has not written whole is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(f"another process logs into {path.parent}: give each run a folder of its own") from None
    os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
    return descriptor


def _identity(path: Path) -> tuple[str, str]:
    """The key by which MLflow knows a folder's run, and the run's id if it has been made."""
    if path.exists():
        told = json.loads(path.read_text())
        return told["key"], told["run"]
    key = uuid4().hex
    _write_identity(path, key, "")
    return key, ""


def _write_identity(path: Path, key: str, run_id: str) -> None:
    begun = path.with_suffix(".begun")
    begun.write_text(json.dumps({"key": key, "run": run_id}))
    sync(begun)
    begun.replace(path)
    sync(path.parent)


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _made_run(client: MlflowClient, experiment: str, name: str, key: str) -> str:
    """Make a run, unless an attempt whose answer was lost has made it."""
    from mlflow.exceptions import MlflowException

    try:
        experiment_id = client.create_experiment(experiment)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        experiment_id = found.experiment_id
    runs = client.search_runs([experiment_id], f"tags.{TAG} = '{key}'")
    run = runs[0] if runs else client.create_run(experiment_id, run_name=name, tags={TAG: key})
    return str(run.info.run_id)


def _together(path: Path, start: int) -> Iterator[tuple[list[_Entry], int]]:
    """Read whole lines from a place on, as many at a time as one call may send; with each, where it ends."""
    entries: list[_Entry] = []
    every = others = 0
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            more = len(entry.get("params", ())) + len(entry.get("tags", ()))
            count = more + len(entry.get("metrics", ()))
            if entries and (every + count > TOGETHER or others + more > OTHERS):
                yield entries, start
                entries, every, others = [], 0, 0
            entries.append(entry)
            every, others, start = every + count, others + more, start + len(line)
    if entries:
        yield entries, start
