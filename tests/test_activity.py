"""Speech is told from silence and noise, and long recordings are cut at pauses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import MakeSpeech

from zipper import limits
from zipper.activity import has_speech, windows
from zipper.rates import SPEECH_RATE

T = np.arange(4 * SPEECH_RATE) / SPEECH_RATE


def noise(slope: float) -> np.ndarray:
    """4 s of noise whose level falls with frequency: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(T)))
    frequencies = np.maximum(np.fft.rfftfreq(len(T)), 1 / len(T))
    sound = np.fft.irfft(spectrum / frequencies**slope, len(T))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


HUM = sum(0.1 / k * np.sin(2 * np.pi * 50 * k * T) for k in range(1, 20)).astype(np.float32)  # type: ignore[union-attr]
BEEPS = 0.3 * np.sin(2 * np.pi * 800 * T) * (np.sin(4 * np.pi * T) > 0)

SILENT = {
    "silence": np.zeros(len(T)),
    "short silence": np.zeros(1600),
    "dither": np.random.default_rng(0).uniform(-1, 1, len(T)) / 32768,
    "white": noise(0),
    "pink": noise(0.5),
    "brown": noise(1),
    "hum": HUM,
    "hum and noise": HUM + 0.1 * noise(0),
    "tone": 0.3 * np.sin(2 * np.pi * 440 * T),
    "beeps": BEEPS,
    "waves": noise(0.5) * (1 + np.sin(6 * np.pi * T)) / 2,
    "constant": np.full(len(T), 0.5),
    "click": np.eye(1, len(T), 5000)[0],
}


@pytest.mark.parametrize("name", SILENT)
def test_no_speech(name: str) -> None:
    assert not has_speech(SILENT[name].astype(np.float32))


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_speech(make_speech: MakeSpeech, level: float) -> None:
    sound = make_speech(4.0) * level
    assert has_speech(sound)
    assert has_speech((sound + 0.1 * level * noise(0.5)).astype(np.float32))


def test_windows_end_in_pauses(make_speech: MakeSpeech) -> None:
    sound = np.concatenate([make_speech(7.0), np.zeros(SPEECH_RATE // 2), make_speech(9.0)] * 3)
    found = windows(sound.astype(np.float32))
    assert len(found) > 1
    for window in found[:-1]:
        assert np.abs(sound[window.stop - 800 : window.stop + 800]).max() < 0.01


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70 * SPEECH_RATE), st.integers(0, 3))
def test_windows_cover_everything_once(samples: int, seed: int) -> None:
    sound = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    found = windows(sound)
    assert found[0].start == 0 and found[-1].stop == samples
    assert all(a.stop == b.start for a, b in zip(found, found[1:], strict=False))
    assert all(0 < w.stop - w.start <= limits.MAX_WINDOW_SECONDS * SPEECH_RATE for w in found)
