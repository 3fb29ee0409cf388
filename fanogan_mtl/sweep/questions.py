"""What tasks ask, while they run, of the process that started them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

NAME = "questions"
PATIENCE = "30 s"  # then a task asks again: a lost connection takes a question with it


def ask(key: str, question: Any) -> Any:
    """Ask from within a task, and wait for the answer.

    Parameters
    ----------
    key : str
        Tells the question from others. A task that runs twice, since its worker was lost, asks twice under one key, and
        must get the same answer: that is the answering function's duty.
    question : plain data

    Raises
    ------
    RuntimeError
        If the answering function failed.
    """
    from distributed import Queue, Variable

    while True:
        Queue(NAME).put((key, question))
        with suppress(TimeoutError):
            answer, failure = Variable(f"{NAME} {key}").get(timeout=PATIENCE)
            if failure is not None:
                raise RuntimeError(failure)
            return answer


@contextmanager
def answering(client: Client, answer: Callable[[Any], Any]) -> Iterator[None]:
    """Within, a thread answers what tasks ask; question and answer are plain data."""
    from distributed import Queue, Variable

    questions = Queue(NAME, client=client)

    def follow() -> None:
        while (asked := questions.get()) is not None:
            key, question = asked
            said: tuple[Any, str | None]
            try:
                said = (answer(question), None)
            except Exception as error:  # the task that waits must hear of it
                said = (None, f"{type(error).__name__}: {error}")
            Variable(f"{NAME} {key}", client=client).set(said)

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        questions.put(None)
        thread.join()
