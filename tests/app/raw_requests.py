"""Requests to the server of the app as programs and attackers send them, without Gradio's client."""

from typing import Any

import httpx

FILE = {"_type": "gradio.FileData"}


def ask(http: httpx.Client, endpoint: str, data: list[Any]) -> str:
    """What a raw call comes to, as the stream of its events."""
    event = http.post(f"/gradio_api/call/{endpoint}", json={"data": data})
    assert event.status_code == 200, event.text
    return http.get(f"/gradio_api/call/{endpoint}/{event.json()['event_id']}").text


def upload_file(http: httpx.Client, name: str, data: bytes) -> str:
    return str(http.post("/gradio_api/upload", files={"files": (name, data)}).json()[0])
