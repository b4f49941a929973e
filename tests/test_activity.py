"""Speech is told from everything else, and what the model hears is speech with a short margin."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import MakeSpeech

from zipper import limits
from zipper.audio import speech_windows, vad
from zipper.audio.io import Samples, load_audio
from zipper.audio.speech_windows import Span, Window, has_speech, windows
from zipper.evaluation.signals import SIGNALS, chords, colored, room_noise
from zipper.rates import SPEECH_RATE
from zipper.weights import ASSETS

RECORDINGS = sorted((ASSETS / "examples" / "recordings").glob("*.opus"))
CLICK = np.eye(1, 4 * SPEECH_RATE, 5000)[0].astype(np.float32)


def seconds(count: int) -> float:
    return count / SPEECH_RATE


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("level", [1.0, 0.02])
def test_what_is_no_speech_is_refused(name: str, level: float) -> None:
    assert not has_speech(SIGNALS[name](6.0) * np.float32(level))


@pytest.mark.parametrize(
    "sound", [np.zeros(1600, np.float32), CLICK, np.full(8000, 0.5, np.float32), room_noise(0.1), colored(20.0, 1.0)]
)
def test_short_constant_and_long_sounds_are_refused(sound: Samples) -> None:
    assert not has_speech(sound)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_speech_is_found_at_every_level(path: Path, level: float) -> None:
    samples = load_audio(path)
    found = windows(samples * np.float32(level))
    assert found and sum(seconds(s.stop - s.start) for w in found for s in w.speech) > 1.0


@pytest.mark.parametrize("snr", [10.0, 0.0])
@pytest.mark.parametrize("kind", ["pink", "music"])
def test_speech_over_noise_is_found(make_speech: MakeSpeech, kind: str, snr: float) -> None:
    speech = make_speech(4.0)
    noise = colored(4.0, 1.0) if kind == "pink" else chords(4.0)
    gain = np.sqrt(np.square(speech).mean() / np.square(noise).mean()) * 10 ** (-snr / 20)
    assert sum(seconds(s.stop - s.start) for w in windows(speech + gain * noise) for s in w.speech) > 2.5


@pytest.mark.parametrize("pause", [2.0, 8.0, 15.0])
@pytest.mark.parametrize("noise", [-60.0, -100.0])
def test_a_window_is_speech_with_a_short_margin(make_speech: MakeSpeech, pause: float, noise: float) -> None:
    gap, speech = room_noise(pause, noise), make_speech(4.0)
    first, second = windows(np.concatenate([gap, speech, gap, speech, gap]))
    for window, start in ((first, pause), (second, 2 * pause + 4)):
        assert abs(seconds(window.start) - start) < 0.5 and abs(seconds(window.stop) - start - 4) < 0.5
        assert window.start < window.speech[0].start and window.speech[-1].stop < window.stop


def test_a_short_pause_stays_within_a_window(make_speech: MakeSpeech) -> None:
    speech = make_speech(4.0)
    (window,) = windows(np.concatenate([speech, room_noise(0.9), speech]))
    assert len(window.speech) >= 2


def test_long_speech_is_cut_in_pauses(make_speech: MakeSpeech) -> None:
    sound = np.concatenate([make_speech(7.0), np.zeros(SPEECH_RATE // 2, np.float32), make_speech(9.0)] * 3)
    found = windows(sound)
    assert len(found) > 1
    for window in found[:-1]:
        assert np.abs(sound[window.stop - 800 : window.stop]).max() < 0.02


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6)), min_size=1, max_size=5))
def test_windows_are_short_apart_and_keep_all_speech(parts: list[tuple[int, int]]) -> None:
    speech = load_audio(ASSETS / "examples" / "recordings" / "long.opus")
    sound = np.concatenate([part for s, p in parts for part in (speech[: s * SPEECH_RATE], room_noise(p + 0.2))])
    found = windows(sound.astype(np.float32))
    assert all(0 <= a.start < a.stop <= b.start for a, b in zip(found, [*found[1:], Window(10**9, 0, ())], strict=True))
    assert all(w.stop - w.start <= limits.MAX_WINDOW_SECONDS * SPEECH_RATE for w in found)
    assert all(w.start <= s.start < s.stop <= w.stop for w in found for s in w.speech)
    heard = [span for window in found for span in window.speech]
    likely = np.repeat(speech_windows.speech_probabilities(sound) > 0.8, vad.FRAME)[: len(sound)]
    for span in heard:
        likely[span.start : span.stop] = False
    assert seconds(int(likely.sum())) <= 0.15 * len(parts)  # a stretch of less than a tenth of a second


def test_tokens_that_hold_speech() -> None:
    window = Window(1000, 4200, (Span(1640, 2280), Span(3220, 3560)))  # its tokens begin at 1000, 1640, 2280 …
    assert window.speech_tokens(640).tolist() == [False, True, False, True, False]
    assert window.speech_end == pytest.approx(2560 / SPEECH_RATE)


def test_the_detector_is_the_one_of_the_package() -> None:
    """The same network on many frames at once gives what the package gives frame by frame."""
    sound = np.tile(load_audio(ASSETS / "examples" / "recordings" / "reader.opus"), 3)[: 20 * SPEECH_RATE + 77]
    with torch.inference_mode():
        expected = vad.package().load_silero_vad().audio_forward(torch.from_numpy(sound)[None], SPEECH_RATE)
    np.testing.assert_allclose(vad.speech_probabilities(sound), expected[0].numpy(), atol=1e-4)


def test_the_detector_leaves_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package sets torch to one thread as it is imported, which would slow everything down."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        vad.package.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "silero_vad"]:
            monkeypatch.delitem(sys.modules, name)
        assert vad.package() and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
