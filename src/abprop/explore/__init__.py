"""A page to play with a fitted run, served to this machine alone.

What it computes are the tasks of `Run`; gradio draws the page and calls back. Nothing is written
into the run, and nothing leaves the machine.
"""

from __future__ import annotations

import os
import socket

from abprop.errors import UserError
from abprop.run import Run
from abprop.say import Say, quiet

__all__ = ["explore"]

HOST = "127.0.0.1"
UPLOAD = 16_000_000  # bytes of a file


def explore(run: Run, port: int | None = None, *, wait: bool = True, say: Say = quiet) -> str:
    """Serve the page of a run on loopback.

    Args:
        run: what to play with.
        port: where to listen; a free one from 7860 on, if None.
        wait: until Ctrl-C; else the page lives as long as the program.
        say: told where the page is.

    Returns:
        Its address.

    Raises:
        UserError: gradio is missing, the port is taken, or there is nothing of this run to play
            with.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when it is imported
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError("explore needs gradio; pip install abprop[explore]") from error
    if port is not None:
        _check_free(port)
    from abprop.explore.page import built, serve

    return serve(built(run, say), HOST, port, UPLOAD, wait=wait, say=say)


def _check_free(port: int) -> None:
    """Before the page is prepared, which takes a while."""
    with socket.socket() as some:
        some.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            some.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another") from error
