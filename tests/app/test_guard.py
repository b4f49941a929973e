"""Requests that do not fit: each is answered with a sentence, and what fits is let through."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from raw_requests import ask, upload_file

from app import guard

PATH_ONLY = "A recording is {"


def test_malformed_requests_are_survived(http: httpx.Client) -> None:
    for body in (b"", b"{", b"[" * 100_000, b'{"data": "x"}', b'{"data": null}', b"\xff\xfe"):
        answer = http.post("/gradio_api/call/complete", content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500
    assert "complete" in ask(http, "voices", [])


@pytest.mark.parametrize(
    ("endpoint", "body", "sentence"),
    [
        ("transcribe", {}, "The field recording is missing; give null where there is nothing to give."),
        ("transcribe", {"file": None}, 'There is no field "file"; /transcribe takes recording, beams, gates.'),
        ("transcribe", {"recording": None, "beamz": 2}, 'There is no field "beamz"'),
        ("transcribe", {"recording": "UPLOADED"}, PATH_ONLY),
        ("transcribe", {"recording": {"path": "UPLOADED"}}, PATH_ONLY),
        ("transcribe", {"recording": ["UPLOADED"]}, PATH_ONLY),
        ("transcribe", {"recording": 5}, PATH_ONLY),
        ("transcribe", {"recording": {}}, PATH_ONLY),
        ("transcribe", {"recording": None}, "There is no recording."),
        ("transcribe", [], "must be a JSON object"),
        ("transcribe", "text", "must be a JSON object"),
        ("attention", {"recording": "UPLOADED"}, PATH_ONLY),
        ("attention", {"recording": None}, "Give either a recording"),
        ("synthesize", {"text": None}, "There is no text to speak."),
        ("synthesize", {"txt": "Hi."}, "/synthesize takes text, voice, seed, temperature, gates, speed, pitch."),
        ("voices", {"x": 1}, "/voices takes no field."),
        ("sing", {"text": "Hi."}, "There is no endpoint of that name"),
    ],
)
def test_fields_that_do_not_fit_are_told(http: httpx.Client, endpoint: str, body: Any, sentence: str) -> None:
    path = upload_file(http, "a.wav", b"x")
    given = json.loads(json.dumps(body).replace("UPLOADED", path))
    answer = http.post(f"/gradio_api/call/v2/{endpoint}", json=given)
    if answer.status_code == 200:
        text = http.get(f"/gradio_api/call/v2/{endpoint}/{answer.json()['event_id']}").text
        assert text.startswith("event: error\ndata: ")
        message = json.loads(text.partition("data: ")[2])["error"]
    else:
        assert answer.status_code in (404, 422)
        message = answer.json()["detail"]
    assert sentence in message and message.endswith(".") and path not in message


@pytest.mark.parametrize(
    ("data", "sentence"),
    [([], "3 values are needed in order, not 0."), (["/etc/passwd", 1, 1], PATH_ONLY), ([[], 1, 1], PATH_ONLY)],
)
def test_values_that_do_not_fit_are_told(http: httpx.Client, data: list[Any], sentence: str) -> None:
    message = json.loads(ask(http, "transcribe", data).partition("data: ")[2])["error"]
    assert message.startswith(sentence)


def test_half_a_character_is_told(http: httpx.Client) -> None:
    body = b'{"data": ["Hi \\ud800 there.", null, 0, 0.4, 1, 1, 0]}'
    event = http.post("/gradio_api/call/synthesize", content=body, headers={"content-type": "application/json"})
    assert "no characters" in http.get(f"/gradio_api/call/synthesize/{event.json()['event_id']}").text


def test_what_does_not_exist_is_told(http: httpx.Client) -> None:
    for route in ("call/v2/transcribe/none", "call/transcribe/none"):
        answer = http.get(f"/gradio_api/{route}")
        assert (answer.status_code, answer.json()) == (404, {"detail": guard.NO_EVENT})
    for index in (99_999, -1):
        body = {"data": [], "fn_index": index, "session_hash": "x"}
        assert http.post("/gradio_api/queue/join", json=body).json() == {"detail": guard.NO_ENDPOINT}
    assert http.post("/gradio_api/call/sing", json={"data": []}).json() == {"detail": guard.NO_ENDPOINT}


def test_what_the_page_asks_without_waiting_is_let_through(http: httpx.Client) -> None:
    """Buttons that need no model call a function by its number, under a name that stands for any."""
    functions = http.get("/config").json()["dependencies"]
    light = next(f["id"] for f in functions if not f["queue"] and not f["inputs"] and f["backend_fn"])
    answer = http.post("/gradio_api/run/predict", json={"data": [], "fn_index": light, "session_hash": "x"})
    assert answer.status_code == 200, answer.text


def test_a_defect_behind_the_guard_is_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("secret")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, guard.Guard(inner)(scope, receive, send)).result()
    assert sent[0]["status"] == 500 and b"secret" not in sent[1]["body"]
    number = re.search(r"noted as (\w+)\.", json.loads(sent[1]["body"])["detail"])
    assert number and number[1] in caplog.text


def test_the_body_of_a_request_reaches_the_app() -> None:
    """The middleware hands on what it has read, in pieces or whole."""
    seen: list[bytes] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["body"])

    pieces = iter(
        [{"type": "http.request", "body": b'{"a":', "more_body": True}, {"type": "http.request", "body": b"1}"}]
    )

    async def receive() -> Any:
        return next(pieces)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    request = guard.Guard(inner)({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    with ThreadPoolExecutor(1) as pool:  # this thread may be running the loop of the browser
        pool.submit(asyncio.run, request).result()
    assert seen == [b'{"a":1}']
