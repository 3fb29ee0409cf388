"""`UserError`, which a person's own mistake raises; texts of errors in one line, without passwords; interruptions."""

from __future__ import annotations

import re

_USER_INFO = re.compile(r"(://[^:/@\s]*):(?!\d{1,5}/)[^@\s]*@(?:[^/@\s]*@)*")  # after a port, a path may have an @
_QUERY = re.compile(r"([?&;](?:[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key))=)[^&;#\s'\"]+", re.IGNORECASE)
_BARE = re.compile(r"""(['"(][^\s:/@'"(]+):[^\s@/'"]+@(?=[\w\[])""")  # as some quote an address, without its scheme


class UserError(ValueError):
    """A mistake of the user's: its text is one line that says what was wrong, where, and what to do.

    Entry points print that line without a traceback and exit with a non-zero status.
    """


def without_password(text: str) -> str:
    """Put `***` for every password in the addresses of a text: `http://me:***@host`, `?password=***`."""
    return _BARE.sub(r"\1:***@", _QUERY.sub(r"\1***", _USER_INFO.sub(r"\1:***@", text)))


def one_line(error: BaseException, letters: int = 200) -> str:
    """Give an error's text, or else its class's name, as one line of so many letters at most, without passwords."""
    text = without_password(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Give the Ctrl-C or SIGTERM that an error is, or that it came of, also where it hides it (`from None`).

    One that comes while a compiled module is imported fails the import: what is raised is then an `ImportError`.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def unshown(error: BaseException) -> str:
    """Say why a figure can't be drawn, in its place."""
    return f"This can't be shown ({type(error).__name__}: {one_line(error)})."
