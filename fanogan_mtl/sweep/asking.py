"""Requests from a running task to the process that submitted it, and the thread that answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = "30 s"  # then a task asks again: a lost connection takes a question with it


def ask_submitter(channel: str, key: str, question: Any) -> Any:
    """Ask from within a task, and wait for the answer.

    Parameters
    ----------
    channel : str
        What `answering` yielded; processes that share a cluster have different ones.
    key : str
        Names the question. A task that runs twice, because its worker was lost, asks twice under one key; the answering
        function must then answer the same.
    question : plain data

    Raises
    ------
    RuntimeError
        If the answering function failed.
    """
    from distributed import Queue, Variable

    while True:
        Queue(channel).put((key, question))
        with suppress(TimeoutError):
            answer, failure = Variable(f"{channel} {key}").get(timeout=_PATIENCE)
            if failure is not None:
                raise RuntimeError(failure)
            return answer


@contextmanager
def answering(client: Client, answer: Callable[[Any], Any]) -> Iterator[str]:
    """While active, a thread answers the requests of tasks; both are plain data. Yields the channel."""
    from distributed import Queue, Variable

    channel = uuid4().hex
    questions = Queue(channel, client=client)
    answers = {}

    def follow() -> None:
        while (asked := questions.get()) is not None:
            key, question = asked
            said: tuple[Any, str | None]
            try:
                said = (answer(question), None)
            except Exception as error:  # the task that waits must hear of it
                said = (None, f"{type(error).__name__}: {error}")
            answers[key] = Variable(f"{channel} {key}", client=client)
            answers[key].set(said)

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield channel
    finally:
        questions.put(None)
        thread.join()
        for variable in answers.values():  # a cluster outlives its users
            variable.delete()
        questions.close()
