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
from app.components.status import busy, idle, stopped, stopping
from app.examples import ExampleResults
from app.panel import check_seed, with_errors
from app.sound import audio_url, to_wav
from app.state import DisplayedResult
from app.synthesize import tab as synthesize
from app.synthesize.tab import SynthesizeOutputs
from zipper import Zipper, limits
from zipper.errors import LimitError, OptionError, TextError, ZipperError
from zipper.inference import presets
from zipper.results import Speech, SpeechPart

TEXT = "Hello there, how are you today? It was dark."
TEMPERATURE = Zipper.SPEECH_TEMPERATURE
RATE = 1000


def chunks(updates: list[SynthesizeOutputs]) -> list[np.ndarray]:
    """The chunks that some updates bring to a player: each holds all chunks so far."""
    received: list[str] = []
    for update in updates:
        if update.sound.get("chunks"):
            assert update.sound["chunks"][: len(received)] == received and update.sound["url"] is None
            received = update.sound["chunks"]
    return [np.frombuffer(base64.b64decode(chunk), "<i2") / np.float32(32767) for chunk in received]


def test_a_text_becomes_sound_map_and_files(zipper: Zipper) -> None:
    updates = list(synthesize.synthesize(zipper, TEXT, "bass", 3, TEMPERATURE))
    last = updates[-1]
    assert isinstance(last.result, DisplayedResult) and isinstance(last.result.result, Speech)
    speech = last.result.result
    assert "bass with seed 3" in last.status["text"] and speech.voice == "bass" and speech.seed == 3
    assert last.heatmap["direction"] == "speech_from_text" and last.heatmap["audio"].startswith("gradio_api/file=")
    written, rate = soundfile.read(last.wav["value"])
    assert rate == speech.sample_rate and len(written) == len(speech.samples)
    cues = re.split(r"\n\n", Path(last.srt["value"]).read_text(encoding="utf-8").strip())
    assert [cue.split("\n")[2] for cue in cues] == [word.text for word in speech.words]  # timed word by word
    assert json.loads(Path(last.json["value"]).read_text(encoding="utf-8"))["text"] == speech.text


def test_speed_and_pitch_reach_the_speech(zipper: Zipper) -> None:
    usual, other = (
        list(synthesize.synthesize(zipper, TEXT, "bass", 3, TEMPERATURE, *delivery))[-1].result.result
        for delivery in ((), (0.8, 2.0))
    )
    assert other.seconds > 1.15 * usual.seconds
    np.testing.assert_array_equal(
        other.samples, zipper.synthesize(TEXT, "bass", 3, temperature=TEMPERATURE, speed=0.8, pitch=2.0).samples
    )


def test_the_chunks_are_the_sound(zipper: Zipper) -> None:
    updates = list(synthesize.synthesize(zipper, TEXT, None, 3, TEMPERATURE))
    parts, speech = chunks(updates), updates[-1].result.result
    np.testing.assert_allclose(np.concatenate(parts), speech.samples, atol=1e-4)
    assert len(parts) > 2 and parts[0].size < speech.samples.size / 2  # it begins long before everything is there
    assert {update.sound["rate"] for update in updates if "rate" in update.sound} == {speech.sample_rate}
    runs = {update.sound["run"] for update in updates if "run" in update.sound}
    again = {
        update.sound["run"]
        for update in synthesize.synthesize(zipper, TEXT, None, 3, TEMPERATURE)
        if "run" in update.sound
    }
    assert len(runs) == len(again) == 1 and runs != again  # the page tells two runs apart


def test_the_same_seed_gives_the_same_sound(zipper: Zipper) -> None:
    def sound(seed: int) -> np.ndarray:
        return list(synthesize.synthesize(zipper, TEXT, None, seed, TEMPERATURE))[-1].result.samples

    assert np.array_equal(sound(5), sound(5)) and not np.array_equal(sound(5), sound(6))


@pytest.mark.parametrize(
    "text, voice, seed, temperature, error",
    [
        ("", None, 0, TEMPERATURE, TextError),
        (None, None, 0, TEMPERATURE, TextError),
        ("  \n ", None, 0, TEMPERATURE, TextError),
        ("你好", None, 0, TEMPERATURE, TextError),
        ("Hello.", "nobody", 0, TEMPERATURE, OptionError),
        ("Hello.", None, None, TEMPERATURE, OptionError),
        ("Hello.", None, -1, TEMPERATURE, OptionError),
        ("Hello.", None, 1.5, TEMPERATURE, OptionError),
        ("Hello.", None, float("nan"), TEMPERATURE, OptionError),
        ("Hello.", None, float("inf"), TEMPERATURE, OptionError),
        ("Hello.", None, 2**60, TEMPERATURE, OptionError),
        ("Hello.", None, 0, -1.0, OptionError),
        ("Hello.", None, 0, float("nan"), OptionError),
        ("word " * limits.MAX_TEXT_CHARACTERS, None, 0, TEMPERATURE, LimitError),
    ],
)
def test_bad_requests_are_answered_with_one_sentence(
    zipper: Zipper, text: Any, voice: Any, seed: Any, temperature: Any, error: type[ZipperError]
) -> None:
    updates: list[SynthesizeOutputs] = []
    with pytest.raises(error) as raised:
        run = synthesize.synthesize(zipper, text, voice, seed, temperature)
        for update in with_errors(run, SynthesizeOutputs):
            updates.append(update)
    assert updates[-1].status == {"text": str(raised.value), "busy": False, "share": None}
    assert not chunks(updates)


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
    updates = synthesize.synthesize(zipper, TEXT, None, 0, TEMPERATURE)
    while made < 4:
        next(updates)
    updates.close()  # type: ignore[attr-defined]
    assert closed and made == 4


def test_speech_without_an_end_is_kept_and_says_so(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRA_SPEECH_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_SPEECH_SECONDS_PER_CHARACTER", presets.MIN_SPEECH_SECONDS_PER_CHARACTER)
    results = [list(synthesize.synthesize(zipper, TEXT, None, seed, TEMPERATURE))[-1] for seed in range(4)]
    assert any(not update.result.result.complete for update in results)
    assert all(update.result.result.complete != ("no end" in update.status["text"]) for update in results)


def test_new_seeds_differ() -> None:
    seeds = {synthesize.new_seed() for _ in range(20)}
    assert len(seeds) > 10 and all(check_seed(seed) == seed for seed in seeds)


def test_examples_are_kept_only_as_they_are_offered(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = examples.texts()
    results = ExampleResults(lambda number: synthesize.example_steps(zipper, offered[number]), len(offered))

    def click(voice: str | None, seed: int = 0, temperature: float = TEMPERATURE) -> list[SynthesizeOutputs]:
        return list(synthesize.synthesize_example(zipper, results, offered, 0, voice, seed, temperature))

    for other in (click("bass"), click(None, seed=7), click(None, temperature=0.9)):
        assert other[-1].result and results.get(0) is None
    computed = click(None)
    assert results.get(0) is computed[-1].result and all(update.text == offered[0] for update in computed)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(zipper, "synthesize_stream", refused)
    (again,) = click("alto")
    assert again.result is computed[-1].result and again.text == offered[0]
    assert "Computed earlier" in again.status["text"] and again.sound["url"].endswith("/speech.wav")


@pytest.mark.parametrize("number", [-1, 99, True, None, "1"])
def test_examples_that_do_not_exist(zipper: Zipper, number: Any) -> None:
    offered = examples.texts()
    results = ExampleResults(lambda number: synthesize.example_steps(zipper, offered[number]), len(offered))
    with pytest.raises(OptionError):
        list(synthesize.synthesize_example(zipper, results, offered, number, None, 0, TEMPERATURE))


def test_files_have_our_names_and_secret_folders() -> None:
    first, second = (Path(to_wav(np.zeros(9), 16_000, "../../speech.wav")) for _ in range(2))
    assert first.name == second.name == "speech.wav" and first.parent != second.parent
    assert first.parent.parent == second.parent.parent and audio_url(str(first)).endswith("/speech.wav")


def test_stop_says_when_a_run_has_ended() -> None:
    assert stopping(busy("Speaking"))["text"] == "Stopping …" and "text" not in stopping(idle("Ready"))
    assert stopped(busy("Stopping …")) == idle("Stopped.") and "text" not in stopped(idle("done"))
    assert "text" not in stopped("what a page may send") and "text" not in stopping(None)


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
