"""Checks of raw requests: they may not name a file that was not uploaded or an address to fetch, nor fill the memory.

Gradio itself refuses files outside its upload folder with an error that contains their paths, and fetches addresses
that are sent in place of files. Here both are refused with a sentence before Gradio sees them. So are requests that do
not fit their endpoint, which Gradio answers with status 500 or without a reason.
"""

import json
import logging
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zipper import limits

FOREIGN_FILE = "Only a file that was uploaded here can be used: upload it first, then name the path that came back."
TOO_LARGE = "The request is too large."
NO_OBJECT = "The body of the request must be a JSON object with a field for each value."
NO_ENDPOINT = "There is no endpoint of that name; /gradio_api/info lists them all."
NO_EVENT = "There is no event of that number, or its result was fetched before."
UNFIT = "A value of the request is not of the kind that its field takes; /gradio_api/info describes each."
UNFIT_FILE = 'A recording is {"path": PATH, "meta": {"_type": "gradio.FileData"}}, PATH being what its upload answered.'
BROKEN = "Something went wrong here; it is noted as {}."
NAMED = re.compile(r"/(call|call/v2|run|api)/([^/]+)/?$")
FETCHED = re.compile(r"/(?:call|call/v2)/([^/]+)/([^/]+)/?$")
LOG = logging.getLogger("zipper.app")


@dataclass(frozen=True)
class Fields:
    """Names of the values that an endpoint takes, and which of them must be given."""

    names: tuple[str, ...]
    required: frozenset[str]


class Blocks(gr.Blocks):
    """A page that answers unfit values with a sentence, and knows which events are waiting or running.

    Gradio has no public way to ask the latter, so this subclass reads the queue of its base class; nothing else does.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """As Gradio does it, but without the text of its errors and pydantic's, which name internals."""
        needed = len(block_fn.inputs)
        if len(inputs) < needed:
            raise gr.Error(f"{needed} values are needed in order, not {len(inputs)}.", print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            LOG.info("unfit values: %s", type(error).__name__)
            pairs = zip(block_fn.inputs, inputs, strict=False)
            files = [value for block, value in pairs if isinstance(block, gr.Audio) and value is not None]
            message = UNFIT if all(map(_is_file, files)) else UNFIT_FILE
            raise gr.Error(message, print_exception=False) from error

    def fields(self) -> dict[str, Fields]:
        """The fields of each named endpoint."""
        endpoints = self.get_api_info()["named_endpoints"]
        return {
            name.removeprefix("/"): Fields(
                tuple(field["parameter_name"] for field in about["parameters"]),
                frozenset(f["parameter_name"] for f in about["parameters"] if not f["parameter_has_default"]),
            )
            for name, about in endpoints.items()
        }

    def has_event(self, event_id: str) -> bool:
        """Whether an event waits or runs, or its result waits to be fetched."""
        queue = self._queue
        sessions = queue.pending_event_ids_session.values()
        known = event_id in queue.event_ids_to_events or any(event_id in session for session in sessions)
        return known or event_id in queue.pending_messages_per_session

    def client_waits(self, event_id: str) -> bool:
        """Whether the client of an event that runs still waits for its result; True for an event that is not queued."""
        event = self._queue.event_ids_to_events.get(event_id)
        return event is None or event.alive

    def is_busy(self, concurrency_id: str) -> bool:
        """Whether an event with this concurrency id waits or runs."""
        events = self._queue.event_queue_per_concurrency_id.get(concurrency_id)
        return events is not None and (events.current_concurrency > 0 or bool(events.queue))


class Guard:
    """ASGI middleware around every request for a result; uploads themselves are multipart and pass through."""

    def __init__(self, app: ASGIApp, page: Blocks | None = None) -> None:
        self.app, self.page = app, page
        self.fields = {} if page is None else page.fields()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request and hand it on."""
        if scope["type"] != "http" or _multipart(scope):
            await self.app(scope, receive, send)
        elif scope["method"] != "POST":
            await (self._unknown_event(scope["path"]) or self.app)(scope, receive, send)
        elif (body := await _read(receive)) is None:
            await _refusal(413, TOO_LARGE)(scope, receive, send)
        elif (problem := self._refused(scope["path"], _parse(body))) is not None:
            await problem(scope, receive, send)
        else:
            await self._hand_on(body, scope, receive, send)

    async def _hand_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer; an error that it raises instead becomes a sentence in place of a bare status 500."""
        read = started = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, replay, watched)
        except Exception:
            if started:
                raise
            number = secrets.token_hex(4)
            LOG.exception("error %s", number)
            await _refusal(500, BROKEN.format(number))(scope, receive, send)

    def _refused(self, path: str, data: Any) -> JSONResponse | None:
        """The refusal of a request that Gradio must not see; None for one that it may."""
        if names_foreign_file(data):
            return _refusal(400, FOREIGN_FILE)
        if self.page is None:
            return None
        named, index = NAMED.search(path), data.get("fn_index") if isinstance(data, dict) else None
        by_number = isinstance(index, int) and (named is None or named[1] in ("run", "api"))  # as the page itself asks
        if index not in self.page.fns if by_number else named and named[2] not in self.fields:
            return _refusal(404, NO_ENDPOINT)
        if named and named[1] == "call/v2" and (problem := self._misfit(named[2], data)):
            return _refusal(422, problem)
        return None

    def _misfit(self, endpoint: str, data: Any) -> str:
        """A sentence on what is wrong with a request by field names; empty where it fits."""
        fields = self.fields[endpoint]
        if not isinstance(data, dict):
            return NO_OBJECT
        if unknown := sorted(set(data) - set(fields.names)):
            taken = ", ".join(fields.names) or "no field"
            return f"There is no field {json.dumps(unknown[0][:40])}; /{endpoint} takes {taken}."
        if missing := [name for name in fields.names if name in fields.required and name not in data]:
            return f"The field {missing[0]} is missing; give null where there is nothing to give."
        return ""

    def _unknown_event(self, path: str) -> JSONResponse | None:
        """The refusal of a request for a result that does not exist."""
        found = FETCHED.search(path)
        if self.page is None or found is None or found[1] == "v2" or self.page.has_event(found[2]):
            return None
        return _refusal(404, NO_EVENT)


def _refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)


def _is_file(value: Any) -> bool:
    """Whether a value looks like a file, as Gradio writes them."""
    return isinstance(value, dict) and isinstance(value.get("path"), str) and isinstance(value.get("meta"), dict)


def names_foreign_file(data: Any) -> bool:
    """Whether a request's data contains a file, as Gradio writes them, that was not uploaded to this server."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            path = value.get("path")
            if isinstance(path, str) and not _uploaded(path):
                return True
    return False


def _uploaded(path: str) -> bool:
    try:
        return is_in_or_equal(path, get_upload_folder()) and Path(path).is_file()
    except (OSError, ValueError):  # a null byte, or a name that is too long
        return False


def _multipart(scope: Scope) -> bool:
    return any(name == b"content-type" and value.startswith(b"multipart/") for name, value in scope["headers"])


async def _read(receive: Receive) -> bytes | None:
    """The body, or None if it is larger than the limit."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.MAX_UPLOAD_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # Gradio answers it
        return None
