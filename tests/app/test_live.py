"""Reading along: agreement between readings, bounded windows, and messages that come twice, late or broken."""

import base64
import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from support import MakeSpeech

from app import server
from app.components.live_microphone import Agreement, LiveRecording, transcribe_chunk
from app.examples import recordings
from app.settings import Settings
from zipper import Zipper, limits
from zipper.audio.io import load_audio
from zipper.errors import AudioError, LimitError
from zipper.rates import SPEECH_RATE
from zipper.results import Transcript, Word


def words(text: str, start: float = 0.0, each: float = 0.4) -> list[Word]:
    return [Word(w, start + i * each, start + (i + 1) * each, 0.5) for i, w in enumerate(text.split())]


def texts(found: list[Word]) -> str:
    return " ".join(word.text for word in found)


def test_a_word_is_final_when_two_readings_agree() -> None:
    agreement = Agreement()
    agreement.add(words("the rein"))
    assert agreement.final == [] and texts(agreement.tentative) == "the rein"
    agreement.add(words("The rain stops"))
    assert texts(agreement.final) == "The" and texts(agreement.tentative) == "rain stops"
    agreement.add(words("the rain, stopped and"))
    assert texts(agreement.final) == "The rain," and texts(agreement.tentative) == "stopped and"
    agreement.finalize()
    assert texts(agreement.final) == "The rain, stopped and" and not agreement.tentative


def test_a_final_word_that_is_heard_again_a_little_later_is_not_written_twice() -> None:
    agreement = Agreement(final=words("one two"))
    agreement.add([Word("two", 0.75, 1.0), Word("three", 1.0, 1.4)])
    assert texts(agreement.tentative) == "three"


@given(st.lists(st.lists(st.sampled_from("a b c d".split()), max_size=8), max_size=8))
def test_final_words_never_change(readings: list[list[str]]) -> None:
    agreement, before = Agreement(), ""
    for reading in readings:
        agreement.add(words(" ".join(reading)))
        after = texts(agreement.final)
        assert after.startswith(before)
        before = after


class Clockwork:
    """Stands in for the model: a word for each half second of the window, named by its position in the recording."""

    def __init__(self) -> None:
        self.recording: LiveRecording | None = None
        self.longest = 0.0

    def transcribe(self, source: tuple[np.ndarray, int], *, beams: int) -> Transcript:
        samples, rate = source
        assert self.recording is not None
        seconds, start = len(samples) / rate, self.recording.window_start
        self.longest = max(self.longest, seconds)
        found = [
            Word(f"w{n}", n / 2 - start, (n + 1) / 2 - start)
            for n in range(round(start * 2), int((start + seconds) * 2))
        ]
        return _Transcript(found)  # type: ignore[return-value]


class _Transcript:
    def __init__(self, found: list[Word]) -> None:
        self.words = tuple(found)


def tone(seconds: float, rate: int = SPEECH_RATE) -> np.ndarray:
    return (np.sin(np.arange(round(seconds * rate)) / 9) * 9000).astype(np.int16)


@pytest.mark.parametrize("step", [0.5, 1.0, 1.3, 40.0])
def test_windows_stay_bounded_and_no_word_is_lost(step: float) -> None:
    model = Clockwork()
    recording = model.recording = LiveRecording("one", SPEECH_RATE)
    sound = tone(60.0)
    size = round(step * SPEECH_RATE)
    for start in range(0, len(sound), size):
        recording.add(start, sound[start : start + size], start + size >= len(sound))
        recording.transcribe(model)  # type: ignore[arg-type]
        assert len(recording.window) <= limits.MAX_LIVE_WINDOW_SECONDS * SPEECH_RATE
    recording.finish()
    assert [word.text for word in recording.words.final] == [f"w{n}" for n in range(120)]
    assert model.longest <= limits.MAX_LIVE_WINDOW_SECONDS
    assert len(recording.samples) == len(sound)


def test_a_recording_at_another_rate_is_heard_whole() -> None:
    recording = LiveRecording("one", 48_000)
    sound = tone(2.0, 48_000)
    for start in range(0, len(sound), 5_000):
        recording.add(start, sound[start : start + 5_000], start + 5_000 >= len(sound))
    assert abs(len(recording.samples) - 2 * SPEECH_RATE) <= 16 and recording.seconds == 2.0


def message(samples: np.ndarray, **more: Any) -> dict[str, Any]:
    packed = base64.b64encode(samples.astype("<i2").tobytes()).decode()
    return {"recording": "one", "rate": SPEECH_RATE, "start": 0, "sound": packed, "last": False} | more


def test_messages_that_come_twice_change_nothing(zipper: Zipper, make_speech: MakeSpeech) -> None:
    sound = (make_speech(3.0) * 32767).astype(np.int16)
    half = len(sound) // 2
    first, recording = transcribe_chunk(zipper, None, message(sound[:half]))
    assert first["received"] == half and not first["finished"]
    again, recording = transcribe_chunk(
        zipper, recording, message(sound)
    )  # it had not been answered, and holds more by now
    last, recording = transcribe_chunk(zipper, recording, message(sound[half:], start=half, last=True))
    assert again["received"] == last["received"] == len(sound)
    assert (
        recording is not None and len(recording.samples) == len(sound) and last["finished"] and last["tentative"] == ""
    )
    twice, recording = transcribe_chunk(zipper, recording, message(sound[half:], start=half, last=True))
    assert twice == last


def test_another_recording_starts_afresh(zipper: Zipper, make_speech: MakeSpeech) -> None:
    sound = (make_speech(2.0) * 32767).astype(np.int16)
    _, recording = transcribe_chunk(zipper, None, message(sound, last=True))
    answer, other = transcribe_chunk(zipper, recording, message(sound[:SPEECH_RATE], recording="two"))
    assert answer["recording"] == "two" and answer["received"] == SPEECH_RATE and other is not recording


def test_a_live_recording_has_an_end(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LIVE_SECONDS", 2.0)
    answer, recording = transcribe_chunk(
        zipper, None, message(np.zeros(5 * SPEECH_RATE, np.int16), rate=2 * SPEECH_RATE)
    )
    assert (
        answer["finished"]
        and answer["full"]
        and recording is not None
        and len(recording.samples) <= 2 * SPEECH_RATE + 16
    )


class Failing:
    """Stands in for a model whose readings go wrong for a while."""

    def __init__(self, model: Zipper, *errors: Exception) -> None:
        self.model, self.errors = model, list(errors)

    def transcribe(self, *args: Any, **kwargs: Any) -> Transcript:
        if self.errors:
            raise self.errors.pop(0)
        return self.model.transcribe(*args, **kwargs)


@pytest.mark.parametrize(
    "error", [LimitError("One passage took too long."), ValueError("a defect"), gr.Error("You have no more quota.")]
)
def test_an_error_while_reading_loses_no_sound(zipper: Zipper, make_speech: MakeSpeech, error: Exception) -> None:
    sound = (make_speech(3.0) * 32767).astype(np.int16)
    half = len(sound) // 2
    model: Any = Failing(zipper, error)
    first, recording = transcribe_chunk(model, None, message(sound[:half]))
    assert first["problem"] and first["received"] == half and not first["finished"]
    second, recording = transcribe_chunk(model, recording, message(sound[half:], start=half, last=True))
    assert "problem" not in second and second["finished"] and second["final"]
    assert recording is not None and len(recording.samples) == len(sound)


def test_an_error_in_the_last_reading_still_ends_the_recording(zipper: Zipper, make_speech: MakeSpeech) -> None:
    sound = (make_speech(2.0) * 32767).astype(np.int16)
    model: Any = Failing(zipper, LimitError("One passage took too long."))
    answer, recording = transcribe_chunk(model, None, message(sound, last=True))
    assert answer["problem"] == "One passage took too long." and answer["finished"]
    assert recording is not None and len(recording.samples) == len(sound)


def test_sound_that_cannot_be_taken_ends_the_recording_with_what_there_is(
    zipper: Zipper, make_speech: MakeSpeech
) -> None:
    sound = (make_speech(2.0) * 32767).astype(np.int16)
    _, recording = transcribe_chunk(zipper, None, message(sound))
    answer, recording = transcribe_chunk(zipper, recording, message(sound, start=10**6))
    assert "missing" in answer["problem"] and answer["finished"] and answer["received"] == len(sound)
    assert recording is not None and len(recording.samples) == len(sound)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"rate": -1},
        {"rate": 10**12},
        {"rate": "8"},
        {"start": -5},
        {"start": 10**6},
        {"start": True},
        {"sound": "%%%"},
        {"sound": 7},
        {"sound": "A" * 40_000_000},
        {"last": "yes"},
        {"recording": 3},
    ],
)
def test_broken_messages_are_answered(zipper: Zipper, broken: Any) -> None:
    whole = message(tone(1)) | broken if isinstance(broken, dict) and broken else broken
    answer, recording = transcribe_chunk(zipper, None, whole)
    assert answer["problem"] and recording is None


def test_a_gap_is_an_error() -> None:
    recording = LiveRecording("one", SPEECH_RATE)
    with pytest.raises(AudioError, match="missing"):
        recording.add(1, tone(1), False)


def test_reading_along_on_the_shipped_weights(shipped: Zipper) -> None:
    """Words appear before the end, final ones stay, and the outcome resembles what is read at once."""
    source = next(recording for recording in recordings() if recording.name == "long")
    sound = (load_audio(source.path) * 32767).astype(np.int16)
    recording, before, early = None, "", 0
    for start in range(0, len(sound), SPEECH_RATE):
        last = start + SPEECH_RATE >= len(sound)
        piece = message(sound[start : start + SPEECH_RATE], start=start, last=last)
        answer, recording = transcribe_chunk(shipped, recording, piece)
        assert answer["final"].startswith(before)
        before = answer["final"]
        early = early or (0 if last else len(before.split()))
    whole = shipped.transcribe((sound, SPEECH_RATE)).text.lower().split()
    assert early and answer["finished"]
    assert 0.7 < len(before.split()) / len(whole) < 1.3
    assert len(set(before.lower().split()) & set(whole)) > len(set(whole)) / 3


def test_live_mode_in_a_browser(url: str, page: Page) -> None:
    """Speak, see words while speaking, stop: all words are final, and the whole recording is read once more."""
    page.goto(url)
    page.get_by_role("tab", name="Live").click()
    live = page.locator("#transcribe-live")
    live.get_by_role("button", name="Start speaking").click()
    expect(live.locator(".live-text")).to_have_text(re.compile(r"\w+ \w+"))  # while it still records
    expect(live.get_by_role("button", name="Stop and read it all")).to_be_visible()
    expect(live.locator(".live-final").first).to_have_text(re.compile(r"\w"))
    early = live.locator(".live-final").first.inner_text()
    live.get_by_role("button", name="Stop and read it all").click()
    expect(live.locator(".live-note")).to_contain_text("final")
    expect(live.locator(".live-text .live-tentative")).to_be_empty()
    assert live.locator(".live-final").first.inner_text().startswith(early)
    expect(page.locator("#transcribe-status")).to_contain_text("real-time factor")
    assert page.locator("#transcribe-text textarea").input_value()
    expect(page.locator("#transcribe-map canvas").first).to_be_visible()


def test_an_error_does_not_end_live_mode_in_a_browser(model_folder: Path, page: Page) -> None:
    """The person is told and speaks on; in the end the whole recording is read, the part that met the error too."""
    model = Zipper.from_pretrained(model_folder)
    failing = Failing(Zipper.from_pretrained(model_folder), *[LimitError("One passage took too long.")] * 2)
    model.transcribe = failing.transcribe  # type: ignore[method-assign]
    blocks = server.launch(model, Settings())
    try:
        page.goto(str(blocks.local_url))
        page.get_by_role("tab", name="Live").click()
        live = page.locator("#transcribe-live")
        live.get_by_role("button", name="Start speaking").click()
        expect(live.locator(".live-note")).to_contain_text("One passage took too long.")
        expect(live.get_by_role("button", name="Stop and read it all")).to_be_visible()
        expect(live.locator(".live-text")).to_have_text(re.compile(r"\S"))  # the third reading went well
        live.get_by_role("button", name="Stop and read it all").click()
        expect(page.locator("#transcribe-status")).to_contain_text("real-time factor")
    finally:
        blocks.close(verbose=False)
