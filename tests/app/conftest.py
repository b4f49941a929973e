"""The app, running in this process on the shipped weights or on the tiny model, and a browser with a microphone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app import models, server
from app.settings import EXAMPLES, Settings
from zipper import Zipper
from zipper.audio.io import load_audio, write_wav

SPOKEN = EXAMPLES / "recordings" / "clear.opus"  # what the fake microphone hears, over and over
MICROPHONE_RATE = 48_000  # Hz, as Chromium's microphone has it
PATIENCE = 120_000  # ms that anything on the page may take on a busy machine


@pytest.fixture(scope="session")
def shipped() -> Zipper:
    """The shipped weights, loaded as the app does."""
    return models.load_model()


@pytest.fixture(scope="session")
def url(shipped: Zipper) -> Iterator[str]:
    """The app on the shipped weights."""
    yield from _running(shipped)


@pytest.fixture(scope="session")
def tiny_url(zipper: Zipper) -> Iterator[str]:
    """The app on the tiny model, which answers at once and means nothing."""
    yield from _running(zipper)


@pytest.fixture
def http(tiny_url: str) -> httpx.Client:
    """A client of the app on the tiny model."""
    return httpx.Client(base_url=tiny_url, timeout=120)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium, or what $CHROMIUM names; missing, it fails in CI and skips elsewhere."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not program:
        message = "Browser tests need Chromium: apt-get install chromium, or set CHROMIUM."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    sound = tmp_path_factory.mktemp("microphone") / "sound.wav"
    write_wav(sound, load_audio(SPOKEN, MICROPHONE_RATE), MICROPHONE_RATE)
    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page with a microphone. When the test ends, nothing may have failed in it or asked another server."""
    context = browser.new_context(permissions=["microphone"], viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    failed: list[str] = []
    hosts: set[str | None] = set()
    opened.on("pageerror", lambda error: failed.append(str(error)))
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield opened
    context.close()
    assert not failed
    assert hosts <= {"127.0.0.1", "localhost", "", None}  # data: and blob: have no host


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests put screenshots: $SCREENSHOTS, or a folder that goes with the tests."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _running(model: Zipper) -> Iterator[str]:
    blocks = server.launch(model, Settings())
    yield str(blocks.local_url).rstrip("/")
    blocks.close()
