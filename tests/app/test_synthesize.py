"""The Synthesize panel's handlers, called as plain functions."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from app import examples
from app.components.status import busy, idle, settled, stopping
from app.examples import Results
from app.sound import audio_url, to_wav
from app.state import Shown
from app.synthesize import tab as synthesize
from app.synthesize.tab import View
from zipper import Zipper, limits
from zipper.errors import LimitError, OptionError, TextError, ZipperError
from zipper.inference import presets
from zipper.results import Speech, SpeechPart

TEXT = "Hello there, how are you today? It was dark."
HEAT = presets.SPEECH_TEMPERATURE
RATE = 1000


def chunks(views: list[View]) -> list[np.ndarray]:
    """What a player hears of some views: each brings all chunks so far."""
    heard: list[str] = []
    for view in views:
        if view.sound.get("chunks"):
            assert view.sound["chunks"][: len(heard)] == heard and view.sound["url"] is None
            heard = view.sound["chunks"]
    return [np.frombuffer(base64.b64decode(chunk), "<i2") / np.float32(32767) for chunk in heard]


def test_a_text_becomes_sound_map_and_files(zipper: Zipper) -> None:
    views = list(synthesize.speak(zipper, TEXT, "bass", 3, HEAT))
    last = views[-1]
    assert isinstance(last.shown, Shown) and isinstance(last.shown.result, Speech)
    speech = last.shown.result
    assert "bass with seed 3" in last.status["text"] and speech.voice == "bass" and speech.seed == 3
    assert last.heatmap["direction"] == "speech_from_text" and last.heatmap["audio"].startswith("gradio_api/file=")
    written, rate = soundfile.read(last.wav["value"])
    assert rate == speech.sample_rate and len(written) == len(speech.samples)
    cues = re.split(r"\n\n", Path(last.srt["value"]).read_text(encoding="utf-8").strip())
    assert [cue.split("\n")[2] for cue in cues] == [word.text for word in speech.words]  # timed word by word
    assert json.loads(Path(last.json["value"]).read_text(encoding="utf-8"))["text"] == speech.text


def test_the_chunks_are_the_sound(zipper: Zipper) -> None:
    views = list(synthesize.speak(zipper, TEXT, None, 3, HEAT))
    parts, speech = chunks(views), views[-1].shown.result
    np.testing.assert_allclose(np.concatenate(parts), speech.samples, atol=1e-4)
    assert len(parts) > 2 and parts[0].size < speech.samples.size / 2  # it begins long before everything is there
    assert {view.sound["rate"] for view in views if "rate" in view.sound} == {speech.sample_rate}
    runs = {view.sound["run"] for view in views if "run" in view.sound}
    again = {view.sound["run"] for view in synthesize.speak(zipper, TEXT, None, 3, HEAT) if "run" in view.sound}
    assert len(runs) == len(again) == 1 and runs != again  # the page tells two runs apart


def test_the_same_seed_gives_the_same_sound(zipper: Zipper) -> None:
    def sound(seed: int) -> np.ndarray:
        return list(synthesize.speak(zipper, TEXT, None, seed, HEAT))[-1].shown.samples

    assert np.array_equal(sound(5), sound(5)) and not np.array_equal(sound(5), sound(6))


@pytest.mark.parametrize(
    "text, voice, seed, heat, error",
    [
        ("", None, 0, HEAT, TextError),
        (None, None, 0, HEAT, TextError),
        ("  \n ", None, 0, HEAT, TextError),
        ("你好", None, 0, HEAT, TextError),
        ("Hello.", "nobody", 0, HEAT, OptionError),
        ("Hello.", None, None, HEAT, OptionError),
        ("Hello.", None, -1, HEAT, OptionError),
        ("Hello.", None, 1.5, HEAT, OptionError),
        ("Hello.", None, float("nan"), HEAT, OptionError),
        ("Hello.", None, float("inf"), HEAT, OptionError),
        ("Hello.", None, 2**60, HEAT, OptionError),
        ("Hello.", None, 0, -1.0, OptionError),
        ("Hello.", None, 0, float("nan"), OptionError),
        ("word " * limits.MAX_TEXT_CHARACTERS, None, 0, HEAT, LimitError),
    ],
)
def test_bad_requests_are_answered_with_one_sentence(
    zipper: Zipper, text: Any, voice: Any, seed: Any, heat: Any, error: type[ZipperError]
) -> None:
    views: list[View] = []
    with pytest.raises(error) as told:
        for view in synthesize.speak(zipper, text, voice, seed, heat):
            views.append(view)
    assert views[-1].status == {"text": str(told.value), "busy": False, "share": None}
    assert not chunks(views)


def test_stop_ends_the_work(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    made, closed = 0, False

    def endless(*_: object, **__: object) -> Iterator[SpeechPart]:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield SpeechPart(np.zeros(RATE, np.float32), RATE)
        finally:
            closed = True

    monkeypatch.setattr(zipper, "synthesize_stream", endless)
    views = synthesize.speak(zipper, TEXT, None, 0, HEAT)
    while made < 4:
        next(views)
    views.close()  # type: ignore[attr-defined]
    assert closed and made == 4


def test_speech_without_an_end_is_kept_and_says_so(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRA_SPEECH_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_SPEECH_SECONDS_PER_CHARACTER", presets.MIN_SPEECH_SECONDS_PER_CHARACTER)
    results = [list(synthesize.speak(zipper, TEXT, None, seed, HEAT))[-1] for seed in range(4)]
    assert any(not view.shown.result.complete for view in results)
    assert all(view.shown.result.complete != ("no end" in view.status["text"]) for view in results)


def test_new_seeds_differ() -> None:
    seeds = {synthesize.new_seed() for _ in range(20)}
    assert len(seeds) > 10 and all(synthesize.whole_seed(seed) == seed for seed in seeds)


def test_examples_are_kept_only_as_they_are_offered(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = examples.texts()
    results = Results(lambda number: synthesize.example_steps(zipper, offered[number]), len(offered))

    def click(voice: str | None, seed: int = 0, heat: float = HEAT) -> list[View]:
        return list(synthesize.speak_example(zipper, results, offered, 0, voice, seed, heat))

    for other in (click("bass"), click(None, seed=7), click(None, heat=0.9)):
        assert other[-1].shown and results.get(0) is None
    computed = click(None)
    assert results.get(0) is computed[-1].shown and all(view.text == offered[0] for view in computed)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(zipper, "synthesize_stream", refused)
    (again,) = click("alto")
    assert again.shown is computed[-1].shown and again.text == offered[0]
    assert "Computed earlier" in again.status["text"] and again.sound["url"].endswith("/speech.wav")


@pytest.mark.parametrize("number", [-1, 99, True, None, "1"])
def test_examples_that_do_not_exist(zipper: Zipper, number: Any) -> None:
    offered = examples.texts()
    results = Results(lambda number: synthesize.example_steps(zipper, offered[number]), len(offered))
    with pytest.raises(OptionError):
        list(synthesize.speak_example(zipper, results, offered, number, None, 0, HEAT))


def test_files_have_our_names_and_secret_folders() -> None:
    first, second = (Path(to_wav(np.zeros(9), 16_000, "../../speech.wav")) for _ in range(2))
    assert first.name == second.name == "speech.wav" and first.parent != second.parent
    assert first.parent.parent == second.parent.parent and audio_url(str(first)).endswith("/speech.wav")


def test_stop_says_when_a_run_has_ended() -> None:
    assert stopping(busy("Speaking"))["text"] == "Stopping …" and "text" not in stopping(idle("Ready"))
    assert settled(busy("Stopping …")) == idle("Stopped.") and "text" not in settled(idle("done"))
    assert "text" not in settled("what a page may send") and "text" not in stopping(None)


def test_sound_comes_early_and_stop_silences_it_in_a_browser(url: str, page: Page) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Synthesize").click()
    page.fill("#synthesize-text textarea", "The old man walked slowly down the road, and nobody saw him. " * 12)
    page.click("#synthesize-go")
    note, status = page.locator("#synthesize-player .player-note"), page.locator("#synthesize-status p")
    expect(note).to_contain_text(re.compile(r"[1-9]\d*\.\d s"))  # a second is heard long before all is made
    expect(status).to_contain_text("so far")
    page.click("#synthesize-stop")
    expect(status).to_have_text("Stopped.")
    expect(note).to_be_empty()
    page.fill("#synthesize-text textarea", "Good morning.")
    page.click("#synthesize-go")
    expect(status).to_contain_text("real-time factor")
    page.wait_for_function("document.querySelector('#synthesize-player audio').currentTime > 0.2")
