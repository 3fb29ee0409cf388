"""A page in the browser to try a model: upload an image or draw a digit, and see what each head says."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan import words as read
from fanogan_mtl.plan.options import DemoOptions
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.scores.try_page import make_page
from fanogan_mtl.tracking.connection import connect

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def demo(options: DemoOptions) -> int:
    """Show the page until Ctrl-C.

    Returns
    -------
    int
        Exit status 0.

    Raises
    ------
    UserError
        Without gradio, for an unknown model or one of vectors, and for an address that is taken.
    """
    if find_spec("gradio") is None:
        raise UserError("the page needs gradio: pip install '.[demo]'")
    if options.model == "none":
        raise UserError("model: which one? Give its address, as models:/NAME/VERSION")
    port = _parse_address(options)
    connect()
    model = load_served(options.model)
    if not model.takes_images:
        raise UserError(f"model {options.model} scores vectors: the page shows images, name a model of images")
    with _uploads():
        page, shown = make_page(model, options.model)
        try:
            page.launch(
                server_name=options.host, server_port=port, quiet=True, prevent_thread_lock=True, share=False,
                ssr_mode=False, footer_links=[], inbrowser=False, app_kwargs=_app_options(), **shown,
            )  # fmt: skip
        except OSError as error:
            raise _taken(options, error) from None
        click.echo(f"{options.model} is at http://{options.host}:{port} (Ctrl-C ends it)")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("ended")
        finally:
            page.close(verbose=False)
    return 0


def _parse_address(options: DemoOptions) -> int:
    """The port, which must be free."""
    port = read.parse_integer("port", options.port, 1, "")
    if port is None or port > 65535:
        raise UserError(f"port {options.port!r}: a whole number from 1 to 65535, please")
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        socket.create_server((options.host, port), family=family).close()
    except OSError as error:
        raise _taken(options, error) from None
    return port


def _taken(options: DemoOptions, error: OSError) -> UserError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
    return UserError(f"{options.host}:{options.port} can't be opened ({reason}): choose another port or host")


def _app_options() -> dict[str, Any]:
    """A visitor who leaves while an upload comes in is no error, of which the server would print a traceback."""
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response

    def end(request: Request, left: ClientDisconnect) -> Response:
        return Response(status_code=400)  # which nobody reads

    return {"exception_handlers": {ClientDisconnect: end}}


@contextmanager
def _uploads() -> Iterator[None]:
    """While active, gradio is quiet, and uploads go to a folder that is removed with the page."""
    with TemporaryDirectory() as folder:
        os.environ |= QUIET | {"GRADIO_TEMP_DIR": folder}  # gradio reads them when it is imported
        yield
