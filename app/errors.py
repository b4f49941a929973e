"""What people see when something goes wrong: one sentence as a toast, never a traceback or a path."""

import functools
import html
import inspect
import logging
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from zipper import errors
from zipper.errors import ZipperError

LOG = logging.getLogger("zipper.app")
Handler = TypeVar("Handler", bound=Callable[..., Any])
ORIGINAL_ERROR = "zipper_error"  # attribute of a gr.Error: class and message of the ZipperError that it stands for

# Folders of this machine, which messages must not reveal; the name of the file itself may come from the person
_FOLDERS = sorted({tempfile.gettempdir(), str(Path(__file__).resolve().parents[1]), str(Path.home())}, key=len)
_PATH = re.compile(rf"(?:{'|'.join(re.escape(f) for f in reversed(_FOLDERS) if f != '/')})(?:/[^/\s]*)*/")

_TAG = re.compile(r"<[^>]*>")


def guarded(handler: Handler) -> Handler:
    """Wrap a handler, a function or a generator, so that its errors reach the page as a sentence.

    A ZipperError's message is shown as it is; any other error is a defect, logged with an id that the toast names.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def generator(*args: Any, **kwargs: Any) -> Any:
            with user_errors():
                return (yield from handler(*args, **kwargs))

        return generator  # type: ignore[return-value]

    @functools.wraps(handler)
    def function(*args: Any, **kwargs: Any) -> Any:
        with user_errors():
            return handler(*args, **kwargs)

    return function  # type: ignore[return-value]


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what is raised inside into a gr.Error; see `guarded`."""
    try:
        yield
    except gr.Error:
        raise
    except ZipperError as error:
        toast = gr.Error(toast_html(str(error)), title="That did not work", print_exception=False)
        setattr(toast, ORIGINAL_ERROR, (type(error).__name__, str(error)))
        raise toast from error
    except Exception as error:
        number = secrets.token_hex(4)
        LOG.exception("error %s", number)
        message = f"Something went wrong here; it is noted as {number}. Please try again."
        raise gr.Error(message, title="Our mistake", print_exception=False) from error


@contextmanager
def zipper_errors() -> Iterator[None]:
    """Undo `user_errors` around a call to another process, from which only a gr.Error arrives unchanged."""
    try:
        yield
    except gr.Error as error:
        name, message = getattr(error, ORIGINAL_ERROR, ("", ""))
        kind = getattr(errors, name, None)
        if kind is None:
            raise
        raise kind(message) from error


def plain_text(error: Exception) -> str:
    """The message of an error as text, for places that show no HTML, such as the status line."""
    if isinstance(error, gr.Error):
        return html.unescape(_TAG.sub("", str(error.message)))
    return _PATH.sub("", str(error))


def toast_html(message: str) -> str:
    """A message as HTML, which toasts show; folders of this machine are left out."""
    return html.escape(_PATH.sub("", message), quote=False)
