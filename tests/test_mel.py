"""The vocoder's mel spectrogram against librosa's, which the vocoder was trained on."""

import librosa
import numpy as np
import pytest
import torch

from zipper.audio.mel import MAX_HZ, MIN_HZ, WINDOW, MelSpectrogram, band_edges, filterbank
from zipper.audio.mel_scale import hz_to_mel, mel_to_hz
from zipper.rates import MELS, SPEECH_RATE, VOCODER_HOP, VOCODER_RATE, WHISPER_MELS, WHISPER_WINDOW
from zipper.speech.whisper_encoder import mel_filters


def test_filterbank_is_librosas() -> None:
    expected = librosa.filters.mel(sr=VOCODER_RATE, n_fft=WINDOW, n_mels=MELS, fmin=MIN_HZ, fmax=MAX_HZ)
    np.testing.assert_allclose(filterbank().numpy(), expected, atol=1e-7)


def test_the_filterbank_of_the_encoder_is_librosas() -> None:
    expected = librosa.filters.mel(sr=SPEECH_RATE, n_fft=WHISPER_WINDOW, n_mels=WHISPER_MELS)
    np.testing.assert_allclose(mel_filters(WHISPER_MELS).numpy(), expected, atol=1e-7)


def test_spectrogram_is_librosas() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8_000).astype(np.float32)
    padded = np.pad(samples, (WINDOW - VOCODER_HOP) // 2, mode="reflect")
    power = librosa.feature.melspectrogram(
        y=padded,
        sr=VOCODER_RATE,
        n_fft=WINDOW,
        hop_length=VOCODER_HOP,
        center=False,
        power=1.0,
        n_mels=MELS,
        fmin=MIN_HZ,
        fmax=MAX_HZ,
    )
    mel = MelSpectrogram()(torch.from_numpy(samples)[None])[0]
    assert mel.shape == (len(samples) // VOCODER_HOP, MELS)
    np.testing.assert_allclose(mel.numpy(), np.log(np.maximum(power, 1e-5)).T, atol=1e-3)


def test_mel_scale_and_its_inverse() -> None:
    hz = np.array([0.0, 60.0, 999.0, 1000.0, 1001.0, 8000.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-9)
    assert np.all(np.diff(band_edges()) > 0)


@pytest.mark.parametrize("hz", [200.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_band(hz: float) -> None:
    tone = torch.sin(2 * torch.pi * hz * torch.arange(VOCODER_RATE) / VOCODER_RATE)
    band = int(MelSpectrogram()(tone[None])[0, 20].argmax())
    assert band_edges()[band] < hz < band_edges()[band + 2]


def test_silence_is_the_floor() -> None:
    mel = MelSpectrogram()(torch.zeros(1, 2_000))
    assert torch.isfinite(mel).all() and mel.max() < -9
