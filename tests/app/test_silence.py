"""The shipped weights where people pause, wait, leave the microphone open, or speak another language."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.components.live_microphone import LiveRecording
from app.endpoints import Endpoints
from app.examples import recordings
from app.state import DisplayedResult
from app.transcribe import tab as transcribe
from zipper import Zipper, cli
from zipper.audio.io import Samples, load_audio, write_wav
from zipper.errors import NoSpeechError
from zipper.evaluation.signals import SIGNALS, room_noise, silence
from zipper.inference import engine
from zipper.rates import SPEECH_RATE
from zipper.results import MISSING, UNSURE, Transcript
from zipper.text.lexicon import count_words

GERMAN = Path(__file__).resolve().parents[1] / "recordings" / "german.opus"
LONGEST_WORD = 2.0  # s, of the examples
TOLERANCE = 0.2  # s


def example(name: str) -> Samples:
    return load_audio(next(recording.path for recording in recordings() if recording.name == name))


def check_words(transcript: Transcript, *speech: tuple[float, float]) -> None:
    """Every word lasts a moment, in one of the stretches of speech."""
    assert transcript.words
    for word in transcript.words:
        assert 0 < word.end - word.start < LONGEST_WORD, word
        assert any(a - TOLERANCE <= word.start and word.end <= b + TOLERANCE for a, b in speech), word


def share_of_words(transcript: Transcript, alone: Transcript) -> float:
    """Share of the words of a recording alone that a transcript has too."""
    known, found = count_words([alone.text]), count_words([transcript.text])
    return sum((known & found).values()) / sum(known.values())


@pytest.mark.parametrize("pause", [6.0, 8.0])
def test_a_pause_loses_no_sentence(shipped: Zipper, pause: float) -> None:
    first, second = example("accented"), example("clear")
    one, other = len(first) / SPEECH_RATE, len(second) / SPEECH_RATE
    whole = shipped.transcribe((np.concatenate([first, room_noise(pause), second]), SPEECH_RATE))
    check_words(whole, (0.0, one), (one + pause, one + pause + other))
    for sound in (first, second):
        assert share_of_words(whole, shipped.transcribe((sound, SPEECH_RATE))) > 0.7
    assert whole.complete and not whole.warnings


@pytest.mark.parametrize(
    "front, behind, noise", [(3.0, 0.2, room_noise), (13.0, 0.2, room_noise), (0.2, 12.0, silence)]
)
def test_waiting_adds_no_words(shipped: Zipper, front: float, behind: float, noise: Any) -> None:
    speech = example("clear")
    sound = np.concatenate([noise(front), speech, noise(behind)])
    transcript, alone = shipped.transcribe((sound, SPEECH_RATE)), shipped.transcribe((speech, SPEECH_RATE))
    check_words(transcript, (front, front + len(speech) / SPEECH_RATE))
    assert abs(len(transcript.words) - len(alone.words)) <= 2 and share_of_words(transcript, alone) > 0.7


@pytest.mark.parametrize("name", ["dtmf", "ringing", "knocks", "siren", "birds", "melody"])
def test_what_is_no_speech_gives_no_words(shipped: Zipper, name: str) -> None:
    with pytest.raises(NoSpeechError):
        shipped.transcribe((SIGNALS[name](6.0), SPEECH_RATE))


def test_speech_over_ringing_is_read(shipped: Zipper) -> None:
    speech = example("clear")
    sound = speech + 0.1 * SIGNALS["ringing"](len(speech) / SPEECH_RATE)[: len(speech)]
    alone = shipped.transcribe((speech, SPEECH_RATE))
    assert share_of_words(shipped.transcribe((sound, SPEECH_RATE)), alone) > 0.4


def test_text_that_ends_before_the_speech_may_lack_words(shipped: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says it is done after a few words of a long sentence."""
    generate = engine.generate

    def early(*args: Any, **kwargs: Any) -> Iterator[Any]:
        *steps, end = generate(*args, **kwargs)
        yield from (replace(step, stop_reason=None) for step in steps[:4])
        yield end

    sound = (example("clear"), SPEECH_RATE)
    assert shipped.transcribe(sound).complete
    monkeypatch.setattr(engine, "generate", early)
    cut = shipped.transcribe(sound)
    assert cut.text and not cut.complete and MISSING in cut.warnings
    (passage,) = cut.passages
    assert passage.unheard > 1.5


@pytest.mark.parametrize("name", ["short", "clear", "long", "accented", "noisy", "reader"])
def test_english_is_believed(shipped: Zipper, name: str) -> None:
    transcript = shipped.transcribe((example(name), SPEECH_RATE))
    assert transcript.complete and not transcript.doubtful


def test_another_language_is_doubted_wherever_it_is_read(
    shipped: Zipper, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load_audio(GERMAN)
    result = shipped.transcribe((samples, SPEECH_RATE))
    assert result.doubtful and result.confidence is not None and UNSURE in result.warnings
    assert UNSURE in transcribe.summary(DisplayedResult(result, samples, SPEECH_RATE, 0.5, ""))
    monkeypatch.setattr(shipped, "transcribe", lambda *_, **__: result)
    answer = Endpoints(shipped).transcribe(str(GERMAN))
    assert answer["doubtful"] is True and answer["confidence"] == round(result.confidence, 4) and answer["complete"]
    monkeypatch.setattr(cli, "_load", lambda _: shipped)
    assert cli.main(["transcribe", str(GERMAN)]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == result.text and err.strip() == f"zipper: {UNSURE}"


def test_live_mode_waits_for_whoever_does_not_speak_yet(shipped: Zipper) -> None:
    """Eight seconds of a quiet room, then a sentence: the window stays short, and words are where they were said."""
    speech = example("clear")
    sound = (np.concatenate([room_noise(8.0), speech, room_noise(2.0)]) * 32767).astype(np.int16)
    recording, longest = LiveRecording("one", SPEECH_RATE), 0.0
    for start in range(0, len(sound), SPEECH_RATE):
        recording.add(start, sound[start : start + SPEECH_RATE], start + SPEECH_RATE >= len(sound))
        recording.transcribe(shipped)
        if recording.seconds <= 8.0:
            longest = max(longest, len(recording.window) / SPEECH_RATE)
    recording.finish()
    assert longest <= 1.0
    assert len(recording.words.final) > 5 and recording.words.final[0].start > 8.0 - TOLERANCE


def test_a_written_recording_keeps_its_pause(shipped: Zipper, tmp_path: Path) -> None:
    """From a file, as people hand it in: subtitles of the second sentence begin with it."""
    sound = np.concatenate([example("accented"), room_noise(6.0), example("clear")])
    path = write_wav(tmp_path / "both.wav", sound, SPEECH_RATE)
    first, second = shipped.transcribe(path).passages
    assert first.end < 5.5 and second.start > 10.5
