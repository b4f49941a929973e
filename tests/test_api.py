"""Recognition, synthesis and completion through a tiny random model: shapes, times, limits, errors."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import GATE, MakeSpeech, Samples

from zipper import limits
from zipper.alignment.heads import save_heads
from zipper.api import Zipper
from zipper.audio.io import write_wav
from zipper.errors import AudioError, ConfigError, LimitError, NoSpeechError, OptionError, TextError, WeightsError
from zipper.inference import presets
from zipper.rates import SPEECH_RATE, TOKEN_RATE
from zipper.results import AlignmentHead, Attention, Speech, Transcript
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder
from zipper.text.cutting import CLAUSE_PAUSE, SENTENCE_PAUSE
from zipper.text.lexicon import Lexicon, count_words
from zipper.text.tokenizer import TextTokenizer

TEXT = "Hello there. It was a dark night."
MANY_PIECES = "Zebras jump quickly over big foxes."  # of which the tiny tokenizer knows none


def check_times(result: Transcript | Speech) -> None:
    """Words lie inside the recording and in order."""
    marks = [time for word in result.words for time in (word.start, word.end)]
    assert all(0 <= time <= result.seconds for time in marks)
    assert marks == sorted(marks)


def check_attention(attention: Attention, points: int, heads: int) -> None:
    """Shapes agree with the token lists and every distribution sums to at most 1."""
    texts, tokens = len(attention.text_tokens), len(attention.speech_tokens)
    assert attention.weights.shape == (points, heads, texts, tokens)
    axis = 3 if attention.direction == "text_from_speech" else 2
    sums = attention.weights.astype(np.float32).sum(axis=axis)
    assert (sums <= 1.01).all() and (sums > 0).all()
    assert attention.gates.shape == (points, 2) and np.allclose(attention.gates, np.tanh(GATE))


def test_transcribe(zipper: Zipper, make_speech: MakeSpeech, tmp_path: Path) -> None:
    sound = make_speech(3.0)
    transcript = zipper.transcribe(write_wav(tmp_path / "clip.wav", sound, SPEECH_RATE))
    assert transcript.seconds == 3.0 and transcript.text
    assert transcript.text.split() == " ".join(word.text for word in transcript.words).split()
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in transcript.words)
    check_times(transcript)
    check_attention(transcript.attention, 2, 2)
    assert 2.5 * TOKEN_RATE < len(transcript.attention.speech_tokens) <= 3 * TOKEN_RATE
    again = zipper.transcribe((sound, SPEECH_RATE))
    assert again.text == transcript.text


def test_transcribe_stream_grows_to_the_transcript(zipper: Zipper, make_speech: MakeSpeech) -> None:
    sound = (make_speech(2.0), SPEECH_RATE)
    parts = list(zipper.transcribe_stream(sound))
    assert [part.transcript is not None for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].text == zipper.transcribe(sound).text and parts[-1].seconds_done == 2.0
    assert parts[-1].transcript is not None and not parts[-1].transcript.complete  # random text does not end


def test_beams(zipper: Zipper, make_speech: MakeSpeech) -> None:
    assert zipper.transcribe((make_speech(1.0), SPEECH_RATE), beams=2).words


def test_recognition_is_held_to_the_words_of_the_model(
    zipper: Zipper, model_folder: Path, make_speech: MakeSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a word of no dictionary costs more than anything else, none is written."""
    monkeypatch.setattr(presets, "UNKNOWN_WORD_PENALTY", 1000.0)
    sound = (make_speech(2.0), SPEECH_RATE)
    folder = shutil.copytree(model_folder, tmp_path / "model")
    known = Lexicon(["dark", "night", "today"])
    known.save(folder / "zipper")
    held = Zipper.from_pretrained(folder)

    def unknown(text: str) -> set[str]:
        return {word for word in count_words([text]) if word not in known}

    assert unknown(zipper.transcribe(sound, beams=8).text)
    assert not unknown(held.transcribe(sound, beams=8).text.rpartition(" ")[0])  # the last word is cut by the limit


@pytest.fixture
def two_windows(zipper: Zipper, make_speech: MakeSpeech) -> Transcript:
    """Two stretches of speech with a pause between, each a window of its own."""
    sound = np.concatenate([make_speech(2.5), np.zeros(2 * SPEECH_RATE, np.float32), make_speech(2.5)])
    return zipper.transcribe((sound, SPEECH_RATE))


def test_long_audio_goes_window_by_window(two_windows: Transcript) -> None:
    first, second = two_windows.passages
    assert first.start == 0 and 2.4 < first.end < 2.9 and 4.1 < second.start < 4.6  # speech and a short margin
    assert 6.7 < second.end <= two_windows.seconds == 7.0
    assert second.words[0].start >= second.start
    check_times(two_windows)
    check_attention(second.attention, 2, 2)
    rows, columns = first.attention.weights.shape[2:]
    merged = two_windows.attention.weights
    np.testing.assert_array_equal(merged[:, :, :rows, :columns], first.attention.weights)
    assert not merged[:, :, :rows, columns:].any() and not merged[:, :, rows:, :columns].any()


def test_merged_attention_has_a_limit(two_windows: Transcript, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ATTENTION_CELLS", 100)
    with pytest.raises(LimitError, match="passage by passage"):
        _ = two_windows.attention


Call = Callable[[Zipper, Samples], object]
CALLS: dict[str, Call] = {
    "transcribe": lambda z, sound: z.transcribe((sound, SPEECH_RATE)),
    "greedy": lambda z, sound: z.transcribe((sound, SPEECH_RATE), beams=1),
    "transcribe_stream": lambda z, sound: list(z.transcribe_stream((sound, SPEECH_RATE))),
    "synthesize": lambda z, sound: z.synthesize("Hello there."),
    "unended": lambda z, sound: z.synthesize("Hello there.", keep_unended=True),
    "synthesize_stream": lambda z, sound: list(z.synthesize_stream("Hello there.")),
    "complete": lambda z, sound: z.complete("Hello", max_tokens=30),
    "complete_stream": lambda z, sound: list(z.complete_stream("Hello", max_tokens=30)),
    "complete speech": lambda z, sound: z.complete((sound, SPEECH_RATE), "speech", max_tokens=30),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("name", ["MAX_PASSAGE_SECONDS", "MAX_REQUEST_SECONDS"])
def test_wall_clock_limits(
    zipper: Zipper, make_speech: MakeSpeech, monkeypatch: pytest.MonkeyPatch, name: str, call: Call
) -> None:
    """Whatever is asked for, it stops at the token at which its time is over."""
    monkeypatch.setattr(limits, name, 1e-9)
    with pytest.raises(LimitError, match="took longer than 1e-09 s"):
        call(zipper, make_speech(1.0))


def test_sound_is_on_the_same_clock(zipper: Zipper, make_speech: MakeSpeech, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocoder that takes for ever is left after its first piece."""
    pieces: list[int] = []
    monkeypatch.setattr("zipper.inference.deadline.time.monotonic", lambda: 1e9 if pieces else 0.0)
    monkeypatch.setattr(limits, "MAX_REQUEST_SECONDS", 300.0)

    def slow(chunks: Any, voice: str, seed: int, delivery: Any) -> Any:
        list(chunks)
        for _ in range(5):
            pieces.append(1)
            yield np.zeros(10, np.float32)

    monkeypatch.setattr(zipper.detokenizer, "stream", slow)
    for call in (
        lambda: zipper.synthesize("Hello there.", keep_unended=True),
        lambda: zipper.complete((make_speech(1.0), SPEECH_RATE), "speech", max_tokens=9),
    ):
        pieces.clear()
        with pytest.raises(LimitError, match="The request took longer"):
            call()
        assert len(pieces) == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_one_clock_runs_through_a_request(
    zipper: Zipper, make_speech: MakeSpeech, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """A clock on which everything takes long: no request gets further than a few of its tokens, in any passage."""
    ticks = itertools.count(step=30.0)
    monkeypatch.setattr("zipper.inference.deadline.time.monotonic", lambda: next(ticks))
    monkeypatch.setattr(limits, "MAX_REQUEST_SECONDS", 300.0)
    with pytest.raises(LimitError, match="The request took longer than 300 s"):
        call(zipper, make_speech(1.0))
    assert next(ticks) < 600.0


@pytest.mark.parametrize("sound", [np.zeros(48_000), np.random.default_rng(0).normal(0, 0.1, 48_000)])
def test_no_speech(zipper: Zipper, sound: np.ndarray) -> None:
    with pytest.raises(NoSpeechError, match="No speech found"):
        zipper.transcribe((sound, SPEECH_RATE))
    with pytest.raises(NoSpeechError):
        zipper.complete((sound, SPEECH_RATE), "speech")


def test_bad_recordings_fail_before_the_first_part(zipper: Zipper) -> None:
    with pytest.raises(AudioError):
        zipper.transcribe_stream("missing.wav")


def test_synthesize(zipper: Zipper) -> None:
    speech = zipper.synthesize(TEXT, voice="bass", seed=3)
    assert speech.samples.dtype == np.float32 and speech.voice == "bass" and speech.seed == 3
    assert speech.text == TEXT and [word.text for word in speech.words] == TEXT.split()
    assert len(speech.passages) == 2
    check_times(speech)
    check_attention(speech.attention, 2, 2)
    again = zipper.synthesize(TEXT, voice="bass", seed=3)
    np.testing.assert_array_equal(again.samples, speech.samples)
    assert not np.array_equal(zipper.synthesize(TEXT, voice="bass", seed=4).samples, speech.samples)


def test_synthesize_stream_gives_the_same_sound(zipper: Zipper) -> None:
    parts = list(zipper.synthesize_stream(TEXT, seed=3))
    whole = zipper.synthesize(TEXT, seed=3)
    assert all(len(part.samples) for part in parts)
    np.testing.assert_allclose(np.concatenate([part.samples for part in parts]), whole.samples, atol=1e-4)
    assert parts[-1].speech is not None and all(part.speech is None for part in parts[:-1])
    assert [w.text for w in parts[-1].speech.words] == TEXT.split()


def test_numbers_are_spoken_as_words(zipper: Zipper) -> None:
    assert zipper.synthesize("I have 2 cats").text == "I have two cats."


def test_a_comma_makes_a_shorter_pause_than_a_full_stop(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SENTENCE_CHARACTERS", 40)
    text = "It was a dark and stormy night, and how are you today? Hello there."
    speech = zipper.synthesize(text, seed=3)
    assert [p.text for p in speech.passages] == [
        "It was a dark and stormy night.",
        "And how are you today?",
        "Hello there.",
    ]
    ends = [*(p.start for p in speech.passages[1:]), len(speech.samples) / speech.sample_rate]
    pauses = [round(after - p.end, 2) for p, after in zip(speech.passages, ends, strict=True)]
    assert pauses == [CLAUSE_PAUSE, SENTENCE_PAUSE, SENTENCE_PAUSE]


def test_what_takes_too_long_to_say_is_refused_before_any_of_it_is_said(
    zipper: Zipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipper.detokenizer, "stream", None)  # to be called is to fail
    numbers = "1234567 " * (limits.MAX_TEXT_CHARACTERS // 8)
    for speak in (zipper.synthesize, zipper.synthesize_stream):
        with pytest.raises(LimitError, match="as it is spoken"):
            speak(numbers)


def test_unending_speech_is_an_error(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRA_SPEECH_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_SPEECH_SECONDS_PER_CHARACTER", presets.MIN_SPEECH_SECONDS_PER_CHARACTER)
    monkeypatch.setattr(presets, "ATTEMPTS", 1)
    text, failures = "Hello there, how are you", 0
    for seed in range(4):
        kept = zipper.synthesize(text, seed=seed, keep_unended=True)
        try:
            assert len(zipper.synthesize(text, seed=seed).samples) == len(kept.samples) and kept.complete
        except LimitError as error:
            failures += "came to no end" in str(error)
            assert not kept.complete and len(kept.samples) and kept.words
        streamed = list(zipper.synthesize_stream(text, seed=seed, keep_unended=True))[-1].speech
        assert streamed is not None and streamed.complete == kept.complete
    assert failures


@pytest.mark.parametrize("text", ["", "  ", "\U0001f600", "你好"])
def test_text_that_cannot_be_spoken(zipper: Zipper, text: str) -> None:
    with pytest.raises(TextError):
        zipper.synthesize(text)
    with pytest.raises(TextError):
        zipper.synthesize_stream(text)


def test_synthesis_can_be_watched_and_left(zipper: Zipper) -> None:
    *waiting, speech = zipper.synthesize_steps(TEXT, "bass", 3)
    assert speech is not None and len(waiting) > 20 and not any(waiting)
    np.testing.assert_array_equal(speech.samples, zipper.synthesize(TEXT, "bass", 3).samples)
    steps = zipper.synthesize_steps(TEXT)
    assert next(steps) is None
    steps.close()


def test_complete_text(zipper: Zipper) -> None:
    continued = zipper.complete("It was a", max_tokens=8, seed=1)
    assert continued and continued == zipper.complete("It was a", max_tokens=8, seed=1)
    growing = list(zipper.complete_stream("It was a", max_tokens=8, seed=1))
    assert growing[-1] == continued and 1 < len(growing) <= 8
    assert all(continued.startswith(text) for text in growing)
    with pytest.raises(TextError):
        zipper.complete("  ")


def test_complete_speech(zipper: Zipper, make_speech: MakeSpeech) -> None:
    speech = zipper.complete((make_speech(1.0), SPEECH_RATE), "speech", max_tokens=25, seed=2)
    assert len(speech.samples) <= speech.sample_rate and speech.words == ()
    *waiting, streamed = zipper.complete_stream((make_speech(1.0), SPEECH_RATE), "speech", max_tokens=25, seed=2)
    assert streamed is not None and np.array_equal(streamed.samples, speech.samples)
    assert waiting and not any(waiting)
    with pytest.raises(OptionError, match="no attention"):
        _ = speech.attention


def test_a_folder_of_mismatched_parts(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    quantizer = Quantizer(QuantizerConfig(phones=4, feature_width=16, width=8, levels=(4, 8)))
    encoder = WhisperEncoder(EncoderConfig(width=16, depth=1, heads=2))
    SpeechTokenizer(encoder, quantizer).save_pretrained(folder / "speech_tokenizer")
    with pytest.raises(WeightsError, match="different models"):
        Zipper.from_pretrained(folder)
    TextTokenizer.train(["Another one."], 280).save(folder / "zipper")
    with pytest.raises(WeightsError, match="different models"):
        Zipper.from_pretrained(folder)


def test_alignment_heads_are_read_and_checked(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    save_heads([AlignmentHead("text_from_speech", 1, 0, 0.9)], folder / "zipper" / "alignment.json")
    assert Zipper.from_pretrained(folder).heads[0].zip_point == 1
    save_heads([AlignmentHead("text_from_speech", 7, 0, 0.9)], folder / "zipper" / "alignment.json")
    with pytest.raises(WeightsError, match="alignment.json"):
        Zipper.from_pretrained(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model"):
        Zipper.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "text"])
def test_each_damaged_file_is_told_in_one_sentence(model_folder: Path, tmp_path: Path, damage: str) -> None:
    names = [path.relative_to(model_folder) for path in model_folder.rglob("*") if path.is_file()]
    assert len(names) >= 8
    for name in names:
        folder = shutil.copytree(model_folder, tmp_path / "model", dirs_exist_ok=True)
        data = (folder / name).read_bytes()
        if damage == "missing":
            (folder / name).unlink()
        else:
            (folder / name).write_bytes({"empty": b"", "half": data[: len(data) // 2], "text": b"{}"}[damage])
        with pytest.raises((WeightsError, ConfigError)) as caught:
            Zipper.from_pretrained(folder)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
