"""The app as people use it: recording and typing in a browser, on the shipped weights."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile
from browsing import choose_example, open_page, picture, ready, speak, tab, text_of, upload
from playwright.sync_api import Download, Locator, Page, expect
from support import MakeSpeech

from zipper import limits
from zipper.audio.io import write_wav
from zipper.rates import SPEECH_RATE

SENTENCE = "The rain stopped, and the whole street smelled of wet leaves."


def playing(sound: Locator) -> float:
    """Seconds at which a player is, once it is under way."""
    sound.evaluate(
        """async (audio) => {
            for (let i = 0; i < 1200 && (audio.paused || audio.currentTime < 0.05); i++)
                await new Promise((wake) => setTimeout(wake, 50));
        }"""
    )
    first = float(sound.evaluate("audio => audio.currentTime"))
    assert first > 0
    return first


def saved(download: Download) -> bytes:
    path = download.path()
    assert path
    return Path(path).read_bytes()


def downloaded(page: Page, click: Callable[[], None]) -> bytes:
    """What a click downloads."""
    with page.expect_download() as started:
        click()
    return saved(started.value)


def test_record_read_and_hear_a_word(page: Page, url: str) -> None:
    open_page(page, url)
    recorder = page.locator("#transcribe-recording")
    recorder.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(5500)  # what the microphone hears lasts 4.7 s
    recorder.get_by_role("button", name="Stop", exact=True).click()
    shown = ready(page, "transcribe-map")
    expect(page.locator("#transcribe-status")).to_contain_text("real-time factor")
    assert len(text_of(page).split()) >= 3
    words = shown.locator(".zm-items button")
    assert [re.sub(r"\s+", " ", w).strip() for w in words.all_inner_texts()] == text_of(page).split()
    words.nth(2).click()
    assert playing(shown.locator(".zm-audio")) > 0.2  # from the middle of the recording


def test_an_example_is_there_at_once_and_so_is_its_map(page: Page, url: str) -> None:
    open_page(page, url)
    choose_example(page, "short")  # by now somebody or the server itself has read it
    expect(page.locator("#transcribe-reference textarea")).to_have_value("no that's not what i mean")
    page.locator("#transcribe-examples").get_by_text(re.compile("^clear ")).click()
    expect(page.locator("#transcribe-status")).to_contain_text("4.7 s")  # this one too, if it was not yet
    page.locator("#transcribe-examples").get_by_text(re.compile("^short ")).click()
    expect(page.locator("#transcribe-status")).to_contain_text("3.0 s")
    ready(page, "transcribe-map")


def test_type_hear_and_follow(page: Page, url: str) -> None:
    open_page(page, url)
    speak(page, SENTENCE)
    player = page.locator("#synthesize-player audio").first
    player.wait_for(state="attached")
    first = playing(player)
    page.wait_for_timeout(600)
    assert float(player.evaluate("audio => audio.currentTime")) > first  # time advances
    shown = ready(page, "synthesize-map")
    assert " ".join(shown.locator(".zm-items button").all_inner_texts()).split() == SENTENCE.split()
    own = shown.locator(".zm-audio")
    own.evaluate("audio => { audio.currentTime = 0; return audio.play(); }")
    playing(own)
    cursor = shown.locator(".zm-cursor")
    here = float(cursor.get_attribute("data-seconds") or 0)
    page.wait_for_timeout(500)
    assert float(cursor.get_attribute("data-seconds") or 0) > here


def test_switch_head(page: Page, url: str) -> None:
    open_page(page, url)
    shown = choose_example(page, "clear")
    pictures = [picture(shown)]
    shown.get_by_role("button", name="One head").click()
    for point in ("0", "1"):
        shown.locator(".zm-point").select_option(index=int(point))
        pictures.append(picture(shown))
    assert len(set(pictures)) == len(pictures)
    expect(shown.locator(".zm-name")).to_contain_text("zip point 2")


def test_a_long_recording_is_turned_page_by_page(
    page: Page, tiny_url: str, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    open_page(page, tiny_url)
    upload(page, write_wav(tmp_path / "long.wav", make_speech(25.0), SPEECH_RATE))
    shown = ready(page, "transcribe-map")
    expect(shown.locator(".zm-passage")).to_have_text("passage 1 of 2")
    first = picture(shown)
    tab(page, "Explore")  # what is on the page outlives a look elsewhere
    tab(page, "Transcribe")
    shown.get_by_role("button", name="Next passage").click()
    expect(shown.locator(".zm-passage")).to_have_text("passage 2 of 2")
    assert picture(shown) != first
    tab(page, "Explore")
    tab(page, "Transcribe")
    shown.get_by_role("button", name="Passage before").click()
    expect(shown.locator(".zm-passage")).to_have_text("passage 1 of 2")
    assert picture(shown) == first


def test_unzip(page: Page, url: str) -> None:
    open_page(page, url)
    tab(page, "Explore")
    page.locator("#gates-close").click()
    expect(page.locator("#gates-slider-0 input[type=number]")).to_have_value("0")
    page.locator("#gates-run").click()
    maps = page.get_by_role("tabpanel").locator(".zm[data-state=ready]:visible")
    expect(maps).to_have_count(2)
    before, after = ([w.strip() for w in maps.nth(i).locator(".zm-items button").all_inner_texts()] for i in range(2))
    assert before != after


def test_exports_open(page: Page, url: str) -> None:
    open_page(page, url)
    shown = choose_example(page, "short")
    said = text_of(page)
    assert downloaded(page, page.locator("#transcribe-txt").click).decode().strip() == said
    assert " --> " in downloaded(page, page.locator("#transcribe-srt").click).decode()
    assert downloaded(page, page.locator("#transcribe-vtt").click).startswith(b"WEBVTT")
    assert json.loads(downloaded(page, page.locator("#transcribe-json").click))["text"] == said
    assert soundfile.read(io.BytesIO(downloaded(page, page.locator("#transcribe-wav").click)))[1] == 16_000
    shown.locator(".zm-export").click()
    links = page.locator(".file-preview a[download]:visible")
    expect(links).to_have_count(6)
    found = {}
    for link in links.all():
        data = downloaded(page, link.click)
        found[Path(link.get_attribute("download") or "").suffix] = data
    assert set(found) == {".png", ".svg", ".gif", ".csv", ".npz", ".json"}
    assert found[".png"].startswith(b"\x89PNG") and found[".gif"].startswith(b"GIF89a")
    assert ElementTree.fromstring(found[".svg"]).tag.endswith("svg")
    with np.load(io.BytesIO(found[".npz"])) as arrays:
        assert arrays.files
    assert len(found[".csv"].splitlines()) > 3
    assert json.loads(found[".json"])


def test_bad_input_is_a_toast(page: Page, url: str, tmp_path: Path) -> None:
    open_page(page, url)
    toast = page.get_by_test_id("toast-body")
    broken = tmp_path / "broken<b>.wav"
    broken.write_bytes(b"this is not audio")
    upload(page, broken)
    expect(toast.first).to_contain_text("is not audio in a known format")
    assert "/" not in toast.first.inner_text()
    tab(page, "Synthesize")
    page.locator("#synthesize-go").click()
    expect(toast.filter(has_text="no text")).to_be_visible()


def test_html_in_a_text_shows_as_text(page: Page, url: str) -> None:
    open_page(page, url)
    nasty = "Say <img src=x onerror=window.hacked=1> now."
    speak(page, nasty)
    shown = ready(page, "synthesize-map")
    shown.get_by_role("button", name="Tokens").click()
    shown.locator(".zm-stage").hover()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_long_text_is_a_toast(page: Page, url: str) -> None:
    open_page(page, url)
    speak(page, "word " * limits.MAX_TEXT_CHARACTERS)
    expect(page.get_by_test_id("toast-body")).to_contain_text(f"{limits.MAX_TEXT_CHARACTERS:,}")
