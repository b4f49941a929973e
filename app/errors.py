"""What people see when something goes wrong: one sentence as a toast, never a trace or a path."""

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
ORIGINAL = "zipper_error"  # attribute of a gr.Error: class and message of the ZipperError that it stands for

# Folders of this machine, whose names are nobody's business; a file's own name may be the person's
_FOLDERS = sorted({tempfile.gettempdir(), str(Path(__file__).resolve().parents[1]), str(Path.home())}, key=len)
_PATH = re.compile(rf"(?:{'|'.join(re.escape(f) for f in reversed(_FOLDERS) if f != '/')})(?:/[^/\s]*)*/")

_TAG = re.compile(r"<[^>]*>")


def guarded(handler: Handler) -> Handler:
    """Wrap a handler, a function or a generator, so that what goes wrong in it reaches the page as a sentence.

    A ZipperError's message is shown as it is; anything else is a defect, logged with an id that the toast names.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def generator(*args: Any, **kwargs: Any) -> Any:
            with told():
                return (yield from handler(*args, **kwargs))

        return generator  # type: ignore[return-value]

    @functools.wraps(handler)
    def function(*args: Any, **kwargs: Any) -> Any:
        with told():
            return handler(*args, **kwargs)

    return function  # type: ignore[return-value]


@contextmanager
def told() -> Iterator[None]:
    """Turn what is raised inside into a gr.Error; see `guarded`."""
    try:
        yield
    except gr.Error:
        raise
    except ZipperError as error:
        shown = gr.Error(sentence(str(error)), title="That did not work", print_exception=False)
        setattr(shown, ORIGINAL, (type(error).__name__, str(error)))
        raise shown from error
    except Exception as error:
        number = secrets.token_hex(4)
        LOG.exception("error %s", number)
        message = f"Something went wrong here; it is noted as {number}. Please try again."
        raise gr.Error(message, title="Our mistake", print_exception=False) from error


@contextmanager
def restored() -> Iterator[None]:
    """Undo `told` around what runs in another process, which hands nothing but gr.Error on as it is."""
    try:
        yield
    except gr.Error as error:
        name, message = getattr(error, ORIGINAL, ("", ""))
        kind = getattr(errors, name, None)
        if kind is None:
            raise
        raise kind(message) from error


def plain(error: Exception) -> str:
    """What an error says, for a place that shows text and no HTML, as the status line."""
    if isinstance(error, gr.Error):
        return html.unescape(_TAG.sub("", str(error.message)))
    return _PATH.sub("", str(error))


def sentence(message: str) -> str:
    """A message as a toast can show it: toasts read HTML, and folders of this machine are left out."""
    return html.escape(_PATH.sub("", message), quote=False)
