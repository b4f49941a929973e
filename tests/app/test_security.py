"""What a raw request may not do: read other files, reach other machines, learn a path, fill memory or disk."""

import gc
import re
import resource
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from raw_requests import FILE, ask, upload_file

from app import guard, server
from app.settings import EXAMPLES, ROOT, Settings
from zipper import Zipper, limits

SHORT = EXAMPLES / "recordings" / "short.opus"


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
    folder = str(Path(upload_file(http, "a.wav", b"x")).parent)
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


def test_nothing_tells_where_files_lie(http: httpx.Client) -> None:
    """Neither the page nor its description nor an answer to bad input holds a path of the repository or a home."""
    broken = {"path": upload_file(http, "../../a<img src=x onerror=alert(1)>.wav", b"not audio"), "meta": FILE}
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


def test_memory_and_disk_do_not_grow(http: httpx.Client, zipper: Zipper) -> None:
    """200 requests of both directions, after as many sessions as are kept."""
    clip = {"path": upload_file(http, "short.opus", SHORT.read_bytes()), "meta": FILE}

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
