"""Several people on one server: they wait in turn, leave when they want, and see only their own results."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import open_page, ready, speak, text_of
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect

from zipper import Zipper

SENTENCE = "The rain stopped, and the whole street smelled of wet leaves."
LONG = " ".join([SENTENCE] * 30)


@pytest.fixture
def left_early(shipped: Zipper, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts whose synthesis was given up before its end."""
    texts: list[str] = []
    synthesize_stream = shipped.synthesize_stream

    def watched(text: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        finished = False
        try:
            for part in synthesize_stream(text, *args, **kwargs):
                finished = part.speech is not None
                yield part
        finally:
            if not finished:
                texts.append(text)

    monkeypatch.setattr(shipped, "synthesize_stream", watched)
    return texts


def given_up(page: Page, left_early: list[str]) -> None:
    """The long synthesis has ended before its end."""
    for _ in range(100):
        if left_early:
            break
        page.wait_for_timeout(100)
    assert left_early == [LONG]


def test_people_wait_in_turn_and_leave_freely(page: Page, browser: Browser, url: str, left_early: list[str]) -> None:
    """A second person sees the queue; when the first closes the tab, the work is freed."""
    client = Client(url, verbose=False)
    first = browser.new_context()
    busy = first.new_page()
    open_page(busy, url)
    speak(busy, LONG)
    expect(busy.locator("#synthesize-status")).to_contain_text("Speaking")
    open_page(page, url)
    speak(page, "Hello there.")
    expect(page.locator("#synthesize-status")).to_contain_text(re.compile(r"queue|\d+/\d+"))
    first.close()
    ready(page, "synthesize-map")
    client.predict("Once upon a", 5, api_name="/complete")
    given_up(page, left_early)


def test_stop_frees_the_model(page: Page, url: str, left_early: list[str]) -> None:
    client = Client(url, verbose=False)
    open_page(page, url)
    speak(page, LONG)
    expect(page.locator("#synthesize-status")).to_contain_text("Speaking")
    page.locator("#synthesize-stop").click()
    expect(page.locator("#synthesize-status")).to_contain_text("Stopped")
    client.predict("Once upon a", 5, api_name="/complete")
    given_up(page, left_early)


def test_results_stay_with_their_people(page: Page, browser: Browser, url: str) -> None:
    """Two tabs at once on the same server show each its own."""
    second = browser.new_context()
    other = second.new_page()
    for opened, name in ((page, "accented"), (other, "noisy")):
        open_page(opened, url)
        opened.locator("#transcribe-examples").get_by_text(re.compile(f"^{name} ")).click()
    texts = []
    for opened, seconds in ((page, "5.1 s"), (other, "6.4 s")):
        ready(opened, "transcribe-map")
        expect(opened.locator("#transcribe-status")).to_contain_text(seconds)
        texts.append(text_of(opened))
    second.close()
    assert texts[0] != texts[1]
