"""Pitch tracking on sounds whose pitch is known."""

import numpy as np
import pytest

from zipper.data.pitch import track_pitch
from zipper.rates import VOCODER_HOP, VOCODER_RATE


def voiced(hz: np.ndarray) -> np.ndarray:
    """A buzz of twelve harmonics whose pitch is hz (n,) sample by sample."""
    phase = 2 * np.pi * np.cumsum(hz) / VOCODER_RATE
    return sum(np.sin(n * phase + n) / n for n in range(1, 13)).astype(np.float32) * 0.2


@pytest.mark.parametrize("hz", [80.0, 115.0, 230.0, 420.0])
def test_steady_pitch(hz: float) -> None:
    track = track_pitch(voiced(np.full(VOCODER_RATE, hz)))
    assert track.shape == (VOCODER_RATE // VOCODER_HOP,)
    np.testing.assert_allclose(track[3:-3], hz, rtol=0.005)


def test_gliding_pitch() -> None:
    hz = np.linspace(100, 250, VOCODER_RATE)
    track = track_pitch(voiced(hz))
    centers = (np.arange(len(track)) * VOCODER_HOP + VOCODER_HOP // 2)[3:-3]
    np.testing.assert_allclose(track[3:-3], hz[centers], rtol=0.02)


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, VOCODER_RATE).astype(np.float32)
    assert (track_pitch(noise) == 0).mean() > 0.97
    assert not track_pitch(np.zeros(VOCODER_RATE, np.float32)).any()


def test_voiced_between_silences() -> None:
    buzz, silence = voiced(np.full(VOCODER_RATE // 2, 150.0)), np.zeros(VOCODER_RATE // 2, np.float32)
    track = track_pitch(np.concatenate([silence, buzz, silence]))
    frames = VOCODER_RATE // 2 // VOCODER_HOP
    assert not track[: frames - 4].any() and not track[2 * frames + 6 :].any()
    assert (track[frames + 4 : 2 * frames - 4] > 0).all()
