"""Errors are told in one line, and no password is in it."""

import pytest

from fanogan_mtl.errors import interruption, one_line, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:Geheim123@127.0.0.1:5000/#/runs", "http://me:***@127.0.0.1:5000/#/runs"),
        ("postgresql+psycopg://me:a/b@host/db", "postgresql+psycopg://me:***@host/db"),
        ("http://me:p@ss@host", "http://me:***@host"),
        ("postgresql:///db?user=me&password=Geheim123&host=/run", "postgresql:///db?user=me&password=***&host=/run"),
        ("from http://a:x@h to s3://b:y@g", "from http://a:***@h to s3://b:***@g"),
        ("invalid address 'me:Geheim123@127.0.0.1:9'", "invalid address 'me:***@127.0.0.1:9'"),
        ("https://host/?api_key=x1&run=2", "https://host/?api_key=***&run=2"),
    ],
)
def test_passwords_in_addresses_are_not_shown(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/models/a@champion", "sqlite:////home/me/mlflow.db", "models:/a@champion", "tcp://h:8786",
        "http://me@host/path", "write to a@b.org about http://host:80 and c@d.org",
    ],
)  # fmt: skip
def test_what_is_no_password_stays(text: str) -> None:
    assert without_password(text) == text


def test_an_error_is_one_line_and_a_password_is_not_half_cut() -> None:
    error = OSError(f"no answer\nfrom http://me:{'s' * 300}@host")
    assert one_line(error) == "no answer from http://me:***@host"
    assert one_line(ValueError("x" * 300), 10) == f"{'x' * 9}…"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_an_interruption_is_found_behind_what_it_became() -> None:
    interrupted = KeyboardInterrupt()
    failed = ImportError("initialization failed")
    failed.__cause__ = interrupted
    later = RuntimeError()
    later.__context__ = failed
    assert interruption(interrupted) is interruption(later) is interrupted
    assert interruption(ValueError()) is None
