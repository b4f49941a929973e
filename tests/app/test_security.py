"""What a raw request may not do: read other files, reach other machines, learn a path, fill memory or disk."""

import asyncio
import gc
import json
import re
import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from app import guard, server
from app.errors import guarded
from app.settings import EXAMPLES, ROOT, Settings
from zipper import Zipper, limits
from zipper.errors import AudioError, StorageError

FILE = {"_type": "gradio.FileData"}
SHORT = EXAMPLES / "recordings" / "short.opus"


@pytest.fixture
def http(tiny_url: str) -> httpx.Client:
    return httpx.Client(base_url=tiny_url, timeout=120)


def ask(http: httpx.Client, endpoint: str, data: list[Any]) -> str:
    """What a raw call comes to, as the stream of its events."""
    event = http.post(f"/gradio_api/call/{endpoint}", json={"data": data})
    assert event.status_code == 200, event.text
    return http.get(f"/gradio_api/call/{endpoint}/{event.json()['event_id']}").text


def upload(http: httpx.Client, name: str, data: bytes) -> str:
    return str(http.post("/gradio_api/upload", files={"files": (name, data)}).json()[0])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "README.md",
        str(ROOT / "README.md"),
        f"{tempfile.gettempdir()}/../etc/passwd",
        "http://127.0.0.1:22/",
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/a.wav",
        "file:///etc/passwd",
        "\0",
        "a" * 5000,
    ],
)
def test_files_that_nobody_uploaded_are_refused(http: httpx.Client, path: str) -> None:
    for route in ("call/transcribe", "call/v2/transcribe", "queue/join", "run/transcribe"):
        for meta in (FILE, {}, None):
            recording = {"path": path, "meta": meta}
            body = {"recording": recording} if "v2" in route else {"data": [recording], "fn_index": 0}
            answer = http.post(f"/gradio_api/{route}", json={**body, "session_hash": "x"})
            assert answer.status_code == 400
            assert answer.json() == {"detail": guard.FOREIGN_FILE}


def test_an_uploaded_folder_is_refused(http: httpx.Client) -> None:
    folder = str(Path(upload(http, "a.wav", b"x")).parent)
    answer = http.post("/gradio_api/call/transcribe", json={"data": [{"path": folder, "meta": FILE}, 1, 1]})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        str(ROOT / "README.md"),
        str(ROOT / "app" / "main.py"),
        "http://127.0.0.1:22/",
        "https://example.com/",
    ],
)
def test_other_files_are_not_served(http: httpx.Client, path: str) -> None:
    assert http.get(f"/gradio_api/file={path}").status_code == 403


def test_nothing_is_fetched_for_others(http: httpx.Client) -> None:
    assert http.get("/gradio_api/proxy=http://127.0.0.1:22/").status_code == 400


@pytest.mark.parametrize("route", ["/monitoring", "/monitoring/summary", "/gradio_api/vibe-code", "/gradio_api/runs"])
def test_what_is_not_ours_is_closed(http: httpx.Client, route: str) -> None:
    assert http.get(route).status_code in (403, 404)


def test_the_queue_cannot_be_skipped(http: httpx.Client) -> None:
    answer = http.post("/gradio_api/run/synthesize", json={"data": ["Hello.", "", 0, 0.7, 1]})
    assert answer.status_code == 404


def test_large_requests_are_refused(http: httpx.Client) -> None:
    large = b"0" * (limits.MAX_UPLOAD_BYTES + 1)
    assert http.post("/gradio_api/upload", files={"files": ("a.wav", large)}).status_code == 413
    assert http.post("/gradio_api/call/complete", content=large).status_code == 413


def test_malformed_requests_are_survived(http: httpx.Client) -> None:
    for body in (b"", b"{", b"[" * 100_000, b'{"data": "x"}', b'{"data": null}', b"\xff\xfe"):
        answer = http.post("/gradio_api/call/complete", content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500
    assert "complete" in ask(http, "voices", [])


PATH_ONLY = "A recording is {"


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
        ("synthesize", {"txt": "Hi."}, "/synthesize takes text, voice, seed, temperature, gates."),
        ("voices", {"x": 1}, "/voices takes no field."),
        ("sing", {"text": "Hi."}, "There is no endpoint of that name"),
    ],
)
def test_fields_that_do_not_fit_are_told(http: httpx.Client, endpoint: str, body: Any, sentence: str) -> None:
    path = upload(http, "a.wav", b"x")
    given = json.loads(json.dumps(body).replace("UPLOADED", path))
    answer = http.post(f"/gradio_api/call/v2/{endpoint}", json=given)
    if answer.status_code == 200:
        text = http.get(f"/gradio_api/call/v2/{endpoint}/{answer.json()['event_id']}").text
        assert text.startswith("event: error\ndata: ")
        told = json.loads(text.partition("data: ")[2])["error"]
    else:
        assert answer.status_code in (404, 422)
        told = answer.json()["detail"]
    assert sentence in told and told.endswith(".") and path not in told


@pytest.mark.parametrize(
    ("data", "sentence"),
    [([], "3 values are needed in order, not 0."), (["/etc/passwd", 1, 1], PATH_ONLY), ([[], 1, 1], PATH_ONLY)],
)
def test_values_that_do_not_fit_are_told(http: httpx.Client, data: list[Any], sentence: str) -> None:
    told = json.loads(ask(http, "transcribe", data).partition("data: ")[2])["error"]
    assert told.startswith(sentence)


def test_half_a_character_is_told(http: httpx.Client) -> None:
    body = b'{"data": ["Hi \\ud800 there.", null, 0, 0.4, 1]}'
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


def test_work_stops_when_its_client_leaves(model_folder: Path) -> None:
    """The next person does not wait for what nobody wants: neither for work at hand nor for what was queued."""
    model = Zipper.from_pretrained(model_folder)
    begun, ended = threading.Event(), threading.Event()
    real = model.synthesize_steps

    def slow(text: str, *args: Any, **kwargs: Any) -> Any:
        if len(text) < 100:
            yield from real(text, *args, **kwargs)
            return
        try:
            for count, item in enumerate(real(text, *args, **kwargs)):
                if count > 3:
                    begun.set()
                time.sleep(0.05)
                yield item
        finally:
            ended.set()

    model.synthesize_steps = slow  # type: ignore[method-assign]
    blocks = server.launch(model, Settings())
    try:
        http = httpx.Client(base_url=str(blocks.local_url), timeout=120)
        route = "/gradio_api/call/v2/synthesize"
        long = {"text": "It was a dark and stormy night. " * 60}
        first, queued = (http.post(route, json=long).json()["event_id"] for _ in range(2))
        with http.stream("GET", f"{route}/{first}"), http.stream("GET", f"{route}/{queued}"):
            assert begun.wait(60)
        began = time.monotonic()
        said = http.post(route, json={"text": "Hello."}).json()["event_id"]
        assert "event: " in http.get(f"{route}/{said}").text
        assert ended.is_set()
        assert time.monotonic() - began < 30  # all of it would have taken some minutes
    finally:
        blocks.close(verbose=False)


def test_nothing_tells_where_files_lie(http: httpx.Client) -> None:
    """Neither the page nor its description nor an answer to bad input holds a path of the repository or a home."""
    broken = {"path": upload(http, "../../a<img src=x onerror=alert(1)>.wav", b"not audio"), "meta": FILE}
    texts = [
        http.get("/").text,
        http.get("/config").text,
        http.get("/gradio_api/info").text,
        ask(http, "transcribe", [broken, 1, 1]),
        ask(http, "transcribe", [5, 1, 1]),
        ask(http, "transcribe", ["/etc/passwd", 1, 1]),
        ask(http, "synthesize", [{"a": [1]}, 7, None, None, None]),
    ]
    for text in texts:
        assert str(ROOT) not in text
        assert f"{Path.home()}/" not in text
        assert "Traceback" not in text
        assert "onerror=alert(1)>" not in text
    assert "is not audio in a known format" in texts[3]
    assert not re.search(r"\"error\": \"[^\"]*/", texts[3])


@pytest.mark.parametrize("name", ["plain", "generator"])
def test_errors_become_sentences(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> None:
        raise error

    def fail_later(error: Exception) -> Any:
        yield 1
        raise error

    def call(error: Exception) -> gr.Error:
        with pytest.raises(gr.Error) as raised:
            guarded(fail)(error) if name == "plain" else list(guarded(fail_later)(error))
        return raised.value

    folder = tempfile.gettempdir()
    assert call(AudioError(f"There is no file {folder}/gradio/abc/clip.wav.")).message == "There is no file clip.wav."
    assert call(StorageError(f"Could not save {ROOT}/x.wav: full.")).message == "Could not save x.wav: full."
    assert "&lt;img" in call(AudioError("<img src=x> is empty.")).message
    assert call(AudioError("a")).print_exception is False
    own = gr.Error("mine")
    assert call(own) is own
    told = call(ValueError(f"secret {ROOT}"))
    number = re.search(r"noted as (\w+)", told.message)
    assert number and "secret" not in told.message
    assert number[1] in caplog.text and "secret" in caplog.text  # where somebody can look it up


def test_a_guarded_generator_is_closed_with_its_work() -> None:
    closed = []

    def work() -> Any:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    running = guarded(work)()
    assert next(running) == 1
    running.close()
    assert closed == [True]


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


def test_memory_and_disk_do_not_grow(http: httpx.Client, zipper: Zipper) -> None:
    """200 requests of both directions, after as many sessions as are kept."""
    clip = {"path": upload(http, "short.opus", SHORT.read_bytes()), "meta": FILE}

    def both(seed: int) -> None:
        assert "event: complete" in ask(http, "transcribe", [clip, 1, 1])
        ask(http, "synthesize", ["Hello.", "", seed, 0.7, 1])  # the tiny model's speech may come to no end

    for thread in threading.enumerate():
        if thread.name == "examples":  # their results are kept, once
            thread.join()
    for _ in range(server.SESSIONS):
        ask(http, "voices", [])
    for seed in range(5):
        both(seed)
    grown = []
    for _ in range(4):  # what is taken once, such as a pool of a new thread, comes in one part; a leak in all of them
        before = memory()
        for seed in range(25):
            both(seed)
        gc.collect()
        grown.append((memory() - before) / 2**20)
    assert min(grown) < 5, f"MB in each 50 requests: {[round(part) for part in grown]}"


def memory() -> int:
    """Bytes of this process in memory, the app's among them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
