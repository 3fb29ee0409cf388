"""Does what talks to MLflow in a thread of its own, in order, and again while the server is away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition, Event, Thread

from fanogan_mtl.errors import UserError, one_line

PAUSES = (1, 2, 4, 8, 15)  # seconds between attempts; the last again and again
REFUSALS = 4  # attempts at what the server refuses: a run may just have been deleted by another sweep
PATIENCE = 600.0  # seconds without success, after which nobody waits for the server any more
GOODBYE = 10.0  # seconds that an interrupted process gives its last records

STORES = {"requests", "urllib3", "botocore", "boto3", "sqlalchemy", "psycopg", "psycopg2"}  # whose errors mean away

Job = Callable[[], None]


class ServerAway(UserError):
    """The tracking server has not answered for long."""


class Sender:
    """Does jobs; `close` ends its thread, which keeps no process alive.

    Parameters
    ----------
    shown : str
        The server's address, as people may see it.
    told : callable
        Says what waits for the server, and when it will be sent: the end of the sentence in `ServerAway`.
    """

    def __init__(self, shown: str, told: Callable[[], str]) -> None:
        self._shown, self._told = shown, told
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._undone = 0
        self._changed = Condition()
        self._closed = Event()
        self._error: BaseException | None = None
        self._last_failure = ""
        self._silent_since: float | None = None
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def away_for(self) -> float:
        """For how many seconds the server has not answered."""
        return time.monotonic() - self._silent_since if self._silent_since is not None else 0.0

    def then(self, job: Job) -> None:
        """Do a job when everything before it is done; if the server goes away meanwhile, it begins again.

        Raises
        ------
        Exception
            That ended the sender.
        """
        self._check()
        with self._changed:
            self._undone += 1
        self._jobs.put(job)

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait until everything is done; tell whether it is.

        Raises
        ------
        ServerAway
            If the server has been away for `PATIENCE`.
        Exception
            That ended the sender.
        """
        end = time.monotonic() + seconds
        while True:
            self._check()
            with self._changed:
                if self._changed.wait_for(lambda: not self._undone or self._error, timeout=0.2):
                    break
            if self.away_for > PATIENCE:
                raise ServerAway(f"the tracking server {self._shown} is away ({self._last_failure}): {self._told()}")
            if time.monotonic() > end:
                return False
        self._check()
        return True

    def close(self) -> bool:
        """Stop the sender; tell whether everything was done."""
        try:
            done = self.wait(GOODBYE)
        except Exception:  # told before
            done = False
        self._closed.set()
        self._jobs.put(lambda: None)
        if done:
            self._thread.join()
        return done

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _follow(self) -> None:
        while not self._closed.is_set():
            job = self._jobs.get()
            try:
                self._insist(job)
            except BaseException as error:  # told to the process at its next call
                self._error = error
                self._closed.set()
            with self._changed:
                self._undone -= 1
                self._changed.notify_all()

    def _insist(self, job: Job) -> None:
        """Do a job, again while the server is away."""
        refusals = attempts = 0
        while not self._closed.is_set():
            try:
                job()
            except Exception as error:
                self._last_failure = one_line(error)
                if is_away(error):
                    self._silent_since = self._silent_since or time.monotonic()
                else:
                    refusals += 1
                    if refusals >= REFUSALS or not is_refusal(error):
                        raise
                self._closed.wait(PAUSES[min(attempts, len(PAUSES) - 1)])
                attempts += 1
            else:
                self._silent_since = None
                return


def is_away(error: BaseException) -> bool:
    """Whether an error is a failure of the server or its store, and not of the request."""
    status = _http_status(error)
    if status is not None:
        return status >= 500 or status == 429
    return type(error).__module__.split(".")[0] in STORES


def is_refusal(error: BaseException) -> bool:
    """Whether an error is the server's refusal of the request."""
    status = _http_status(error)
    return status is not None and status < 500


def _http_status(error: BaseException) -> int | None:
    from mlflow.exceptions import MlflowException

    return int(error.get_http_status_code()) if isinstance(error, MlflowException) else None  # type: ignore[no-untyped-call]
