"""What a raw request to the server may not do: name a file that was not uploaded, an address to fetch, or fill memory.

Gradio itself refuses files outside its upload folder, with an error that holds their paths, and fetches addresses
that people send instead of files. Here both end before Gradio sees them, with a sentence.
"""

import json
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder, is_in_or_equal
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zipper import limits

FOREIGN_FILE = "Only a file that was uploaded here can be used: upload it first, then name the path that came back."
TOO_LARGE = "The request is too large."


class OwnFilesOnly:
    """ASGI middleware around every JSON request; uploads themselves are multipart and pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request and hand it on."""
        if scope["type"] != "http" or scope["method"] != "POST" or _multipart(scope):
            return await self.app(scope, receive, send)
        body = await _read(receive)
        if body is None:
            return await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        if names_foreign_file(_parse(body)):
            return await JSONResponse({"detail": FOREIGN_FILE}, 400)(scope, receive, send)
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def names_foreign_file(data: Any) -> bool:
    """Whether anything in a request's data is a file, as Gradio writes them, that nobody uploaded here."""
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
    except (OSError, ValueError):  # a null byte, a name that is too long
        return False


def _multipart(scope: Scope) -> bool:
    return any(name == b"content-type" and value.startswith(b"multipart/") for name, value in scope["headers"])


async def _read(receive: Receive) -> bytes | None:
    """The body, or None if it is larger than any request of ours."""
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
    except (ValueError, RecursionError):  # not ours to answer
        return None
