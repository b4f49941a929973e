"""The Transcribe panel's handlers, called as plain functions on the tiny model; examples on the shipped one."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from support import MakeSpeech

from app import examples
from app.examples import ExampleResults
from app.panel import NO_RECORDING, with_errors
from app.state import DisplayedResult
from app.transcribe import tab as transcribe
from app.transcribe.tab import TranscribeOutputs
from zipper import Zipper, limits
from zipper.audio.io import load_audio, write_wav
from zipper.errors import AudioError, LimitError, NoSpeechError, OptionError
from zipper.rates import SPEECH_RATE
from zipper.results import Transcript, TranscriptPart
from zipper.weights import ASSETS


@pytest.fixture
def recording(make_speech: MakeSpeech, tmp_path: Path) -> str:
    return str(write_wav(tmp_path / "mine.wav", make_speech(2.0), SPEECH_RATE))


def value(update: Any) -> Any:
    """What a component is set to, by itself or in an update."""
    return update.get("value") if isinstance(update, dict) and "__type__" in update else update


def test_a_recording_becomes_text_map_and_files(zipper: Zipper, recording: str) -> None:
    updates = list(transcribe.transcribe(zipper, recording))
    first, last = updates[0], updates[-1]
    assert first.text == "" and first.heatmap is None and first.result is None  # nothing of an earlier result stays
    assert (
        isinstance(last.result, DisplayedResult)
        and last.text == last.result.result.text == zipper.transcribe(recording).text
    )
    assert len(last.result.samples) == 2 * SPEECH_RATE
    assert last.heatmap["direction"] == "text_from_speech" and "real-time factor" in last.status["text"]
    assert Path(value(last.txt)).read_text(encoding="utf-8") == last.text + "\n"
    assert Path(value(last.srt)).read_text(encoding="utf-8").startswith("1\n")
    assert Path(value(last.vtt)).read_text(encoding="utf-8").startswith("WEBVTT\n")
    assert json.loads(Path(value(last.json)).read_text(encoding="utf-8"))["text"] == last.text
    assert soundfile.info(value(last.wav)).samplerate == SPEECH_RATE
    assert all(file["interactive"] for file in (last.txt, last.srt, last.vtt, last.json, last.wav))


def test_text_and_progress_come_while_it_decodes(
    zipper: Zipper, make_speech: MakeSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcribe, "REFRESH_SECONDS", 0.0)
    updates = list(transcribe.transcribe_samples(zipper, make_speech(25.0)))
    texts = [update.text for update in updates if update.status["busy"]]
    shares = [update.status["share"] for update in updates if update.status["share"] is not None]
    assert len(texts) > 5 and texts[1] != texts[-1]
    assert shares == sorted(shares) and shares[0] == 0 < shares[-1] < 1  # a window's start, of two windows
    assert "of 25 s" in updates[2].status["text"]


@pytest.mark.parametrize("path, error", [(None, AudioError), ("", AudioError), ("/nowhere/gone.wav", AudioError)])
def test_a_click_before_there_is_a_recording(zipper: Zipper, path: str | None, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        list(transcribe.transcribe(zipper, path))
    assert "/nowhere" not in str(raised.value) and (path or str(raised.value) == NO_RECORDING)


def bad_files(folder: Path, make_speech: MakeSpeech) -> Iterator[tuple[Path, type[Exception]]]:
    (folder / "empty.wav").write_bytes(b"")
    yield folder / "empty.wav", AudioError
    (folder / "text.mp3").write_text("not sound at all")
    yield folder / "text.mp3", AudioError
    yield write_wav(folder / "silence.wav", np.zeros(SPEECH_RATE), SPEECH_RATE), NoSpeechError
    yield write_wav(folder / "short.wav", make_speech(0.05), SPEECH_RATE), AudioError
    whole = write_wav(folder / "whole.wav", make_speech(2.0), SPEECH_RATE).read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    yield folder / "cut.wav", AudioError
    yield write_wav(folder / "long.wav", make_speech(3.0), SPEECH_RATE), LimitError


def test_bad_files_are_answered_with_one_sentence(
    zipper: Zipper, make_speech: MakeSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_AUDIO_SECONDS", 2.5)
    for path, error in bad_files(tmp_path, make_speech):
        updates: list[TranscribeOutputs] = []
        with pytest.raises(error) as raised:
            for update in with_errors(transcribe.transcribe(zipper, str(path)), TranscribeOutputs):
                updates.append(update)
        assert str(tmp_path) not in str(raised.value)
        assert updates[-1].status == {
            "text": str(raised.value),
            "busy": False,
            "share": None,
        }  # stays when the toast goes


def test_stop_ends_the_work(zipper: Zipper, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio closes the handler; the model's own iterator must be closed by that, at once."""
    made, closed = 0, False
    monkeypatch.setattr(transcribe, "REFRESH_SECONDS", 0.0)

    def endless(*_: object, **__: object) -> Iterator[TranscriptPart]:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield TranscriptPart(f"word {made}", (), 0.0, 2.0)
        finally:
            closed = True

    monkeypatch.setattr(zipper, "transcribe_stream", endless)
    updates = transcribe.transcribe(zipper, recording)
    while made < 5:
        next(updates)
    updates.close()  # type: ignore[attr-defined]
    assert closed and made == 5


def test_an_incomplete_result_says_so(zipper: Zipper, recording: str) -> None:
    whole = zipper.transcribe(recording)
    cut = DisplayedResult(
        Transcript(whole.passages, 2.0, complete=False), np.zeros(2, np.float32), SPEECH_RATE, 0.5, ""
    )
    kept = DisplayedResult(Transcript(whole.passages, 2.0), np.zeros(2, np.float32), SPEECH_RATE, 0.5, "")
    assert "missing" in transcribe.summary(cut) and "missing" not in transcribe.summary(kept)
    assert "real-time factor 0.25" in transcribe.summary(kept)


def test_examples_are_kept_once_computed(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = examples.recordings()
    results = ExampleResults(lambda number: transcribe.example_steps(zipper, offered[number]), len(offered))
    assert results.get(0) is None
    computed = list(transcribe.transcribe_example(zipper, results, offered, 0))[-1]
    assert results.get(0) is computed.result and results.get(1) is None

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(zipper, "transcribe_stream", refused)
    (again,) = transcribe.transcribe_example(zipper, results, offered, 0)
    assert again.result is computed.result and again.text == computed.text
    assert value(again.reference) == offered[0].text and again.reference["visible"]


@pytest.mark.parametrize("number", [-1, 6, 10**9, True, "0", None, 1.5])
def test_examples_that_do_not_exist(zipper: Zipper, number: Any) -> None:
    offered = examples.recordings()
    results = ExampleResults(lambda number: transcribe.example_steps(zipper, offered[number]), len(offered))
    with pytest.raises(OptionError):
        list(transcribe.transcribe_example(zipper, results, offered, number))


def test_examples_are_prepared_in_the_background(zipper: Zipper, recording: str) -> None:
    displayed = list(transcribe.transcribe(zipper, recording))[-1].result
    steps: list[int] = []

    def compute(number: int) -> Iterator[DisplayedResult | None]:
        steps.append(number)
        yield None
        if number == 1:
            raise NoSpeechError("No speech found in the recording.")
        time.sleep(0.02)
        yield displayed

    results = ExampleResults(compute, 3)
    results.keep(0, displayed)
    results.prepare().join(60)
    assert steps == [1, 2] and results.get(1) is None
    kept = results.get(2)
    assert kept is not None and kept.result is displayed.result and kept.seconds_taken >= 0.02


def test_preparing_waits_for_people_and_does_not_count_that(zipper: Zipper, recording: str) -> None:
    displayed = list(transcribe.transcribe(zipper, recording))[-1].result
    in_use = threading.Event()
    in_use.set()
    results = ExampleResults(lambda _: iter([None, displayed]), 1, in_use.is_set)
    thread = results.prepare()
    waited = 1.0  # s
    time.sleep(waited)
    assert results.get(0) is None
    in_use.clear()
    thread.join(60)
    kept = results.get(0)
    assert kept is not None and kept.seconds_taken < waited


def test_example_files_are_there_and_credited() -> None:
    offered = examples.recordings()
    assert len(offered) >= 5 and all(recording.path.is_file() and recording.license for recording in offered)
    assert not any(recording.text.isupper() for recording in offered)
    assert len(examples.texts()) >= 5


def test_examples_are_read_before_anybody_asks(shipped: Zipper) -> None:
    offered = examples.recordings()
    results = ExampleResults(lambda number: transcribe.example_steps(shipped, offered[number]), 1)
    results.prepare().join()
    kept = results.get(0)
    assert kept is not None
    (update,) = transcribe.transcribe_example(shipped, results, offered, 0)
    assert update.result is kept
    assert update.text == shipped.transcribe(offered[0].path).text and update.heatmap["passages"]


@pytest.mark.parametrize("name", ["clear", "reader"])
def test_noise_behind_the_speech_adds_no_words(shipped: Zipper, name: str) -> None:
    """A microphone that stays open: the search may not be kept from ending while only noise is left."""
    samples = load_audio(ASSETS / "examples" / "recordings" / f"{name}.opus")
    noise = np.random.default_rng(0).normal(0, 0.01, 3 * SPEECH_RATE).astype(np.float32)
    plain = shipped.transcribe((samples, SPEECH_RATE))
    noisy = shipped.transcribe((np.concatenate([samples, noise]), SPEECH_RATE))
    assert len(noisy.words) == len(plain.words)
    assert noisy.words[-1].end < len(samples) / SPEECH_RATE + 0.5
